"""Maps enlarged bilinearly, of which only what is read is ever computed.

Along an axis each cell of an enlarged map is a weighted mean of a few neighbors in the small one,
however many steps lie between the two: to read a window, the cells that it is made of are cut out
and multiplied with the weights of both axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import SIDE, block_starts
from poselib.structures import Size
from poselib.typing import Float32Array, IntArray

# Values that are added in another order differ by less than this part of a map's largest.
_ROUNDING = 1e-6


class LazyUpsampled:
    """Maps as they would be if they were enlarged."""

    def __init__(self, maps: Tensor, sizes: Sequence[Size]) -> None:
        """Look at maps (M, L, h, w), finite float32 on a CPU, enlarged to each size in turn."""
        self._maps = maps.detach().numpy()
        self._steps = tuple(
            (length, tuple(size[axis] for size in sizes))
            for axis, length in enumerate(maps.shape[-2:])
        )

    def sample(self, cells: Tensor) -> Tensor:
        """Read whole cells (B, K, n, 2) of B * K maps, as ``sample_cells`` does: (B, K, n, L)."""
        x, y = cells.flatten(0, 2).T.numpy()
        which = np.arange(len(self._maps)).repeat(cells.shape[2])
        read = torch.from_numpy(self._read(which, y, x, side=1))
        return read.view(*cells.shape[:3], self._maps.shape[1])

    def cut(self, which: IntArray, blocks: IntArray) -> Float32Array:
        """Return blocks (n,) of maps (n,), as ``BlockExtrema.cut`` does: (n, L, cells)."""
        y, x = np.divmod(blocks, len(_windows(*self._steps[1], SIDE).first))
        cut = self._read(which, y, x, SIDE)
        return cut.reshape(*cut.shape[:2], -1)

    def bounds(self, which: IntArray, side: int) -> tuple[Tensor, Tensor]:
        """Bound each column of each run of rows of maps (m,), as ``BlockExtrema.bounds`` does.

        Extremes are taken over the small maps' rows that a run is made of, and then enlarged along
        the columns: weighted means lie between those of the extremes.
        """
        runs, maps = _windows(*self._steps[0], side), self._maps[which]
        rows = maps[:, :, runs.first[:, None] + np.arange(runs.weights.shape[2])]
        low, high = (torch.from_numpy(reduce(rows, axis=3)) for reduce in (np.min, np.max))
        margin = _ROUNDING * torch.from_numpy(np.abs(maps).max(axis=(1, 2, 3), keepdims=True))
        return self._widened(low) - margin, self._widened(high) + margin

    def _widened(self, rows: Tensor) -> Tensor:
        wide = rows.flatten(0, 1)
        for width in self._steps[1][1]:
            wide = F.interpolate(wide, width, mode="linear")
        return wide.unflatten(0, rows.shape[:2])

    def _read(self, which: IntArray, y: IntArray, x: IntArray, side: int) -> Float32Array:
        """Return windows (n,) of maps (n,), (n, L, rows, columns)."""
        rows, columns = (_windows(*steps, side) for steps in self._steps)
        spans = rows.weights.shape[2], columns.weights.shape[2]
        patches = sliding_window_view(self._maps, spans, axis=(-2, -1))
        patch = patches[which, :, rows.first[y], columns.first[x]]
        read: Float32Array = rows.weights[y, None] @ patch @ columns.weights[x, None].mT
        return read


@dataclass(frozen=True)
class _Windows:
    """Windows of cells along an axis, and what they are made of.

    Attributes:
        first: (n,), the first cell of the small maps that takes part in each.
        weights: (n, cells, span), what it and those behind it have in each cell of the window.
    """

    first: IntArray
    weights: Float32Array


@lru_cache(maxsize=64)
def _windows(length: int, sizes: tuple[int, ...], side: int) -> _Windows:
    """Divide an axis, enlarged from ``length`` to each size in turn, as ``BlockExtrema`` does."""
    axis = torch.eye(length)[None]
    for size in sizes:
        axis = F.interpolate(axis, size, mode="linear")
    cells = block_starts(sizes[-1], side)[:, None] + np.arange(min(side, sizes[-1]))
    weights = axis[0].T.numpy()[cells]  # (n, cells, length)
    used = weights.any(axis=1)
    first, beyond = used.argmax(axis=1), length - used[:, ::-1].argmax(axis=1)
    span = (beyond - first).max()
    first = np.minimum(first, length - span)
    taken = first[:, None, None] + np.arange(span)
    return _Windows(first, np.take_along_axis(weights, taken, axis=2))
