"""What maps say in windows around the keypoints of poses.

The places of a window form a grid, so that bilinear interpolation, and a Gaussian around the
middle, are products of a factor along x and one along y. What lies at a place is a weighted sum of
a few rows of a table, which torch takes of all places at once. Gradients flow to maps and points.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from poselib.ops.map_coordinates import Frame
from poselib.structures import Size

# Poses that are looked at together, on a CPU and elsewhere.
_FEW, _MANY = 16, 512


def window_steps(window: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the offsets of the cells along an axis of a window, 0 at its center.

    LOGO-CAP's Algorithm 1 has ``arange(-r, r)``, one short of the window that it names.

    Args:
        window: odd side, in cells.
        device: of the result.

    Returns:
        (window,) float32, from ``-(window // 2)`` to ``window // 2``.

    Raises:
        ValueError: the window is not odd and positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a window must have an odd positive side, not {window}")
    reach = window // 2
    return torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)


def sample_windows(
    maps: Tensor,
    images: Tensor,
    points: Tensor,
    window: int,
    image_size: Size,
    *,
    step: float = 1.0,
    sigma: float | None = None,
    frame: Frame = "center",
) -> Tensor:
    """Read each of K maps in a window around its keypoint, weighed by a Gaussian (LOGO-CAP, Eq. 1).

    Args:
        maps: (B, K, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the middles of the windows.
        window: odd side of a window, in places.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighboring places.
        sigma: standard deviation of the Gaussian around the middle, px; none if not given. The
            official code makes weights below 1e-4 zero; three deviations to either side, as in the
            paper, have none.
        frame: of the points. In ``"index"`` the maps are enlarged to the image first and read
            between its pixels, as in the published code.

    Returns:
        (n, K, window, window) float32, or float64 as the maps, rows first. Beyond the image the
        border's value is read.

    Raises:
        ValueError: the window is not odd and positive.
    """
    steps = step * window_steps(window, points.device)
    places = _enlarged if frame == "index" else _between_cells
    reach = step * (window - 1) + 1

    def along(axis: int, length: int, cells: int) -> tuple[Tensor, Interpolation]:
        interpolation = places(points[..., axis, None] + steps, length, cells)
        return _from_first(interpolation, reach * cells / length, cells)

    columns, across = along(0, image_size[1], maps.shape[3])
    rows, down = along(1, image_size[0], maps.shape[2])
    if sigma is not None:
        gaussian = torch.exp(-steps.square() / (2 * sigma**2))[:, None]
        across, down = (
            Interpolation(each.cells, each.weights * gaussian) for each in (across, down)
        )
    # Columns are weighed first: they are short.
    under = _finite(_cut(maps, images, rows, columns))
    return _weighed(_weighed(under, across).mT.contiguous(), down)


def sample_features(
    maps: Tensor,
    images: Tensor,
    points: Tensor,
    rates: Tensor,
    window: int,
    image_size: Size,
    *,
    step: float = 1.0,
    frame: Frame = "center",
) -> Tensor:
    """Read all channels of maps in a window around each keypoint (LOGO-CAP, Sec. 3.1).

    Args:
        maps: (B, D, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the middles of the windows.
        rates: (K,), how far apart the places of each keypoint lie, in steps.
        window: odd side of a window, in places.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighboring places of a keypoint whose rate is 1.
        frame: of the points. In ``"index"`` cell i has its value at pixel i * stride.

    Returns:
        (n, K * D, window, window) float32, or float64 as the maps, keypoint after keypoint, rows
        first. Beyond the image the border's value is read.

    Raises:
        ValueError: the window is not odd and positive.
    """
    # Rows of a table are read faster than channels that lie apart.
    table = _finite(maps.permute(0, 2, 3, 1).contiguous())
    steps = step * rates.to(points)[:, None] * window_steps(window, points.device)
    shift = 0.5 if frame == "index" else 0.0

    def along(px: Tensor, length: int, cells: int) -> Interpolation:
        return _between_cells(px[..., None] + steps + shift * length / cells, length, cells)

    def read(rows: slice) -> Tensor:
        x, y = points[rows].unbind(dim=-1)
        across = along(x, image_size[1], maps.shape[3])
        down = along(y, image_size[0], maps.shape[2])
        return _corners(table, images[rows], across, down)

    parts = chunks(points)
    if len(parts) == 1 or torch.is_grad_enabled():
        found = torch.cat([read(rows) for rows in parts])
    else:
        # Parts beside the whole are more memory than a process keeps, and to ask the system for it
        # again takes longer than interpolation.
        found = table.new_empty((*points.shape[:2], maps.shape[1], window**2))
        for rows in parts:
            found[rows] = read(rows)
    return found.view(len(points), points.shape[1] * maps.shape[1], window, window)


def chunks(points: Tensor) -> list[slice]:
    """Return which poses (n, ...) are to be looked at together, all of them in order.

    On a CPU few at once are quicker: a process keeps the memory for the next ones instead of giving
    it back, which some processes do from 30 poses on. A GPU has work for many.
    """
    most = _FEW if points.device.type == "cpu" else _MANY
    parts = max(1, math.ceil(len(points) / most))
    count = max(1, math.ceil(len(points) / parts))
    return [slice(part * count, (part + 1) * count) for part in range(parts)]


class Interpolation(NamedTuple):
    """How the places of windows are read along an axis: as weighted sums of few cells.

    Attributes:
        cells: (n, K, r, e) int64, from 0 to those of the axis, or from the first one of a window.
        weights: (n, K, r, e) of each.
    """

    cells: Tensor
    weights: Tensor


def _between_cells(px: Tensor, length: int, cells: int) -> Interpolation:
    """Read (n, K, r) px of an axis between the two cells on either side."""
    where = (px * (cells / length) - 0.5).clamp(0, cells - 1)
    low = where.floor()
    first, right = low.long(), where - low
    beside = (first + 1).clamp(max=cells - 1)
    return Interpolation(torch.stack([first, beside], -1), torch.stack([1 - right, right], -1))


def _enlarged(px: Tensor, length: int, cells: int) -> Interpolation:
    """Read (n, K, r) px of an axis between the two pixels on either side, of enlarged cells.

    Pixel i of a map that is enlarged to the image lies at (i + 0.5) / stride - 0.5.
    """
    low = px.floor()
    share = (px - low)[..., None]
    pixels = [(low + more).clamp(0, length - 1) + 0.5 for more in (0, 1)]
    left, right = (_between_cells(pixel, length, cells) for pixel in pixels)
    weights = torch.cat([(1 - share) * left.weights, share * right.weights], -1)
    return Interpolation(torch.cat([left.cells, right.cells], -1), weights)


def _from_first(
    interpolation: Interpolation, reach: float, cells: int
) -> tuple[Tensor, Interpolation]:
    """Return the cells under windows that reach over so many, (n, K, s), and how these are read."""
    span = min(int(reach + 1) + 2, cells)
    first = interpolation.cells.amin(dim=(-2, -1))[..., None]
    under = (first + torch.arange(span, device=first.device)).clamp(max=cells - 1)
    return under, Interpolation(interpolation.cells - first[..., None], interpolation.weights)


def _cut(maps: Tensor, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Cut rows (n, K, s) and columns (n, K, t) out of (B, K, h, w): (n, K, t, s)."""
    _, kinds, height, width = maps.shape
    each = images[:, None] * kinds + torch.arange(kinds, device=maps.device)
    lines = (each[..., None] * height + rows) * width
    chosen = lines[..., None, :] + columns[..., :, None]
    # One index into all numbers is three times as fast as one for each dimension.
    return maps.reshape(-1).index_select(0, chosen.flatten()).view(chosen.shape)


def _weighed(windows: Tensor, interpolation: Interpolation) -> Tensor:
    """Read rows of windows (n, K, s, D) at the places of an axis: (n, K, r, D)."""
    people, kinds, span, width = windows.shape
    first = torch.arange(0, people * kinds * span, span, device=windows.device)
    chosen = interpolation.cells + first.view(people, kinds, 1, 1)
    found = _sums(windows.reshape(-1, width), chosen, interpolation.weights)
    return found.view(people, kinds, interpolation.cells.shape[2], width)


def _corners(table: Tensor, images: Tensor, across: Interpolation, down: Interpolation) -> Tensor:
    """Read (B, h, w, D) at the places of windows, at each between four cells: (n, K, D, r * r)."""
    height, width, channels = table.shape[1:]
    lines = (images[:, None, None, None] * height + down.cells) * width
    # All four cells of a place side by side: torch is slow at many dimensions of two.
    columns, right = (each.repeat(1, 1, 1, 2)[:, :, None] for each in across)
    rows, below = (each.repeat_interleave(2, -1)[:, :, :, None] for each in (lines, down.weights))
    read = _sums(table.view(-1, channels), rows + columns, below * right)
    people, kinds, window = across.cells.shape[:3]
    return read.view(people, kinds, window**2, channels).mT


def _sums(table: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """Sum chosen rows (..., e) of a table (cells, D), each with a weight: (m, D)."""
    count = chosen.shape[-1]
    sums: Tensor = _Sums.apply(table, chosen.view(-1, count), weights.to(table).view(-1, count))
    return sums


class _Sums(torch.autograd.Function):
    """Weighted sums of rows; their gradient is one, of rows that are found by sorting.

    torch's own gradient takes twice as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, chosen, weights)
        return F.embedding_bag(chosen, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, chosen, weights = ctx.saved_tensors
        of_table = of_weights = None
        if ctx.needs_input_grad[0]:
            cells, order = chosen.flatten().int().sort()  # half as long as of int64
            each = torch.arange(len(table), dtype=cells.dtype, device=cells.device)
            first = torch.searchsorted(cells, each)
            of_table = F.embedding_bag(
                order.div(chosen.shape[1], rounding_mode="floor"),
                gradient.contiguous(),
                first,
                per_sample_weights=weights.flatten()[order],
                mode="sum",
            )
        if ctx.needs_input_grad[2]:
            of_weights = (table[chosen] * gradient[:, None]).sum(dim=-1)
        return of_table, None, of_weights


def _finite(maps: Tensor) -> Tensor:
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return maps.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
