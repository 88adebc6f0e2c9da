"""Peaks of heatmaps: where they are, how high, and where between the cells.

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

# On a CPU, up to this part of all blocks is searched block by block; beyond, whole maps are.
_FEW = 1 / 2


@dataclass(frozen=True)
class Peaks:
    """The highest local maxima of each map of a batch, highest first.

    Attributes:
        cells: (B, K, M, 2) int64, (column, row); (0, 0) for entries that are not a peak.
        values: (B, K, M) float32; 0 for entries that are not a peak.
    """

    cells: Tensor
    values: Tensor


def without_nonfinite(maps: Tensor) -> Tensor:
    """Return float32 maps in which NaN and both infinities are -inf: never a peak."""
    maps = maps.float()
    return torch.where(maps.isfinite(), maps, -torch.inf)


def finite_maps(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return float32 maps without NaN and inf, and the highest value of each of their blocks.

    Args:
        heatmaps: (B, K, h, w); on a CPU they come back as they are if nothing is to be replaced.

    Returns:
        (B, K, h, w), with -inf for what is not finite, and (B, K, block rows, block columns).
    """
    maps = heatmaps.detach().float().contiguous()
    highest = block_extremes(maps, "max")
    # A GPU would have to be waited for: there it is quicker to replace than to ask.
    if maps.device.type != "cpu" or not (highest < torch.inf).all():  # not so for NaN
        maps = without_nonfinite(maps)
        highest = block_extremes(maps, "max")
    return maps, highest


def local_maxima(heatmaps: Tensor, kernel: int = 5) -> Tensor:
    """Mark the cells that nothing within a square window exceeds.

    Args:
        heatmaps: (B, K, h, w); values that are not finite are no maxima.
        kernel: odd side of the window, in cells; windows are cut at the border.

    Returns:
        (B, K, h, w) bool; every cell of a plateau is a maximum.

    Raises:
        ValueError: ``kernel`` is even or not positive.
    """
    _check_kernel(kernel)
    maps = without_nonfinite(heatmaps)
    reach = kernel // 2
    padded = F.pad(maps, (reach, reach, reach, reach), value=-torch.inf)
    highest = _running_max(_running_max(padded, kernel, -1), kernel, -2)
    return (maps == highest) & (maps > -torch.inf)


def _check_kernel(kernel: int) -> None:
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be an odd positive number of cells, not {kernel}")


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
    highest: Tensor | None = None,
) -> Peaks:
    """Find the highest local maxima of each map.

    Args:
        heatmaps: (B, K, h, w).
        count: peaks to keep per map; fewer are returned where the map has fewer cells.
        kernel: odd side of the window of ``local_maxima``, in cells.
        threshold: only what exceeds it is a peak; on a CPU the search takes the longer the more
            blocks do.
        highest: (B, K, block rows, block columns), if it was returned with ``heatmaps`` by
            ``finite_maps``.

    Returns:
        ``Peaks`` with M = min(count, h * w). Of equally high ones the first in row order comes
        first; what a map lacks is filled with value 0.

    Raises:
        ValueError: ``kernel`` is even or not positive, or ``threshold`` is negative or NaN.
    """
    _check_kernel(kernel)
    if not threshold >= 0:
        raise ValueError(f"threshold must not be negative: {threshold}")
    if highest is None:
        heatmaps, highest = finite_maps(heatmaps)
    level = _exceeded(threshold)
    found = _in_few_blocks(heatmaps, highest, kernel, level)
    if found is None:
        peaks = local_maxima(heatmaps, kernel) & (heatmaps > level)
        found = peaks.flatten().nonzero().squeeze(1)
    return _first_of_each(heatmaps, found, count)


def _exceeded(threshold: float) -> float:
    """Return the highest float32 that is not above a number: a float32 0.1 does exceed 0.1."""
    level = np.float32(threshold)
    return float(np.nextafter(level, np.float32(0)) if level > np.float64(threshold) else level)


def _in_few_blocks(heatmaps: Tensor, highest: Tensor, kernel: int, level: float) -> Tensor | None:
    """Return which of all cells are peaks, or None where whole maps are quicker to search."""
    if heatmaps.device.type != "cpu" or kernel == 1:
        return None
    blocks = np.flatnonzero(highest.numpy() > np.float32(level))
    if len(blocks) > _FEW * highest.numel():
        return None
    maps = heatmaps.flatten(0, 1).numpy()
    return torch.from_numpy(maxima_in_blocks(maps, blocks, kernel, level))


