"""Blocks of maps: their extremes, and their cells, cut out by the thousand.

Maps are divided into blocks of ``SIDE`` by ``SIDE`` cells, numbered row by row; the last ones are
smaller where a map's size is no multiple. All are cut out with the same number of cells: the last
ones then begin earlier and show cells of those before them too.
"""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from poselib.structures import Size
from poselib.typing import IntArray

SIDE = 8

Extreme = Literal["lowest", "highest"]


def block_extremes(maps: Tensor, extreme: Extreme, shape: Size = (SIDE, SIDE)) -> Tensor:
    """Return the lowest or the highest value of each block of (rows, columns) cells.

    Args:
        maps: (..., h, w), h and w at least 1.
        extreme: which.
        shape: of the blocks, cells.

    Returns:
        (..., block rows, block columns); NaN where a block holds one.
    """
    # Over whole rows first: that is quick, and leaves little.
    return column_extremes(row_extremes(maps, extreme, shape[0]), extreme, shape[1])


def row_extremes(maps: Tensor, extreme: Extreme, side: int = SIDE) -> Tensor:
    """Return the lowest or the highest value in each column of each run of rows.

    Args:
        maps: (..., h, w), of any strides.
        extreme: which.
        side: of the runs, rows; the last may be shorter.

    Returns:
        (..., runs, w), of any strides.
    """
    reduce = torch.amin if extreme == "lowest" else torch.amax
    # The axes are visited in the order of the memory: in any other it takes several times as long.
    order = sorted(range(maps.dim()), key=maps.stride, reverse=True)
    back = sorted(range(maps.dim()), key=order.__getitem__)
    dim = back[-2]
    found = [reduce(each, dim=dim + 1) for each in _runs(maps.permute(order), dim, side)]
    return (found[0] if len(found) == 1 else torch.cat(found, dim=dim)).permute(back)


def column_extremes(maps: Tensor, extreme: Extreme, side: int = SIDE) -> Tensor:
    """Return the lowest or the highest value in each row of each run of columns.

    Args:
        maps: (..., h, w).
        extreme: which.
        side: of the runs, columns; the last may be shorter.

    Returns:
        (..., h, runs).
    """
    pick = torch.minimum if extreme == "lowest" else torch.maximum
    # Runs are short: to compare their columns is quicker than to reduce each of them.
    runs = _runs(maps.contiguous(), maps.dim() - 1, side)
    found = [functools.reduce(pick, each.unbind(-1)) for each in runs]
    return found[0] if len(found) == 1 else torch.cat(found, dim=-1)


def _runs(maps: Tensor, dim: int, side: int) -> list[Tensor]:
    """Divide an axis into (runs, side), and what is left into (1, less)."""
    before, length, after = maps.shape[:dim], maps.shape[dim], maps.shape[dim + 1 :]
    count, left = divmod(length, side)
    if not left:
        return [maps.view(*before, count, side, *after)]
    last = maps.narrow(dim, length - left, left).unsqueeze(dim)
    if not count:
        return [last]
    return [maps.narrow(dim, 0, length - left).view(*before, count, side, *after), last]


def block_starts(length: int, side: int) -> IntArray:
    """Return where runs of ``side`` cells along an axis begin as they are cut."""
    return np.minimum(np.arange(0, length, side), max(0, length - side))


