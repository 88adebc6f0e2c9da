"""The best cell of a map for a person: an exact search that looks at few of the cells.

A cell scores its heat less the rounded distance of its tag to the person's reference embedding. Of
a block of cells (``poselib.ops.block_extrema``) the highest heat is known, and the bounds within
which its
tags lie: no cell scores more than that heat less the rounded distance of these bounds. So blocks,
and tiles of several blocks, are looked into only while they may hold a better cell than the best
one found. A bound is rounded as a score is, step by step, so that no score exceeds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import SIDE, BlockExtrema, block_extremes
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.typing import Float32Array, IntArray

# Rows and columns of blocks in a tile.
_TILE = (2, 4)
# How many of those that may hold the best cell are looked into before others are dropped.
_FIRST = (2, 8, 32)
# Pairs of a person and a block that are scored at a time: their cells fit a processor's cache.
_PAIRS = 2048
# Pairs of a person and a tile that are bounded at a time: limits the memory.
_BOUNDS = 1 << 17


@dataclass(frozen=True)
class _Tiles:
    """What is known of t tiles of each of m maps.

    Attributes:
        heat: (m, t), the highest heat.
        lowest: (m, L, t), the lowest tags.
        highest: (m, L, t), the highest tags.
        low: (m, L, t, columns), the lowest tags in each column of cells.
        high: (m, L, t, columns), the highest tags.
        blocks: (t, rows, columns), the blocks in each.
    """

    heat: Float32Array
    lowest: Float32Array
    highest: Float32Array
    low: Float32Array
    high: Float32Array
    blocks: IntArray

    def bound(self, row: IntArray, references: Float32Array) -> Float32Array:
        """Return (n, t), what no cell exceeds for people with references (n, L) in maps (n,)."""
        squares = _squares(self.lowest[row], self.highest[row], references)
        return self.heat[row] - _rounded_root(squares)

    def distances(self, row: IntArray, tile: IntArray, references: Float32Array) -> Float32Array:
        """Return (n, blocks), what no rounded distance in a block of tiles (n,) falls below."""
        _, length, tiles, columns = self.low.shape
        place = (row[:, None] * length + np.arange(length)) * tiles + tile[:, None]
        low, high = (
            each.reshape(-1, columns).take(place, axis=0) for each in (self.low, self.high)
        )
        squares = _squares(low, high, references)
        squares = squares.reshape(len(squares), self.blocks.shape[2], -1).min(axis=2)
        return np.tile(_rounded_root(squares), self.blocks.shape[1])


def _squares(lowest: Float32Array, highest: Float32Array, references: Float32Array) -> Float32Array:
    """Return the least squares, (n, b), of distances to references (n, L) in bounds (n, L, b)."""
    squares = np.zeros((len(lowest), lowest.shape[2]), np.float32)
    for i in range(lowest.shape[1]):
        reference = references[:, i, None]
        away = lowest[:, i] - reference
        np.fmax(away, reference - highest[:, i], out=away)
        np.fmax(away, 0, out=away)  # also for NaN, where tags are unknown
        squares += np.square(away, out=away)
    return squares


def _rounded_root(squares: Float32Array) -> Float32Array:
    return np.rint(np.sqrt(squares, out=squares), out=squares)


@dataclass
class BranchAndBound:
    """People who look for their best cells, each in one map.

    Attributes:
        heat: (M, h, w), without NaN and inf.
        tags: those of (M, L, h, w); any values.
        hottest: (M, rows, columns) of blocks, their highest heat.
        maps: (n,), the map of each person.
        references: (n, L), the embedding of each person.
        scores: (n,), the best so far; -inf where no cell has been found.
        places: (n,), where it is: the first in row order of those that score so.
    """

    heat: Float32Array
    tags: BlockExtrema | LazyUpsampled
    hottest: Float32Array
    maps: IntArray
    references: Float32Array
    scores: Float32Array = field(init=False)
    places: IntArray = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.full(len(self.maps), -np.inf, np.float32)
        self.places = np.zeros(len(self.maps), np.int64)
        self._heat = BlockExtrema(self.heat)
        self._corners = self._heat.rows * self.heat.shape[-1] + self._heat.columns

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
                self._look(people, row[people], tiles)

    def _look(self, people: IntArray, row: IntArray, tiles: _Tiles) -> None:
        """Search all tiles that may hold a better cell for people, each in one row of maps."""
        references = self.references[people]
        hottest = self.hottest.reshape(len(self.hottest), -1)
        for some, tile in self._promising(people, tiles.bound(row, references)):
            away = tiles.distances(row[some], tile, references[some]).ravel()
            who, blocks = np.repeat(people[some], tiles.blocks[0].size), tiles.blocks[tile].ravel()
            self._score_hopeful(who, blocks, hottest[self.maps[who], blocks] - away)

    def _tiles(self, maps: IntArray) -> _Tiles:
        """Bound all tiles of some maps."""
        rows, columns = _TILE[0] * SIDE, _TILE[1] * SIDE
        lowest, highest = self.tags.bounds(maps, rows)
        low = _in_tiles(lowest, columns, torch.inf)
        high = _in_tiles(highest, columns, -torch.inf)
        heat = block_extremes(torch.from_numpy(self.hottest[maps]), "highest", _TILE)
        return _Tiles(
            heat=heat.flatten(1).numpy(),
            lowest=low.amin(-1).numpy(),
            highest=high.amax(-1).numpy(),
            low=low.numpy(),
            high=high.numpy(),
            blocks=_blocks_of_tiles(*self.hottest.shape[1:]),
        )

    def _promising(
        self, people: IntArray, bound: Float32Array
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield rows and columns of bounds, (n, b), that leave room for a better cell.

        First a few of the highest of each person, and last all, in parts; what has been looked
        into by then does not come again.
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

    def _above(self, people: IntArray, bound: Float32Array) -> NDArray[np.bool_]:
        # What is bounded by -inf is never found, by nobody.
        return bound >= np.maximum(self.scores[people, None], np.finfo(np.float32).min)

    def _score_hopeful(self, people: IntArray, blocks: IntArray, bound: Float32Array) -> None:
        """Score those pairs of a person, ascending, and a block that may hold a better cell."""
        left = self._hopeful(people, blocks, bound)
        for start in range(0, len(left), _PAIRS):
            part = left[start : start + _PAIRS]
            if start:  # what has been found by now may have settled the matter
                part = part[self._hopeful(people[part], blocks[part], bound[part])]
            if len(part):
                self._score(people[part], blocks[part])

    def _hopeful(self, people: IntArray, blocks: IntArray, bound: Float32Array) -> IntArray:
        """Say which pairs of a person and a block may hold a better cell."""
        best, earlier = self.scores[people], self._corners[blocks] < self.places[people]
        return np.flatnonzero((bound > best) | ((bound == best) & earlier))

    def _score(self, people: IntArray, blocks: IntArray) -> None:
        """Score the cells of pairs of a person, ascending, and a block; keep the best."""
        maps, references = self.maps[people], self.references[people]
        tags = self.tags.cut(maps, blocks)
        squares = np.square(tags[:, 0] - references[:, 0, None])
        for i in range(1, tags.shape[1]):
            away = tags[:, i] - references[:, i, None]
            squares += np.square(away, out=away)
        cells = self._heat.cut(maps, blocks)
        cells -= _rounded_root(squares)
        best, each = cells.argmax(axis=1), np.arange(len(cells))
        score = cells[each, best]
        if np.isnan(score).any():  # of a tag: nothing to find
            best = np.fmax(cells, -np.inf, out=cells).argmax(axis=1)
            score = cells[each, best]
        y, x = np.divmod(best, self._heat.shape[1])
        place = self._corners[blocks] + y * self.heat.shape[-1] + x
        begins = np.flatnonzero(np.diff(people, prepend=-1))
        highest = np.maximum.reduceat(score, begins)
        ties = score == np.repeat(highest, np.diff(begins, append=len(people)))
        first = np.minimum.reduceat(np.where(ties, place, self.heat[0].size), begins)
        self._keep(people[begins], highest, first)

    def _keep(self, people: IntArray, scores: Float32Array, places: IntArray) -> None:
        equal = (scores == self.scores[people]) & (places < self.places[people])
        better = (scores > self.scores[people]) | equal
        self.scores[people[better]], self.places[people[better]] = scores[better], places[better]


def _in_tiles(bounds: Tensor, side: int, beyond: float) -> Tensor:
    """Divide the rows of bounds, (m, L, rows, w), into ``side`` columns: (m, L, tiles, side)."""
    padded = F.pad(bounds, (0, -bounds.shape[-1] % side), value=beyond)
    return padded.reshape(*bounds.shape[:2], -1, side)


def _blocks_of_tiles(rows: int, columns: int) -> IntArray:
    """Return the blocks, (t, rows, columns), of each tile of maps of (rows, columns) blocks.

    Tiles at the right and at the bottom that lack some name their last ones again.
    """
    y, x = (
        np.minimum(np.arange(-(-count // side))[:, None] * side + np.arange(side), count - 1)
        for count, side in ((rows, _TILE[0]), (columns, _TILE[1]))
    )
    return (y[:, None, :, None] * columns + x[None, :, None, :]).reshape(-1, *_TILE)
