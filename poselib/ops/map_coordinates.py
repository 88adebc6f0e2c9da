"""Where the cells of maps lie in the image, and what maps say at points of it.

Two frames are in use. ``"center"``, poselib's own: a cell stands for the middle of the square that
it covers, pixel centers are at integer + 0.5. ``"index"``, of weights that were trained with pixel
indices: cell i stands for the pixel of index stride * i, the first one that it covers, and pixel
i has its center at i. Points here are in the px of the frame; ``half_pixel`` leads to poselib's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.structures import Size

Frame = Literal["center", "index"]
FRAMES: tuple[Frame, ...] = get_args(Frame)


def half_pixel(frame: Frame) -> float:
    """Return what is to be added to px of the frame to make them poselib's."""
    return 0.0 if frame == "center" else 0.5


def cell_to_px(cells: Tensor, image_size: Size, size: Size, frame: Frame) -> Tensor:
    """Return the points that cells stand for.

    Args:
        cells: (..., 2), (column, row), whole or not.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the map.
        frame: of the result.

    Returns:
        (..., 2) float32, px of the frame.
    """
    stride = torch.tensor([image_size[1] / size[1], image_size[0] / size[0]], device=cells.device)
    return (cells + (0.5 if frame == "center" else 0.0)) * stride


def px_to_cell(px: Tensor, length: int, cells: int, frame: Frame) -> Tensor:
    """Return where coordinates along an axis lie among the cells, 0 being the first cell's value.

    In frame ``"index"`` a point is read where DEKR's code reads it: at the pixel that it is in, of
    maps enlarged so that the values of the first and last cell are kept (``align_corners``) and
    the last one's is repeated.

    Args:
        px: any shape, px of the frame; what lies outside takes the border's value.
        length: px of the axis.
        cells: of the axis.
        frame: of ``px``.
    """
    if frame == "center":
        where = px * (cells / length) - 0.5
    else:
        where = px.floor().clamp(0, length - 1) * ((cells - 1) / max(1, length - length // cells))
    return where.clamp(0, cells - 1)


def sample_heatmaps(
    maps: Tensor, images: Tensor, points: Tensor, image_size: Size, frame: Frame
) -> Tensor:
    """Read each of K maps at one point of each person, bilinearly.

    Args:
        maps: (B, K, h, w); values that are not finite count as 0.
        images: (n,) int64, the image of each person.
        points: (n, K, 2), finite, px of the frame.
        image_size: (H, W) of the network input, px.
        frame: of ``points``.

    Returns:
        (n, K) float32.
    """
    height, width = maps.shape[-2:]
    x, right = _between(px_to_cell(points[..., 0], image_size[1], width, frame), width)
    y, down = _between(px_to_cell(points[..., 1], image_size[0], height, frame), height)
    kinds = torch.arange(maps.shape[1], device=maps.device)[:, None, None]
    # Only the four cells around each point are ever looked at: (n, K, rows, columns).
    around = maps[images[:, None, None, None], kinds, y[..., :, None], x[..., None, :]].float()
    around = torch.where(around.isfinite(), around, 0.0)
    return (around * down[..., :, None] * right[..., None, :]).sum(dim=(-2, -1))


def average_heatmaps(maps: Sequence[Tensor], image_size: Size, frame: Frame) -> Tensor:
    """Return the mean of the maps of several scales, at the resolution of the finest.

    Args:
        maps: (B, K, h, w) each, h and w of any size; values that are not finite count as 0.
        image_size: (H, W) of the network input that all of them cover, px.
        frame: in which they lie over one another.

    Returns:
        (B, K, h, w) float32, of the size of the finest.
    """
    finest = max(maps, key=torch.Tensor.numel)
    size, middle = finest.shape[-2:], 0.5 if frame == "center" else 0.0
    y, x = (
        (torch.arange(cells, device=finest.device) + middle) * (length / cells)
        for cells, length in zip(size, image_size, strict=True)
    )
    total = torch.zeros(finest.shape, device=finest.device)
    for each in maps:
        finite = torch.where(each.isfinite(), each, 0.0).float()
        if each.shape[-2:] != size:
            rows = _weights(px_to_cell(y, image_size[0], each.shape[-2], frame), each.shape[-2])
            columns = _weights(px_to_cell(x, image_size[1], each.shape[-1], frame), each.shape[-1])
            finite = rows @ finite @ columns.T
        total += finite
    return total / len(maps)


def _between(where: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the two cells on either side of coordinates (...), (..., 2), and their weights."""
    low = where.floor()
    share = where - low
    first = low.long()
    sides = torch.stack([first, (first + 1).clamp(max=cells - 1)], dim=-1)
    return sides, torch.stack([1 - share, share], dim=-1)


def _weights(where: Tensor, cells: int) -> Tensor:
    """Return what each of the cells has in the values at coordinates (m,): (m, cells)."""
    sides, weights = _between(where, cells)
    return weights.new_zeros(len(where), cells).scatter_add_(1, sides, weights)
