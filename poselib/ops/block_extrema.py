"""Block-wise extrema of maps, and the fast extraction of many blocks of cells.

Maps are divided into blocks of ``SIDE`` by ``SIDE`` cells, numbered row by row. The last ones are
smaller where the size of a map is no multiple. All are extracted with the same number of cells: the
last ones then begin earlier and repeat cells of those before them.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.nn import functional as F

from poselib.structures import Size
from poselib.typing import BoolArray, Float32Array, IntArray

SIDE = 8

Extreme = Literal["min", "max"]


def block_extremes(maps: Tensor, extreme: Extreme, shape: Size = (SIDE, SIDE)) -> Tensor:
    """Return the minimum or the maximum of each block of (rows, columns) cells.

    Args:
        maps: (..., h, w), h and w at least 1.
        extreme: ``"min"`` or ``"max"``.
        shape: of the blocks, cells.

    Returns:
        (..., block rows, block columns); NaN where a block holds one.
    """
    # Over whole rows first: that is fast and leaves few values.
    return _column_extremes(row_extremes(maps, extreme, shape[0]), extreme, shape[1])


def row_extremes(maps: Tensor, extreme: Extreme, side: int = SIDE) -> Tensor:
    """Return the minimum or the maximum of each column in each run of rows.

    Args:
        maps: (..., h, w), of any strides.
        extreme: ``"min"`` or ``"max"``.
        side: rows of a run; the last may be shorter.

    Returns:
        (..., runs, w), of any strides.
    """
    reduce = torch.amin if extreme == "min" else torch.amax
    # The axes are visited in the order of memory: any other takes several times as long.
    order = sorted(range(maps.dim()), key=maps.stride, reverse=True)
    inverse = sorted(range(maps.dim()), key=order.__getitem__)
    dim = inverse[-2]
    extremes = [reduce(runs, dim=dim + 1) for runs in _runs(maps.permute(order), dim, side)]
    whole = extremes[0] if len(extremes) == 1 else torch.cat(extremes, dim=dim)
    return whole.permute(inverse)


def _column_extremes(maps: Tensor, extreme: Extreme, side: int) -> Tensor:
    """Return the minimum or the maximum of each row in each run of columns, (..., h, runs)."""
    if extreme == "min":
        return -_column_extremes(-maps, "max", side)
    # Runs are short: reductions of each take twice the time.
    *others, length = maps.shape
    rows = maps.reshape(math.prod(others), 1, length)  # a batch may be empty
    return F.max_pool1d(rows, side, ceil_mode=True).view(*others, -(-length // side))


def _runs(maps: Tensor, dim: int, side: int) -> list[Tensor]:
    """Divide an axis into (runs, side), and the remainder into (1, less)."""
    before, length, after = maps.shape[:dim], maps.shape[dim], maps.shape[dim + 1 :]
    count, left = divmod(length, side)
    if not left:
        return [maps.view(*before, count, side, *after)]
    last = maps.narrow(dim, length - left, left).unsqueeze(dim)
    if not count:
        return [last]
    return [maps.narrow(dim, 0, length - left).view(*before, count, side, *after), last]


def block_starts(length: int, side: int) -> IntArray:
    """Return the first cell of each run of ``side`` cells along an axis, as extracted."""
    return np.minimum(np.arange(0, length, side), max(0, length - side))


class BlockExtrema:
    """Blocks of maps that can be extracted by the thousand.

    Attributes:
        shape: rows and columns of each as extracted, at most ``SIDE``.
        rows: (blocks,), the first row of each as extracted.
        columns: (blocks,), the first column.
    """

    def __init__(self, maps: Float32Array) -> None:
        """Divide maps (M, h, w) or (M, L, h, w) of any strides."""
        size = maps.shape[-2:]
        rows, columns = (block_starts(n, SIDE) for n in size)
        self.rows, self.columns = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
        self.shape = min(SIDE, size[0]), min(SIDE, size[1])
        self._maps = maps if maps.ndim == 4 else maps[:, None]
        self._flat = maps.ndim == 3
        # Rows of a block that are contiguous in memory: channels first or channels last.
        whole = size[1] % SIDE == 0
        self._planes = whole and self._maps.flags.c_contiguous
        self._cells = whole and self._maps.transpose(0, 2, 3, 1).flags.c_contiguous

    def cut(self, maps: IntArray, blocks: IntArray) -> Float32Array:
        """Return blocks (n,) of maps (n,): their cells row by row, (n, cells) or (n, L, cells)."""
        cells = self._cut(maps, self.rows[blocks], self.columns[blocks])
        return cells[:, 0] if self._flat else cells

    def bounds(self, maps: IntArray, side: int) -> tuple[Tensor, Tensor]:
        """Return lower and upper bounds of each column of each run of rows of maps (m,).

        Returns:
            Two (m, L, runs, w); NaN where a column holds one.
        """
        whole = torch.from_numpy(self._maps)
        _, length, height, width = whole.shape
        if not whole.is_contiguous():
            extremes = [
                (row_extremes(m, "min", side), row_extremes(m, "max", side))
                for m in (whole[index] for index in maps)
            ]
            lowest, highest = (torch.stack(each) for each in zip(*extremes, strict=True))
            return lowest, highest
        shape = len(maps), length, -(-height // side), width
        lowest, highest = torch.empty(shape), torch.empty(shape)
        # Both extremes of a plane before the next: it is still in the processor's cache.
        for row, index in enumerate(maps):
            for plane, low, high in zip(whole[index], lowest[row], highest[row], strict=True):
                for first, runs in zip((0, height // side), _runs(plane, 0, side), strict=False):
                    torch.amin(runs, dim=1, out=low[first : first + len(runs)])
                    torch.amax(runs, dim=1, out=high[first : first + len(runs)])
        return lowest, highest

    def samples(self, maps: IntArray) -> Float32Array:
        """Return the first cell of each block of maps (m,), (m, L, blocks)."""
        corners = self._maps[..., ::SIDE, ::SIDE][maps]
        return corners.reshape(len(maps), corners.shape[1], -1)

    def _cut(self, maps: IntArray, y: IntArray, x: IntArray) -> Float32Array:
        _, length, height, width = self._maps.shape
        cells = self.shape[0] * self.shape[1]
        if not (self._planes or self._cells):
            windows = sliding_window_view(self._maps, self.shape, axis=(-2, -1))
            return windows[maps, :, y, x].reshape(len(maps), length, cells)
        # To take rows of known length is faster than windows.
        x, y = x // SIDE, y[:, None] + np.arange(self.shape[0])
        if self._planes:
            plane = maps[:, None] * length + np.arange(length)
            row = (plane[:, :, None] * height + y[:, None]) * (width // SIDE) + x[:, None, None]
            return self._maps.reshape(-1, SIDE).take(row, axis=0).reshape(len(maps), length, cells)
        row = (maps[:, None] * height + y) * (width // SIDE) + x[:, None]
        table = self._maps.transpose(0, 2, 3, 1).reshape(-1, SIDE * length)
        return table.take(row, axis=0).reshape(len(maps), cells, length).transpose(0, 2, 1)


def maxima_in_blocks(maps: Float32Array, blocks: IntArray, kernel: int, level: float) -> IntArray:
    """Find the local maxima above a level in some blocks.

    Args:
        maps: (M, h, w), without NaN.
        blocks: (n,) int64, flat indices into (M, blocks).
        kernel: odd side, at least 3, of the square window of a maximum, cut at the border.
        level: a finite float32, exclusive.

    Returns:
        (m,) int64, flat indices of cells, ascending.
    """
    _, height, width = maps.shape
    division = BlockExtrema(maps)
    image, blocks = np.divmod(blocks, len(division.rows))
    cells, side = division.cut(image, blocks), division.shape[1]
    candidates = np.flatnonzero(_block_maxima(cells, side, np.float32(level)))
    hit, inside = np.divmod(candidates, cells.shape[1])
    image, blocks = image[hit], blocks[hit]
    y, x = division.rows[blocks] + inside // side, division.columns[blocks] + inside % side
    for radius in sorted({1, kernel // 2}):  # few pass the small square
        top = _is_maximum(maps, image, y, x, radius)
        image, y, x = image[top], y[top], x[top]
    # Cells that two blocks share are found twice.
    return np.unique((image * height + y) * width + x)


def _block_maxima(cells: Float32Array, side: int, level: np.float32) -> BoolArray:
    """Mark the cells of blocks (n, cells) above the level that no neighbor exceeds.

    Only the four neighbors in the same block count: a cheap test that few cells pass.
    """
    flat = cells.ravel()
    maxima = flat > level
    exceeded = np.empty(flat.shape, dtype=np.bool_)
    # Each cell is compared with the next one and the one before, in its row and in its column. One
    # whose neighbor would be in another row or block is not exceeded.
    for step, length in ((1, side), (side, cells.shape[1])):
        np.less(flat[:-step], flat[step:], out=exceeded[:-step])
        exceeded.reshape(-1, length)[:, length - step :] = False
        np.greater(maxima, exceeded, out=maxima)
        np.less(flat[step:], flat[:-step], out=exceeded[step:])
        exceeded.reshape(-1, length)[:, :step] = False
        np.greater(maxima, exceeded, out=maxima)
    return maxima.reshape(cells.shape)


def _is_maximum(
    maps: Float32Array, image: IntArray, y: IntArray, x: IntArray, radius: int
) -> BoolArray:
    """Return which of n cells are the maximum of the square of that radius around them."""
    _, height, width = maps.shape
    steps = np.arange(-radius, radius + 1)[:, None]
    # A step over the border is clipped to a cell that is in the square anyway.
    rows = image * height + np.clip(y + steps, 0, height - 1)
    columns = np.clip(x + steps, 0, width - 1)
    around = maps.ravel().take(rows[:, None] * width + columns)
    return np.equal(around.max(axis=(0, 1)), around[radius, radius])
