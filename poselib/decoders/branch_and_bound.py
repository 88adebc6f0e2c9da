"""Branch and bound for refinement: the exact best cell of a map, evaluating few of the cells.

The score of a cell is its heatmap value minus the rounded distance of its tag to the person's
reference embedding. For a block of cells (``poselib.ops.block_extrema``) the highest value and the
bounds of its tags are known: no cell scores more than that value minus the rounded distance to
these bounds. So blocks, and tiles of several blocks, are evaluated only while they may hold a
better cell than the best so far. Bounds are rounded like scores, step by step, so that no score
exceeds its bound. Where few people lack a keypoint type, its tags are not even read to be bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from poselib.decoders.tile_bounds import Tiles, bound_tiles, min_squares, rounded_root
from poselib.ops.block_extrema import BlockExtrema
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.typing import BoolArray, Float32Array, IntArray

# Up to how many people who share a map are not worth the reading of all its tags.
_FEW_PEOPLE = 2
# Up to what fraction of the map's blocks is scored instead, counted once for each of them.
_FEW = 1 / 6
# In how many parts of its map the most promising block is scored first, for each of them.
_PARTS = 16
# How many of the most promising tiles are evaluated before the others are bounded again.
_FIRST = (2, 8, 32)
# Pairs of a person and a block that are scored at a time: their cells fit a processor's cache.
_PAIRS = 2048
# Pairs of a person and a tile that are bounded at a time: limits the memory.
_BOUNDS = 1 << 17


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
        self._highest = self.block_maxima.reshape(len(self.block_maxima), -1)
        self._blocks = BlockExtrema(self.heatmaps)
        self._corners = self._blocks.rows * self.heatmaps.shape[-1] + self._blocks.columns

    def run(self) -> None:
        """Find the best cell of each person."""
        people = np.argsort(self.maps, kind="stable")
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(self.tags, BlockExtrema):
                people = self._search_few_blocks(self.tags, people)
            if len(people) == 0:
                return
            maps, row = np.unique(self.maps[people], return_inverse=True)
            tiles = bound_tiles(self.tags, self.block_maxima, maps)
            count = max(1, _BOUNDS // len(tiles.blocks))
            for start in range(0, len(people), count):
                part = slice(start, start + count)
                self._search(people[part], row[part], tiles)

    def _search_few_blocks(self, tags: BlockExtrema, people: IntArray) -> IntArray:
        """Search the maps of which few blocks are to be scored; return the people of the others.

        To bound the tags of a map, all of them are read. Where few people share that, it is faster
        to score every block whose highest value exceeds the score of a good cell.

        Args:
            people: by ascending map.
        """
        _, row, sizes = np.unique(self.maps[people], return_inverse=True, return_counts=True)
        few = sizes[row] <= _FEW_PEOPLE
        left, people = [people[~few]], people[few]
        count = max(1, _BOUNDS // self._highest.shape[1])
        for start in range(0, len(people), count):
            some = people[start : start + count]
            maps, row = np.unique(self.maps[some], return_inverse=True)
            highest, samples = self._highest[maps][row], tags.samples(maps)[row]
            squares = min_squares(samples, samples, self.references[some])
            likely = _best_of_parts(highest - rounded_root(squares))
            self._score(np.repeat(some, likely.shape[1]), likely.ravel())
            possible = highest >= self.scores[some, None]
            many = np.bincount(row, np.count_nonzero(possible, axis=1)) > _FEW * possible.shape[1]
            left.append(some[many[row]])
            possible[many[row]] = False
            which, blocks = np.divmod(np.flatnonzero(possible), possible.shape[1])
            self._score_promising(some[which], blocks, highest[which, blocks])
        return np.concatenate(left)

    def _search(self, people: IntArray, row: IntArray, tiles: Tiles) -> None:
        """Evaluate all tiles that may hold a better cell for people, each in one row of maps."""
        references = self.references[people]
        for some, tile in self._promising(people, tiles.bound(row, references)):
            distances = tiles.distances(row[some], tile, references[some]).ravel()
            person = np.repeat(people[some], tiles.blocks[0].size)
            blocks = tiles.blocks[tile].ravel()
            bound = self._highest[self.maps[person], blocks] - distances
            self._score_promising(person, blocks, bound)

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
        distances = self._distances(people, blocks)
        # Where tags are unknown, NaN, any cell may be the best.
        least = np.fmax(torch.from_numpy(distances).amin(dim=1).numpy(), 0)
        kept = self._may_improve(people, blocks, self._highest[self.maps[people], blocks] - least)
        people, blocks = people[kept], blocks[kept]
        if len(people) == 0:
            return
        scores = self._blocks.cut(self.maps[people], blocks) - distances[kept]
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

    def _distances(self, people: IntArray, blocks: IntArray) -> Float32Array:
        """Return the rounded distances (n, cells) of tags in blocks to references of people."""
        tags, references = self.tags.cut(self.maps[people], blocks), self.references[people]
        squares = np.square(tags[:, 0] - references[:, 0, None])
        for i in range(1, tags.shape[1]):
            distance = tags[:, i] - references[:, i, None]
            squares += np.square(distance, out=distance)
        return rounded_root(squares)

    def _keep(self, people: IntArray, scores: Float32Array, cells: IntArray) -> None:
        equal = (scores == self.scores[people]) & (cells < self.cells[people])
        better = (scores > self.scores[people]) | equal
        self.scores[people[better]], self.cells[people[better]] = scores[better], cells[better]


def _best_of_parts(scores: Float32Array) -> IntArray:
    """Return the highest block in each of some parts of a map, (n, parts), of scores (n, b)."""
    side = -(-scores.shape[1] // _PARTS)
    parts = scores.shape[1] // side  # what remains at the end is left out
    best = scores[:, : parts * side].reshape(len(scores), parts, side).argmax(axis=2)
    return best + side * np.arange(parts)
