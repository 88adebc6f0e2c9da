"""Branch and bound for refinement: the exact best cell of a map, evaluating few of the cells.

The score of a cell is its heatmap value minus the rounded distance of its tag to the person's
reference embedding. For a block of cells (``poselib.ops.block_extrema``) the highest value and the
bounds of its tags are known: no cell scores more than that value minus the rounded distance to
these bounds. So blocks, and tiles of several blocks, are evaluated only while they may hold a
better cell than the best so far. Bounds are rounded like scores, step by step, so that no score
exceeds its bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import SIDE, BlockExtrema, block_extremes
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.typing import BoolArray, Float32Array, IntArray

# Rows and columns of blocks in a tile.
_TILE = (2, 4)
# How many of the most promising tiles are evaluated before the others are bounded again.
_FIRST = (2, 8, 32)
# Pairs of a person and a block that are scored at a time: their cells fit a processor's cache.
_PAIRS = 2048
# Pairs of a person and a tile that are bounded at a time: limits the memory.
_BOUNDS = 1 << 17


@dataclass(frozen=True)
class _Tiles:
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
        squares = _min_squares(self.lowest[row], self.highest[row], references)
        return self.heatmaps[row] - _rounded_root(squares)

    def distances(self, row: IntArray, tile: IntArray, references: Float32Array) -> Float32Array:
        """Return lower bounds (n, blocks) of the rounded distances in each block of tiles (n,)."""
        _, length, tiles, columns = self.low.shape
        index = (row[:, None] * length + np.arange(length)) * tiles + tile[:, None]
        low, high = (
            each.reshape(-1, columns).take(index, axis=0) for each in (self.low, self.high)
        )
        squares = _min_squares(low, high, references)
        squares = squares.reshape(len(squares), self.blocks.shape[2], -1).min(axis=2)
        return np.tile(_rounded_root(squares), self.blocks.shape[1])


def _min_squares(
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


def _rounded_root(squares: Float32Array) -> Float32Array:
    return np.rint(np.sqrt(squares, out=squares), out=squares)


@dataclass
class BranchAndBound:
    """Search for the best cell of n people, each in one map.

    Attributes:
        heatmaps: (M, h, w) heatmaps without NaN and inf.
        tags: those of (M, L, h, w); any values.
        block_maxima: (M, rows, columns), the highest heatmap value of each block.
        maps: (n,), the map of each person.
        references: (n, L), the embedding of each person.
        scores: (n,), the best so far; -inf where no cell has been found.
        cells: (n,), flat index of that cell: the first in row order among equals.
    """

    heatmaps: Float32Array
    tags: BlockExtrema | LazyUpsampled
    block_maxima: Float32Array
    maps: IntArray
    references: Float32Array
    scores: Float32Array = field(init=False)
    cells: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.maps), -np.inf, np.float32)
        self.cells = np.zeros(len(self.maps), np.int64)
        self._blocks = BlockExtrema(self.heatmaps)
        self._corners = self._blocks.rows * self.heatmaps.shape[-1] + self._blocks.columns

    def run(self) -> None:
        """Find the best cell of each person."""
        if len(self.maps) == 0:
            return
        maps, row = np.unique(self.maps, return_inverse=True)
        with np.errstate(over="ignore", invalid="ignore"):
            tiles = self._tiles(maps)
            count = max(1, _BOUNDS // len(tiles.blocks))
            for start in range(0, len(row), count):
                people = np.arange(start, min(start + count, len(row)))
                self._search(people, row[people], tiles)

    def _search(self, people: IntArray, row: IntArray, tiles: _Tiles) -> None:
        """Evaluate all tiles that may hold a better cell for people, each in one row of maps."""
        references = self.references[people]
        block_maxima = self.block_maxima.reshape(len(self.block_maxima), -1)
        for some, tile in self._promising(people, tiles.bound(row, references)):
            distances = tiles.distances(row[some], tile, references[some]).ravel()
            person = np.repeat(people[some], tiles.blocks[0].size)
            blocks = tiles.blocks[tile].ravel()
            bound = block_maxima[self.maps[person], blocks] - distances
            self._score_promising(person, blocks, bound)

    def _tiles(self, maps: IntArray) -> _Tiles:
        """Bound all tiles of some maps."""
        rows, columns = _TILE[0] * SIDE, _TILE[1] * SIDE
        lowest, highest = self.tags.bounds(maps, rows)
        low = _in_tiles(lowest, columns, torch.inf)
        high = _in_tiles(highest, columns, -torch.inf)
        heatmaps = block_extremes(torch.from_numpy(self.block_maxima[maps]), "max", _TILE)
        return _Tiles(
            heatmaps=heatmaps.flatten(1).numpy(),
            lowest=low.amin(-1).numpy(),
            highest=high.amax(-1).numpy(),
            low=low.numpy(),
            high=high.numpy(),
            blocks=_blocks_of_tiles(*self.block_maxima.shape[1:]),
        )

    def _promising(
        self, people: IntArray, bound: Float32Array
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield rows and columns of bounds (n, b) that leave room for a better cell.

        First the highest few of each person, at last all, in parts. What has been evaluated is
        not yielded again.
        """
        for first in _FIRST:
            many = np.flatnonzero(np.count_nonzero(self._above(people, bound), axis=1) > first)
            if len(many) == 0:
                break
            best = bound[many].argpartition(-first, axis=1)[:, -first:].ravel()
            some = np.repeat(many, first)
            yield some, best
            bound[some, best] = -np.inf
        row, column = np.nonzero(self._above(people, bound))
        for start in range(0, len(row), _PAIRS):
            part = slice(start, start + _PAIRS)
            yield row[part], column[part]

    def _above(self, people: IntArray, bound: Float32Array) -> BoolArray:
        # A bound of -inf, of evaluated tiles, is never above, not even where nothing is found yet.
        return bound >= np.maximum(self.scores[people, None], np.finfo(np.float32).min)

    def _score_promising(self, people: IntArray, blocks: IntArray, bound: Float32Array) -> None:
        """Score the pairs of a person, ascending, and a block that may hold a better cell."""
        left = self._may_improve(people, blocks, bound)
        for start in range(0, len(left), _PAIRS):
            part = left[start : start + _PAIRS]
            if start:  # the best so far may exclude more by now
                part = part[self._may_improve(people[part], blocks[part], bound[part])]
            if len(part):
                self._score(people[part], blocks[part])

    def _may_improve(self, people: IntArray, blocks: IntArray, bound: Float32Array) -> IntArray:
        """Return the indices of the pairs of a person and a block that may hold a better cell."""
        best, earlier = self.scores[people], self._corners[blocks] < self.cells[people]
        return np.flatnonzero((bound > best) | ((bound == best) & earlier))

    def _score(self, people: IntArray, blocks: IntArray) -> None:
        """Score the cells of pairs of a person, ascending, and a block; keep the best."""
        maps, references = self.maps[people], self.references[people]
        tags = self.tags.cut(maps, blocks)
        squares = np.square(tags[:, 0] - references[:, 0, None])
        for i in range(1, tags.shape[1]):
            distance = tags[:, i] - references[:, i, None]
            squares += np.square(distance, out=distance)
        scores = self._blocks.cut(maps, blocks)
        scores -= _rounded_root(squares)
        best, each = scores.argmax(axis=1), np.arange(len(scores))
        score = scores[each, best]
        if np.isnan(score).any():  # of a tag: no candidate
            best = np.fmax(scores, -np.inf, out=scores).argmax(axis=1)
            score = scores[each, best]
        y, x = np.divmod(best, self._blocks.shape[1])
        cell = self._corners[blocks] + y * self.heatmaps.shape[-1] + x
        begins = np.flatnonzero(np.diff(people, prepend=-1))
        highest = np.maximum.reduceat(score, begins)
        ties = score == np.repeat(highest, np.diff(begins, append=len(people)))
        first = np.minimum.reduceat(np.where(ties, cell, self.heatmaps[0].size), begins)
        self._keep(people[begins], highest, first)

    def _keep(self, people: IntArray, scores: Float32Array, cells: IntArray) -> None:
        equal = (scores == self.scores[people]) & (cells < self.cells[people])
        better = (scores > self.scores[people]) | equal
        self.scores[people[better]], self.cells[people[better]] = scores[better], cells[better]


def _in_tiles(bounds: Tensor, side: int, fill: float) -> Tensor:
    """Divide the columns of bounds (m, L, rows, w) by ``side``: (m, L, tiles, side)."""
    padded = F.pad(bounds, (0, -bounds.shape[-1] % side), value=fill)
    return padded.reshape(*bounds.shape[:2], -1, side)


def _blocks_of_tiles(rows: int, columns: int) -> IntArray:
    """Return the blocks (t, rows, columns) of each tile of maps of (rows, columns) blocks.

    Incomplete tiles at the right and at the bottom repeat their last blocks.
    """
    y, x = (
        np.minimum(np.arange(-(-count // side))[:, None] * side + np.arange(side), count - 1)
        for count, side in ((rows, _TILE[0]), (columns, _TILE[1]))
    )
    return (y[:, None, :, None] * columns + x[None, :, None, :]).reshape(-1, *_TILE)
