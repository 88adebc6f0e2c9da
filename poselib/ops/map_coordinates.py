"""Coordinates of map cells in the image, and bilinear sampling of maps at image points.

There are three frames. ``"center"``, poselib's own: a cell stands for the center of the square that
it covers, and pixel centers are at integer + 0.5. ``"index"``, for weights that were trained with
pixel indices: cell i stands for the pixel of index stride * i, the first one that it covers, and
the center of pixel i is at i. ``"aligned"``, for heatmaps: pixel indices too, and the first and
last cell stand for the first and last pixel (Huang et al., "The devil is in the details", CVPR
2020, known as UDP). Points are in px of the frame; add ``half_pixel`` for poselib's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.structures import Size

Frame = Literal["center", "index"]
FRAMES: tuple[Frame, ...] = get_args(Frame)
CropFrame = Literal["center", "index", "aligned"]
CROP_FRAMES: tuple[CropFrame, ...] = get_args(CropFrame)


def half_pixel(frame: CropFrame) -> float:
    """Return the shift from px of the frame to px of poselib's own frame."""
    return 0.0 if frame == "center" else 0.5


def cell_stride(image_size: Size, size: Size, frame: CropFrame) -> tuple[float, float]:
    """Return px a cell (y, x) of a map of (h, w) cells that covers an image of (H, W) px."""
    less = 1 if frame == "aligned" else 0
    height, width = (
        (px - less) / max(1, cells - less) for px, cells in zip(image_size, size, strict=True)
    )
    return height, width


def cell_to_px(cells: Tensor, image_size: Size, size: Size, frame: CropFrame) -> Tensor:
    """Convert cells of a map to image points.

    Args:
        cells: (..., 2), (column, row), integer or not.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the map.
        frame: of the result.

    Returns:
        (..., 2) float32, px of the frame.
    """
    stride = torch.tensor(cell_stride(image_size, size, frame)[::-1], device=cells.device)
    return (cells + (0.5 if frame == "center" else 0.0)) * stride


def px_to_map(px: Tensor, stride: tuple[float, float], frame: CropFrame) -> Tensor:
    """Convert image points to places on a map, where the middle of cell i is at i + 0.5.

    Args:
        px: (..., 2), (x, y), poselib's px.
        stride: px a cell, (y, x).
        frame: what a cell of the map stands for.

    Returns:
        (..., 2) of the dtype of ``px``, in cells.
    """
    step = torch.tensor([stride[1], stride[0]], dtype=px.dtype, device=px.device)
    return (px - half_pixel(frame)) / step + half_pixel(frame)


def px_to_cell(px: Tensor, length: int, cells: int, frame: Frame) -> Tensor:
    """Convert image coordinates along an axis to cell indices, clamped to the map.

    In frame ``"index"`` points are sampled as in DEKR's code: at the pixel that contains them, of
    maps upsampled so that the values of the first and last cell are kept (``align_corners``) and
    the last one is repeated.

    Args:
        px: any shape, px of the frame.
        length: px of the axis.
        cells: number of cells of the axis.
        frame: of ``px``.

    Returns:
        Fractional cell indices of the same shape, from 0 to ``cells - 1``.
    """
    if frame == "center":
        index = px * (cells / length) - 0.5
    else:
        index = px.floor().clamp(0, length - 1) * ((cells - 1) / max(1, length - length // cells))
    return index.clamp(0, cells - 1)


def sample_heatmaps(
    maps: Tensor, images: Tensor, points: Tensor, image_size: Size, frame: Frame
) -> Tensor:
    """Sample each of K maps at one point of each person, bilinearly.

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
    # Only the four cells around each point are read: (n, K, rows, columns).
    around = maps[images[:, None, None, None], kinds, y[..., :, None], x[..., None, :]].float()
    around = torch.where(around.isfinite(), around, 0.0)
    return (around * down[..., :, None] * right[..., None, :]).sum(dim=(-2, -1))


def average_heatmaps(maps: Sequence[Tensor], image_size: Size, frame: Frame) -> Tensor:
    """Average the maps of several scales, at the resolution of the finest.

    Args:
        maps: (B, K, h, w) each, h and w of any size; values that are not finite count as 0.
        image_size: (H, W) of the network input that all of them cover, px.
        frame: in which the maps are aligned.

    Returns:
        (B, K, h, w) float32, of the size of the finest.
    """
    finest = max(maps, key=torch.Tensor.numel)
    size, shift = finest.shape[-2:], 0.5 if frame == "center" else 0.0
    y, x = (
        (torch.arange(cells, device=finest.device) + shift) * (length / cells)
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


def _between(index: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the two neighboring cells (..., 2) of fractional indices (...), and their weights."""
    low = index.floor()
    fraction = index - low
    first = low.long()
    sides = torch.stack([first, (first + 1).clamp(max=cells - 1)], dim=-1)
    return sides, torch.stack([1 - fraction, fraction], dim=-1)


def _weights(index: Tensor, cells: int) -> Tensor:
    """Return the interpolation matrix (m, cells) of fractional indices (m,)."""
    sides, weights = _between(index, cells)
    return weights.new_zeros(len(index), cells).scatter_add_(1, sides, weights)
