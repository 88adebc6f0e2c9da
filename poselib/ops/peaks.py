"""Peaks of heatmaps: detection of local maxima, and subpixel positions (HAE, Eq. 5).

A *cell* is a pair of integers (column, row) of a map; cell ``(i, j)`` has its center at
``(i + 0.5, j + 0.5)`` in the map's own continuous coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import block_extremes, maxima_in_blocks

Subpixel = Literal["quarter", "neighbor", "parabola", "none"]
SUBPIXEL: tuple[Subpixel, ...] = get_args(Subpixel)

# On a CPU, up to this fraction of all blocks is searched block by block; beyond, whole maps are.
_SPARSE = 1 / 2


@dataclass(frozen=True)
class Peaks:
    """The highest local maxima of each map of a batch, by descending value.

    Attributes:
        cells: (B, K, M, 2) int64, (column, row); (0, 0) for entries that are not a peak.
        values: (B, K, M) float32; 0 for entries that are not a peak.
    """

    cells: Tensor
    values: Tensor


def without_nonfinite(maps: Tensor) -> Tensor:
    """Return float32 maps in which NaN and infinities are -inf, which is never a peak."""
    maps = maps.float()
    return torch.where(maps.isfinite(), maps, -torch.inf)


def finite_maps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 maps without NaN and inf, and the maximum of each of their blocks.

    Args:
        heatmaps: (B, K, h, w); on a CPU they are returned as they are if all values are finite.

    Returns:
        Maps (B, K, h, w), -inf where a value is not finite, and block maxima (B, K, block rows,
        block columns).
    """
    maps = heatmaps.detach().float().contiguous()
    highest = block_extremes(maps, "max")
    # On a GPU the check would synchronize: there it is faster to replace unconditionally.
    if maps.device.type != "cpu" or not (highest < torch.inf).all():  # not so for NaN
        maps = without_nonfinite(maps)
        highest = block_extremes(maps, "max")
    return maps, highest


def local_maxima(heatmaps: Tensor, kernel: int = 5) -> Tensor:
    """Mark the cells that are the maximum of the square window around them.

    Args:
        heatmaps: (B, K, h, w); values that are not finite are never maxima.
        kernel: odd side of the window, in cells; windows are clipped at the border.

    Returns:
        (B, K, h, w) bool; every cell of a plateau is a maximum.

    Raises:
        ValueError: ``kernel`` is even or not positive.
    """
    check_kernel(kernel)
    maps = without_nonfinite(heatmaps)
    radius = kernel // 2
    padded = F.pad(maps, (radius, radius, radius, radius), value=-torch.inf)
    highest = _running_max(_running_max(padded, kernel, -1), kernel, -2)
    return (maps == highest) & (maps > -torch.inf)