def _first_of_each(heatmaps: Tensor, found: Tensor, count: int) -> Peaks:
    """Keep the highest of the peaks, given by ascending places in all cells, of each map."""
    images, keypoints, height, width = heatmaps.shape
    maps, count = images * keypoints, min(count, height * width)
    values, order = heatmaps.flatten()[found].sort(descending=True, stable=True)
    which, again = found[order].div(height * width, rounding_mode="floor").sort(stable=True)
    order, values = order[again], values[again]
    begins = torch.searchsorted(which, torch.arange(maps, device=which.device))
    rank = torch.arange(len(which), device=which.device) - begins[which]
    # Those that come too late fall into a column of their own, which is cut off.
    place = which * (count + 1) + rank.clamp(max=count)
    heat = values.new_zeros(maps * (count + 1)).index_copy(0, place, values)
    cell = found.new_zeros(maps * (count + 1)).index_copy(0, place, found[order] % (height * width))
    cell, heat = (a.unflatten(0, (images, keypoints, count + 1))[..., :count] for a in (cell, heat))
    return Peaks(torch.stack([cell % width, cell // width], dim=-1), heat)


def sample_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Read L channels of each of K maps at whole cells.

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
    """Estimate how far each peak lies from the center of its cell (HAE, Eq. 5).

    ``"quarter"``, the reading of the published code, moves a quarter of a cell along each axis
    towards the higher of the two neighbors; with equal ones, towards zero, and at a border
    outwards, since the cell stands in for its missing neighbor. ``"neighbor"`` takes Eq. (5)
    literally: a quarter of a cell towards the highest of the eight neighbors. ``"parabola"``
    fits a parabola along each axis to the logarithm of the heat, exact for Gaussians, or to the
    heat itself where it is not positive. ``"none"`` stays at the center.

    Args:
        maps: (C, h, w) heatmaps.
        channels: (n,) int64, the map of each peak.
        cells: (n, 2) int64, (column, row), inside the maps.
        method: one of ``SUBPIXEL``.

    Returns:
        (n, 2) float32, (x, y) in cells, within +-0.5.

    Raises:
        ValueError: the method is unknown.
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
        return _towards_highest(patches.masked_fill(~inside, -torch.inf))
    return _parabola(patches, inside)


def _beside(maps: Tensor, channels: Tensor, cells: Tensor, step: int) -> Tensor:
    """Read, (n, 2), the cell one step along the row and the one along the column, or the border."""
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
    """Cut (n, 3, 3) patches, rows first, and say which of their cells lie inside the map."""
    height, width = maps.shape[-2:]
    step = torch.arange(-1, 2, device=maps.device)
    x, y = cells[:, 0, None] + step, cells[:, 1, None] + step
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    rows, columns = y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None, :]
    return without_nonfinite(maps[channels[:, None, None], rows, columns]), inside


def _towards_highest(patches: Tensor) -> Tensor:
    flat = patches.flatten(1).clone()
    flat[:, 4] = -torch.inf
    best = flat.argmax(dim=1)
    step = torch.stack([best % 3 - 1, best.div(3, rounding_mode="floor") - 1], dim=1).float()
    exists = flat.amax(dim=1, keepdim=True) > -torch.inf  # a map of one cell has no neighbor
    return torch.where(exists, 0.25 * step / step.norm(dim=1, keepdim=True).clamp(min=1), 0.0)


def _parabola(patches: Tensor, inside: Tensor) -> Tensor:
    cross = ([1, 0], [0, 1]), ([1, 1], [1, 1]), ([1, 2], [2, 1])
    low, center, high = (patches[:, rows, columns] for rows, columns in cross)
    complete = inside[:, [1, 0], [0, 1]] & inside[:, [1, 2], [2, 1]]
    positive = (low > 0) & (center > 0) & (high > 0)
    low, center, high = (
        torch.where(positive, v.clamp(min=1e-30).log(), v) for v in (low, center, high)
    )
    bend = low - 2 * center + high
    shift = 0.5 * (low - high) / bend
    usable = complete & (bend < 0) & shift.isfinite()
    return torch.where(usable, shift, 0.0).clamp(-0.5, 0.5)