class BlockExtrema:
    """The blocks of maps, to be cut out.

    Attributes:
        shape: rows and columns of each as cut, at most ``SIDE``.
        rows: (blocks,), the first row of each as cut.
        columns: (blocks,), the first column.
    """

    def __init__(self, maps: NDArray[np.float32]) -> None:
        """Look at maps (M, h, w) or (M, L, h, w) of any strides."""
        size = maps.shape[-2:]
        rows, columns = (block_starts(n, SIDE) for n in size)
        self.rows, self.columns = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
        self.shape = min(SIDE, size[0]), min(SIDE, size[1])
        self._maps = maps if maps.ndim == 4 else maps[:, None]
        self._flat = maps.ndim == 3
        # Rows of a block that lie together in memory, all channels of a cell or one after another.
        whole = size[1] % SIDE == 0
        self._planes = whole and self._maps.flags.c_contiguous
        self._cells = whole and self._maps.transpose(0, 2, 3, 1).flags.c_contiguous

    def cut(self, which: IntArray, blocks: IntArray) -> NDArray[np.float32]:
        """Return blocks (n,) of maps (n,): their cells row by row, (n, cells) or (n, L, cells)."""
        cut = self._cut(which, self.rows[blocks], self.columns[blocks])
        return cut[:, 0] if self._flat else cut

    def bounds(self, which: IntArray, side: int) -> tuple[Tensor, Tensor]:
        """Bound each column of each run of rows of maps (m,) from below and from above.

        Returns:
            Two (m, L, runs, w); NaN where a column holds one.
        """
        maps = [torch.from_numpy(self._maps[each]) for each in which]
        # Both extremes of a map before the next: it is still in the processor's cache.
        found = [(row_extremes(m, "lowest", side), row_extremes(m, "highest", side)) for m in maps]
        lowest, highest = (torch.stack(each) for each in zip(*found, strict=True))
        return lowest, highest

    def _cut(self, which: IntArray, y: IntArray, x: IntArray) -> NDArray[np.float32]:
        _, length, height, width = self._maps.shape
        cells = self.shape[0] * self.shape[1]
        if not (self._planes or self._cells):
            windows = sliding_window_view(self._maps, self.shape, axis=(-2, -1))
            return windows[which, :, y, x].reshape(len(which), length, cells)
        # Rows of known length are taken in less time than windows.
        x, y = x // SIDE, y[:, None] + np.arange(self.shape[0])
        if self._planes:
            plane = which[:, None] * length + np.arange(length)
            row = (plane[:, :, None] * height + y[:, None]) * (width // SIDE) + x[:, None, None]
            return self._maps.reshape(-1, SIDE).take(row, axis=0).reshape(len(which), length, cells)
        row = (which[:, None] * height + y) * (width // SIDE) + x[:, None]
        table = self._maps.transpose(0, 2, 3, 1).reshape(-1, SIDE * length)
        return table.take(row, axis=0).reshape(len(which), cells, length).transpose(0, 2, 1)


def maxima_in_blocks(
    maps: NDArray[np.float32], blocks: IntArray, kernel: int, level: float
) -> IntArray:
    """Find the cells of some blocks that exceed a level and that nothing near them exceeds.

    Args:
        maps: (M, h, w), without NaN.
        blocks: (n,), places in the flattened (M, blocks).
        kernel: odd side, at least 3, of the square window of a maximum, cut at the border.
        level: a finite float32.

    Returns:
        (m,), places in the flattened maps, ascending.
    """
    _, height, width = maps.shape
    division = BlockExtrema(maps)
    which, blocks = np.divmod(blocks, len(division.rows))
    cells, side = division.cut(which, blocks), division.shape[1]
    hit, inside = np.divmod(np.flatnonzero(_ridges(cells, side, np.float32(level))), cells.shape[1])
    which, blocks = which[hit], blocks[hit]
    y, x = division.rows[blocks] + inside // side, division.columns[blocks] + inside % side
    for reach in sorted({1, kernel // 2}):  # few pass the small square
        top = _on_top(maps, which, y, x, reach)
        which, y, x = which[top], y[top], x[top]
    # What two blocks show is found twice.
    return np.unique((which * height + y) * width + x)


def _ridges(cells: NDArray[np.float32], side: int, level: np.float32) -> NDArray[np.bool_]:
    """Mark the cells of blocks, (n, cells), above the level that no neighbor exceeds.

    Of the four neighbors only those in the same block count: a cheap test that few cells pass.
    """
    flat = cells.ravel()
    found = flat > level
    exceeded = np.empty(flat.shape, dtype=np.bool_)
    # Each cell against the next one, in its row and in its column, and against the one before. One
    # whose neighbor would be in another row or block is not exceeded.
    for step, length in ((1, side), (side, cells.shape[1])):
        np.less(flat[:-step], flat[step:], out=exceeded[:-step])
        exceeded.reshape(-1, length)[:, length - step :] = False
        np.greater(found, exceeded, out=found)
        np.less(flat[step:], flat[:-step], out=exceeded[step:])
        exceeded.reshape(-1, length)[:, :step] = False
        np.greater(found, exceeded, out=found)
    return found.reshape(cells.shape)


def _on_top(
    maps: NDArray[np.float32], which: IntArray, y: IntArray, x: IntArray, reach: int
) -> NDArray[np.bool_]:
    """Say which of n cells nothing exceeds in the square of that reach around them."""
    _, height, width = maps.shape
    steps = np.arange(-reach, reach + 1)[:, None]
    # A step over the border leads to the cell at the border, which is in the square anyway.
    rows = which * height + np.clip(y + steps, 0, height - 1)
    columns = np.clip(x + steps, 0, width - 1)
    around = maps.ravel().take(rows[:, None] * width + columns)
    return np.equal(around.max(axis=(0, 1)), around[reach, reach])
