"""Bounds of the scores of tiles, which are several blocks, from the bounds of their tags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import SIDE, BlockExtrema, block_extremes
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.typing import Float32Array, IntArray

# Rows and columns of blocks in a tile.
_TILE = (2, 4)


@dataclass(frozen=True)
class Tiles:
    """Bounds of t tiles of each of m maps.

    Attributes:
        heatmaps: (m, t), highest heatmap value.
        lowest: (m, L, t), lowest tags.
        highest: (m, L, t), highest tags.
        low: (m, L, t, columns), lowest tags in each column of cells.
        high: (m, L, t, columns), highest tags in each column of cells.
        blocks: (t, rows, columns), the blocks of each.
    """

    heatmaps: Float32Array
    lowest: Float32Array
    highest: Float32Array
    low: Float32Array
    high: Float32Array
    blocks: IntArray

    def bound(self, row: IntArray, references: Float32Array) -> Float32Array:
        """Return upper bounds (n, t) of scores, for references (n, L) in maps (n,)."""
        squares = min_squares(self.lowest[row], self.highest[row], references)
        return self.heatmaps[row] - rounded_root(squares)

    def distances(self, row: IntArray, tile: IntArray, references: Float32Array) -> Float32Array:
        """Return lower bounds (n, blocks) of the rounded distances in each block of tiles (n,)."""
        _, length, tiles, columns = self.low.shape
        index = (row[:, None] * length + np.arange(length)) * tiles + tile[:, None]
        low, high = (
            each.reshape(-1, columns).take(index, axis=0) for each in (self.low, self.high)
        )
        squares = min_squares(low, high, references)
        squares = squares.reshape(len(squares), self.blocks.shape[2], -1).min(axis=2)
        return np.tile(rounded_root(squares), self.blocks.shape[1])


def bound_tiles(
    tags: BlockExtrema | LazyUpsampled, block_maxima: Float32Array, maps: IntArray
) -> Tiles:
    """Bound all tiles of some maps (m,), of block maxima (M, rows, columns) of all maps."""
    rows, columns = _TILE[0] * SIDE, _TILE[1] * SIDE
    low, high = tags.bounds(maps, rows)
    low, high = _in_tiles(low, columns, torch.inf), _in_tiles(high, columns, -torch.inf)
    heatmaps = block_extremes(torch.from_numpy(block_maxima[maps]), "max", _TILE)
    return Tiles(
        heatmaps=heatmaps.flatten(1).numpy(),
        lowest=low.amin(-1).numpy(),
        highest=high.amax(-1).numpy(),
        low=low.numpy(),
        high=high.numpy(),
        blocks=_blocks_of_tiles(*block_maxima.shape[1:]),
    )


def min_squares(
    lowest: Float32Array, highest: Float32Array, references: Float32Array
) -> Float32Array:
    """Return the smallest squared distances (n, b) of references (n, L) to bounds (n, L, b)."""
    squares = np.zeros((len(lowest), lowest.shape[2]), np.float32)
    for i in range(lowest.shape[1]):
        reference = references[:, i, None]
        distance = lowest[:, i] - reference
        np.fmax(distance, reference - highest[:, i], out=distance)
        np.fmax(distance, 0, out=distance)  # also for NaN, where tags are unknown
        squares += np.square(distance, out=distance)
    return squares


def rounded_root(squares: Float32Array) -> Float32Array:
    """Round the roots of squares, in place."""
    return np.rint(np.sqrt(squares, out=squares), out=squares)


def _in_tiles(bounds: Tensor, side: int, fill: float) -> Tensor:
    """Divide the columns of bounds (m, L, rows, w) by ``side``: (m, L, tiles, side)."""
    if less := -bounds.shape[-1] % side:
        bounds = F.pad(bounds, (0, less), value=fill)
    return bounds.reshape(*bounds.shape[:2], -1, side)


def _blocks_of_tiles(rows: int, columns: int) -> IntArray:
    """Return the blocks (t, rows, columns) of each tile of maps of (rows, columns) blocks.

    Incomplete tiles at the right and at the bottom repeat their last blocks.
    """
    y, x = (
        np.minimum(np.arange(-(-count // side))[:, None] * side + np.arange(side), count - 1)
        for count, side in ((rows, _TILE[0]), (columns, _TILE[1]))
    )
    return (y[:, None, :, None] * columns + x[None, :, None, :]).reshape(-1, *_TILE)
