"""Lazy bilinear upsampling of maps: only the cells that are read are computed.

Along an axis each cell of an upsampled map is a weighted mean of a few neighbors in the small one,
however many steps of upsampling there are: to read a window, the small cells that contribute are
extracted and multiplied by the weights of both axes.
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

# Sums in another order differ by less than this fraction of a map's largest value.
_ROUNDING = 1e-6


class LazyUpsampled:
    """Maps that read like their bilinear upsampling."""

    def __init__(self, maps: Tensor, sizes: Sequence[Size], aligned: bool = False) -> None:
        """Take maps (M, L, h, w), finite float32 on a CPU, to be upsampled to each size in turn.

        With ``aligned`` the outermost values stay, as with ``align_corners`` of PyTorch.
        """
        self._maps = maps.detach().numpy()
        self._steps = tuple(
            (length, tuple(size[axis] for size in sizes), aligned)
            for axis, length in enumerate(maps.shape[-2:])
        )

    def sample(self, cells: Tensor) -> Tensor:
        """Read whole cells (B, K, n, 2) of B * K maps, as ``sample_cells`` does: (B, K, n, L)."""
        x, y = cells.flatten(0, 2).T.numpy()
        maps = np.arange(len(self._maps)).repeat(cells.shape[2])
        values = torch.from_numpy(self._read(maps, y, x, side=1))
        return values.view(*cells.shape[:3], self._maps.shape[1])

    def cut(self, maps: IntArray, blocks: IntArray) -> Float32Array:
        """Return blocks (n,) of maps (n,), as ``BlockExtrema.cut`` does: (n, L, cells)."""
        y, x = np.divmod(blocks, len(_windows(*self._steps[1], SIDE).first))
        windows = self._read(maps, y, x, SIDE)
        return windows.reshape(*windows.shape[:2], -1)

    def bounds(self, maps: IntArray, side: int) -> tuple[Tensor, Tensor]:
        """Bound each column of each run of rows of maps (m,), as ``BlockExtrema.bounds`` does.

        Extremes are taken over the small rows that contribute to a run, and then upsampled along
        the columns: weighted means lie between those of the extremes.
        """
        runs, small = _windows(*self._steps[0], side), self._maps[maps]
        rows = small[:, :, runs.first[:, None] + np.arange(runs.weights.shape[2])]
        low, high = (torch.from_numpy(reduce(rows, axis=3)) for reduce in (np.min, np.max))
        margin = _ROUNDING * torch.from_numpy(np.abs(small).max(axis=(1, 2, 3), keepdims=True))
        return self._widen(low) - margin, self._widen(high) + margin

    def _widen(self, rows: Tensor) -> Tensor:
        _, widths, aligned = self._steps[1]
        return _upsampled(rows.flatten(0, 1), widths, aligned).unflatten(0, rows.shape[:2])

    def _read(self, maps: IntArray, y: IntArray, x: IntArray, side: int) -> Float32Array:
        """Return windows (n,) of maps (n,), (n, L, rows, columns)."""
        rows, columns = (_windows(*steps, side) for steps in self._steps)
        spans = rows.weights.shape[2], columns.weights.shape[2]
        patches = sliding_window_view(self._maps, spans, axis=(-2, -1))
        patch = patches[maps, :, rows.first[y], columns.first[x]]
        values: Float32Array = rows.weights[y, None] @ patch @ columns.weights[x, None].mT
        return values


@dataclass(frozen=True)
class _Windows:
    """Windows of upsampled cells along an axis as weighted sums of small cells.

    Attributes:
        first: (n,), the first small cell that contributes to each.
        weights: (n, cells, span), of it and the following small cells in each cell of the window.
    """

    first: IntArray
    weights: Float32Array


@lru_cache(maxsize=64)
def _windows(length: int, sizes: tuple[int, ...], aligned: bool, side: int) -> _Windows:
    """Divide an axis, upsampled from ``length`` to each size in turn, as ``BlockExtrema`` does."""
    axis = _upsampled(torch.eye(length)[None], sizes, aligned)
    cells = block_starts(sizes[-1], side)[:, None] + np.arange(min(side, sizes[-1]))
    weights = axis[0].T.numpy()[cells]  # (n, cells, length)
    used = weights.any(axis=1)
    first, beyond = used.argmax(axis=1), length - used[:, ::-1].argmax(axis=1)
    span = (beyond - first).max()
    first = np.minimum(first, length - span)
    contributing = first[:, None, None] + np.arange(span)
    return _Windows(first, np.take_along_axis(weights, contributing, axis=2))


def _upsampled(rows: Tensor, sizes: Sequence[int], aligned: bool) -> Tensor:
    """Return rows (M, L, length) upsampled along the last axis to each size in turn."""
    for size in sizes:
        rows = F.interpolate(rows, size, mode="linear", align_corners=aligned)
    return rows
