"""Bilinear sampling of maps in windows around the keypoints of poses.

The cells of a window form a grid, so that bilinear interpolation, and a Gaussian around the center,
are products of a factor along x and one along y. A sampled value is a weighted sum of a few rows of
a table, which torch computes for all cells at once. Gradients flow to maps and points.
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

# Poses that are sampled together, on a CPU and on other devices.
_CPU_CHUNK, _GPU_CHUNK = 16, 512


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
    radius = window // 2
    return torch.arange(-radius, radius + 1, dtype=torch.float32, device=device)


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
    """Sample each of K maps in a Gaussian window around its keypoint (LOGO-CAP, Eq. 1).

    Args:
        maps: (B, K, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the centers of the windows.
        window: odd side of a window, in cells.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighboring cells of a window.
        sigma: standard deviation of the Gaussian around the center, px; None for equal weights. The
            official code sets weights below 1e-4 to zero; within three deviations, as in the paper,
            there are none.
        frame: of the points. In ``"index"`` the maps are upsampled to the image first and sampled
            between its pixels, as in the official code.

    Returns:
        (n, K, window, window) float32, or float64 as the maps, rows first. Outside the image the
        value of the border is repeated.

    Raises:
        ValueError: the window is not odd and positive.
    """
    steps = step * window_steps(window, points.device)
    interpolate = _between_pixels if frame == "index" else _between_cells
    extent = step * (window - 1) + 1

    def along(axis: int, length: int, cells: int) -> tuple[Tensor, Interpolation]:
        interpolation = interpolate(points[..., axis, None] + steps, length, cells)
        return _relative(interpolation, extent * cells / length, cells)

    columns, across = along(0, image_size[1], maps.shape[3])
    rows, down = along(1, image_size[0], maps.shape[2])
    if sigma is not None:
        gaussian = torch.exp(-steps.square() / (2 * sigma**2))[:, None]
        across, down = (
            Interpolation(each.cells, each.weights * gaussian) for each in (across, down)
        )
    # Columns are interpolated first: they are short.
    patches = _finite(_cut(maps, images, rows, columns))
    return _interpolated(_interpolated(patches, across).mT.contiguous(), down)


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
    """Sample all channels of maps in a window around each keypoint (LOGO-CAP, Sec. 3.1).

    Args:
        maps: (B, D, h, w) float; values that are not finite count as 0.
        images: (n,) int64, the image of each pose.
        points: (n, K, 2) float, finite, px of the frame: the centers of the windows.
        rates: (K,), spacing of the cells of each keypoint's window, in steps.
        window: odd side of a window, in cells.
        image_size: (H, W) of the network input that the maps cover, px.
        step: px between neighboring cells of a keypoint whose rate is 1.
        frame: of the points. In ``"index"`` cell i has its value at pixel i * stride.

    Returns:
        (n, K * D, window, window) float32, or float64 as the maps, keypoint by keypoint, rows
        first. Outside the image the value of the border is repeated.

    Raises:
        ValueError: the window is not odd and positive.
    """
    # Contiguous rows of a table are read faster than strided channels.
    table = _finite(maps.permute(0, 2, 3, 1).contiguous())
    steps = step * rates.to(points)[:, None] * window_steps(window, points.device)
    shift = 0.5 if frame == "index" else 0.0

    def along(px: Tensor, length: int, cells: int) -> Interpolation:
        return _between_cells(px[..., None] + steps + shift * length / cells, length, cells)

    def read(rows: slice) -> Tensor:
        x, y = points[rows].unbind(dim=-1)
        across = along(x, image_size[1], maps.shape[3])
        down = along(y, image_size[0], maps.shape[2])
        return _sample_table(table, images[rows], across, down)

    parts = chunks(points)
    if len(parts) == 1 or torch.is_grad_enabled():
        sampled = torch.cat([read(rows) for rows in parts])
    else:
        # Chunks beside the whole are more memory than a process keeps, and to request it from the
        # system again takes longer than sampling.
        sampled = table.new_empty((*points.shape[:2], maps.shape[1], window**2))
        for rows in parts:
            sampled[rows] = read(rows)
    return sampled.view(len(points), points.shape[1] * maps.shape[1], window, window)


def chunks(points: Tensor) -> list[slice]:
    """Divide poses (n, ...) into chunks of about equal size that are sampled together.

    On a CPU small chunks are faster: the process keeps their memory for the next one instead of
    returning it to the system, which some do from 30 poses on. A GPU is busy only with many.
    """
    size = _CPU_CHUNK if points.device.type == "cpu" else _GPU_CHUNK
    count = max(1, math.ceil(len(points) / size))
    length = max(1, math.ceil(len(points) / count))
    return [slice(index * length, (index + 1) * length) for index in range(count)]


class Interpolation(NamedTuple):
    """Interpolation along an axis: each cell of a window as a weighted sum of e cells of the map.

    Attributes:
        cells: (n, K, r, e) int64, indices along the axis, or relative to the first one of a window.
        weights: (n, K, r, e) float.
    """

    cells: Tensor
    weights: Tensor


def _between_cells(px: Tensor, length: int, cells: int) -> Interpolation:
    """Interpolate at coordinates (n, K, r), px, between the two neighboring cells."""
    index = (px * (cells / length) - 0.5).clamp(0, cells - 1)
    low = index.floor()
    first, right = low.long(), index - low
    second = (first + 1).clamp(max=cells - 1)
    return Interpolation(torch.stack([first, second], -1), torch.stack([1 - right, right], -1))


def _between_pixels(px: Tensor, length: int, cells: int) -> Interpolation:
    """Interpolate at coordinates (n, K, r), px, between two pixels of maps upsampled to the image.

    Pixel i of an upsampled map is at cell (i + 0.5) / stride - 0.5.
    """
    low = px.floor()
    fraction = (px - low)[..., None]
    pixels = [(low + step).clamp(0, length - 1) + 0.5 for step in (0, 1)]
    left, right = (_between_cells(pixel, length, cells) for pixel in pixels)
    weights = torch.cat([(1 - fraction) * left.weights, fraction * right.weights], -1)
    return Interpolation(torch.cat([left.cells, right.cells], -1), weights)


def _relative(
    interpolation: Interpolation, extent: float, cells: int
) -> tuple[Tensor, Interpolation]:
    """Return the s cells (n, K, s) that windows of a given extent cover, and indices among them."""
    span = min(int(extent + 1) + 2, cells)
    first = interpolation.cells.amin(dim=(-2, -1))[..., None]
    covered = (first + torch.arange(span, device=first.device)).clamp(max=cells - 1)
    return covered, Interpolation(interpolation.cells - first[..., None], interpolation.weights)


def _cut(maps: Tensor, images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Extract rows (n, K, s) and columns (n, K, t) of maps (B, K, h, w): (n, K, t, s)."""
    _, kinds, height, width = maps.shape
    each = images[:, None] * kinds + torch.arange(kinds, device=maps.device)
    lines = (each[..., None] * height + rows) * width
    index = lines[..., None, :] + columns[..., :, None]
    # One flat index is three times as fast as one for each dimension.
    return maps.reshape(-1).index_select(0, index.flatten()).view(index.shape)


def _interpolated(patches: Tensor, interpolation: Interpolation) -> Tensor:
    """Interpolate the rows of patches (n, K, s, D): (n, K, r, D)."""
    people, kinds, span, width = patches.shape
    first = torch.arange(0, people * kinds * span, span, device=patches.device)
    rows = interpolation.cells + first.view(people, kinds, 1, 1)
    sums = _weighted_sums(patches.reshape(-1, width), rows, interpolation.weights)
    return sums.view(people, kinds, interpolation.cells.shape[2], width)


def _sample_table(
    table: Tensor, images: Tensor, across: Interpolation, down: Interpolation
) -> Tensor:
    """Interpolate a table (B, h, w, D) at the cells of windows: (n, K, D, r * r)."""
    height, width, channels = table.shape[1:]
    lines = (images[:, None, None, None] * height + down.cells) * width
    # All four neighbors in one dimension: torch is slow at many dimensions of two.
    columns, right = (each.repeat(1, 1, 1, 2)[:, :, None] for each in across)
    rows, below = (each.repeat_interleave(2, -1)[:, :, :, None] for each in (lines, down.weights))
    sums = _weighted_sums(table.view(-1, channels), rows + columns, below * right)
    people, kinds, window = across.cells.shape[:3]
    return sums.view(people, kinds, window**2, channels).mT


def _weighted_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Compute weighted sums (m, D) of the rows (..., e) of a table (cells, D)."""
    count = rows.shape[-1]
    sums: Tensor = _WeightedSums.apply(
        table, rows.view(-1, count), weights.to(table).view(-1, count)
    )
    return sums


class _WeightedSums(torch.autograd.Function):
    """Weighted sums of rows, with a gradient that is a weighted sum too, of rows found by sorting.

    torch's own gradient takes twice as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return F.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, rows, weights = ctx.saved_tensors
        of_table = of_weights = None
        if ctx.needs_input_grad[0]:
            cells, order = rows.flatten().int().sort()  # int64 takes twice as long
            each = torch.arange(len(table), dtype=cells.dtype, device=cells.device)
            first = torch.searchsorted(cells, each)
            of_table = F.embedding_bag(
                order.div(rows.shape[1], rounding_mode="floor"),
                gradient.contiguous(),
                first,
                per_sample_weights=weights.flatten()[order],
                mode="sum",
            )
        if ctx.needs_input_grad[2]:
            of_weights = (table[rows] * gradient[:, None]).sum(dim=-1)
        return of_table, None, of_weights


def _finite(maps: Tensor) -> Tensor:
    maps = maps if maps.dtype == torch.float64 else maps.float()
    return maps.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