def highest_cells(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest cell of each map, (B, K, 2) int64 (column, row), and its value (B, K)."""
    values, index = maps.flatten(2).max(dim=-1)
    width = maps.shape[-1]
    row = index.div(width, rounding_mode="floor")
    return torch.stack([index - row * width, row], dim=-1), values


def check_kernel(kernel: int, name: str = "kernel") -> None:
    """Raise ValueError unless the side of a window is odd and positive."""
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"{name} must be an odd positive number of cells, not {kernel}")


def _running_max(maps: Tensor, window: int, dim: int) -> Tensor:
    """Return the maximum of each full window along one axis, by doubling: log2(window) passes."""
    span, size = 1, maps.shape[dim] - window + 1
    while span < window:
        step = min(span, window - span)
        length = maps.shape[dim] - step
        maps = torch.maximum(maps.narrow(dim, 0, length), maps.narrow(dim, step, length))
        span += step
    return maps.narrow(dim, 0, size)


def find_peaks(
    heatmaps: Tensor,
    count: int = 30,
    kernel: int = 5,
    threshold: float = 0.0,
    block_maxima: Tensor | None = None,
) -> Peaks:
    """Find the highest local maxima of each map.

    Args:
        heatmaps: (B, K, h, w).
        count: peaks to keep per map; fewer are returned if the map has fewer cells.
        kernel: odd side of the window of ``local_maxima``, in cells.
        threshold: minimum value of a peak, exclusive. On a CPU the search takes the longer the more
            blocks exceed it.
        block_maxima: (B, K, block rows, block columns), if ``finite_maps`` returned it with
            ``heatmaps``.

    Returns:
        ``Peaks`` with M = min(count, h * w). Equal peaks are in row order; missing ones are filled
        with value 0.

    Raises:
        ValueError: ``kernel`` is even or not positive, or ``threshold`` is negative or NaN.

    Example:
        >>> heatmaps = torch.zeros(1, 1, 6, 6)
        >>> heatmaps[0, 0, 1, 1], heatmaps[0, 0, 4, 5] = 0.5, 0.9
        >>> find_peaks(heatmaps, count=2).cells.tolist()
        [[[[5, 4], [1, 1]]]]
    """
    check_kernel(kernel)
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative: {threshold}")
    if block_maxima is None:
        heatmaps, block_maxima = finite_maps(heatmaps)
    level = _float32_below(threshold)
    peaks = _search_blocks(heatmaps, block_maxima, kernel, level)
    if peaks is None:
        marked = local_maxima(heatmaps, kernel) & (heatmaps > level)
        peaks = marked.flatten().nonzero().squeeze(1)
    return _highest_of_each(heatmaps, peaks, count)


def _float32_below(threshold: float) -> float:
    """Return the largest float32 not above a number: a float32 of 0.1 does exceed 0.1."""
    level = np.float32(threshold)
    return float(np.nextafter(level, np.float32(0)) if level > np.float64(threshold) else level)


def _search_blocks(
    heatmaps: Tensor, block_maxima: Tensor, kernel: int, level: float
) -> Tensor | None:
    """Return the flat indices of all peaks, or None if whole maps are faster to search."""
    if heatmaps.device.type != "cpu" or kernel == 1:
        return None
    blocks = np.flatnonzero(block_maxima.numpy() > np.float32(level))
    if len(blocks) > _SPARSE * block_maxima.numel():
        return None
    maps = heatmaps.flatten(0, 1).numpy()
    return torch.from_numpy(maxima_in_blocks(maps, blocks, kernel, level))


def _highest_of_each(heatmaps: Tensor, peaks: Tensor, count: int) -> Peaks:
    """Keep the highest peaks of each map; ``peaks`` are ascending flat indices of all cells."""
    images, keypoints, height, width = heatmaps.shape
    maps, count = images * keypoints, min(count, height * width)
    values, order = heatmaps.flatten()[peaks].sort(descending=True, stable=True)
    owner, again = peaks[order].div(height * width, rounding_mode="floor").sort(stable=True)
    order, values = order[again], values[again]
    begins = torch.searchsorted(owner, torch.arange(maps, device=owner.device))
    rank = torch.arange(len(owner), device=owner.device) - begins[owner]
    # Surplus peaks are written to a column of their own, which is cut off.
    slot = owner * (count + 1) + rank.clamp(max=count)
    kept = values.new_zeros(maps * (count + 1)).index_copy(0, slot, values)
    cell = peaks.new_zeros(maps * (count + 1)).index_copy(0, slot, peaks[order] % (height * width))
    cell, kept = (a.unflatten(0, (images, keypoints, count + 1))[..., :count] for a in (cell, kept))
    return Peaks(torch.stack([cell % width, cell // width], dim=-1), kept)


def sample_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Gather L channels of each of K maps at cells.

    Args:
        maps: (B, K, L, h, w).
        cells: (B, K, M, 2) int64, (column, row), inside the maps.

    Returns:
        (B, K, M, L).
    """
    index = cells[..., 1] * maps.shape[-1] + cells[..., 0]
    index = index.unsqueeze(2).expand(-1, -1, maps.shape[2], -1)
    return maps.flatten(3).gather(3, index).transpose(2, 3)


def subpixel_shift(maps: Tensor, channels: Tensor, cells: Tensor, method: Subpixel) -> Tensor:
    """Estimate the shift of each peak from the center of its cell (HAE, Eq. 5).

    ``"quarter"``, as in the official code, shifts a quarter of a cell along each axis towards the
    higher of the two neighbors; with equal ones, towards zero, and at a border outwards, since the
    cell itself replaces its missing neighbor. ``"neighbor"`` takes Eq. (5) literally: a quarter of
    a cell towards the highest of the eight neighbors. ``"parabola"`` fits a parabola along each
    axis to the logarithm of the values, exact for Gaussians, or to the values themselves where one
    is not positive. ``"none"`` stays at the center.

    Args:
        maps: (C, h, w) heatmaps.
        channels: (n,) int64, index of the map of each peak.
        cells: (n, 2) int64, (column, row), inside the maps.
        method: one of ``SUBPIXEL``.

    Returns:
        (n, 2) float32, (x, y) in cells, within +-0.5.

    Raises:
        ValueError: the method is unknown.

    Example:
        >>> maps = torch.tensor([[[0.1, 0.9, 0.3]]])
        >>> subpixel_shift(maps, torch.tensor([0]), torch.tensor([[1, 0]]), "neighbor")
        tensor([[0.2500, 0.0000]])
    """
    if method not in SUBPIXEL:
        raise ValueError(f"unknown subpixel method {method!r}; known: {SUBPIXEL}")
    if method == "none" or len(cells) == 0:
        return torch.zeros(cells.shape, dtype=torch.float32, device=maps.device)
    if method == "quarter":
        low, high = (_beside(maps, channels, cells, step) for step in (-1, 1))
        return torch.where(high > low, 0.25, -0.25)
    patches, inside = _patches(maps, channels, cells)
    if method == "neighbor":
        return _neighbor_shift(patches.masked_fill(~inside, -torch.inf))
    return _parabola_shift(patches, inside)


def _beside(maps: Tensor, channels: Tensor, cells: Tensor, step: int) -> Tensor:
    """Return the values (n, 2) one step along the row and along the column, clamped to the map."""
    height, width = maps.shape[-2:]
    x, y = cells.unbind(dim=1)
    along = [
        y * width + (x + step).clamp(0, width - 1),
        (y + step).clamp(0, height - 1) * width + x,
    ]
    return without_nonfinite(
        maps.take(torch.stack(along, dim=1) + channels[:, None] * height * width)
    )


def _patches(maps: Tensor, channels: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return patches (n, 3, 3), rows first, and which of their cells are inside the map."""
    height, width = maps.shape[-2:]
    step = torch.arange(-1, 2, device=maps.device)
    x, y = cells[:, 0, None] + step, cells[:, 1, None] + step
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    rows, columns = y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]
    return without_nonfinite(maps[channels[:, None, None], rows, columns]), inside


def _neighbor_shift(patches: Tensor) -> Tensor:
    flat = patches.flatten(1).clone()
    flat[:, 4] = -torch.inf
    best = flat.argmax(dim=1)
    step = torch.stack([best % 3 - 1, best.div(3, rounding_mode="floor") - 1], dim=1).float()
    exists = flat.amax(dim=1, keepdim=True) > -torch.inf  # a map of one cell has no neighbor
    return torch.where(exists, 0.25 * step / step.norm(dim=1, keepdim=True).clamp(min=1), 0.0)


def _parabola_shift(patches: Tensor, inside: Tensor) -> Tensor:
    cross = ([1, 0], [0, 1]), ([1, 1], [1, 1]), ([1, 2], [2, 1])
    low, center, high = (patches[:, rows, columns] for rows, columns in cross)
    complete = inside[:, [1, 0], [0, 1]] & inside[:, [1, 2], [2, 1]]
    positive = (low > 0) & (center > 0) & (high > 0)
    low, center, high = (
        torch.where(positive, v.clamp(min=1e-30).log(), v) for v in (low, center, high)
    )
    bend = low - 2 * center + high
    shift = 0.5 * (low - high) / bend
    valid = complete & (bend < 0) & shift.isfinite()
    return torch.where(valid, shift, 0.0).clamp(-0.5, 0.5)
