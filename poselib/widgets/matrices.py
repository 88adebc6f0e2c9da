"""A matrix of keypoints by keypoints: a click chooses a pair, and drawing takes a millisecond."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.relations import COLORS, GAMMA, add_bar, draw_matrix
from poselib.skeletons import Skeleton
from poselib.widgets.charts import Chart

_NAMED = 40  # keypoints; of more, cells of the chosen ones alone are named
_CHOSEN, _MARK = (0, 120, 200), (204, 26, 31)


class MatrixChart(Chart):
    """A matrix from 0 to 1 with the names of its keypoints; names and bar are drawn once.

    Args:
        skeleton: names the keypoints.
        side: inches.
    """

    def __init__(self, skeleton: Skeleton, side: float = 3.4) -> None:
        super().__init__(side, 0.87 * side)
        self.skeleton, count = skeleton, len(skeleton)
        empty = np.zeros((count, count))
        for _ in range(2):  # room for names is found in steps
            self.redraw(lambda ax: add_bar(ax, draw_matrix(ax, empty, skeleton, 1.0)), layout=True)
        pixels = np.asarray(self._agg.buffer_rgba())[..., :3].copy()
        self._background: NDArray[np.uint8] = pixels
        (left, top), (right, bottom) = self._px([(0, 0), (count, count)])
        edges = np.linspace((left, top), (right, bottom), count + 1).round().astype(int)
        self._columns, self._rows = edges.T
        self._table = (255 * colormaps[COLORS](np.arange(256))[:, :3]).round().astype(np.uint8)

    def paint(
        self,
        matrix: ArrayLike,
        pair: tuple[int, int],
        title: str,
        marked: ArrayLike = (),
        value: str = "{:.3f}",
    ) -> None:
        """Show a matrix (K, K).

        Args:
            pair: row and column of the chosen cell.
            title: above it.
            marked: rows and columns with a red mark at their ends, such as those of masked joints.
            value: how a cell's value is named.
        """
        table = np.asarray(matrix, np.float64)
        levels = (255 * np.clip(table, 0, 1) ** GAMMA).round().astype(np.intp)
        pixels, rows, columns = self._background.copy(), self._rows, self._columns
        cells = self._table[levels].repeat(np.diff(rows), 0).repeat(np.diff(columns), 1)
        pixels[rows[0] : rows[-1], columns[0] : columns[-1]] = cells
        row, column = pair
        ends = (columns[0], rows[row]), (columns[-1], rows[row + 1])
        cv2.rectangle(pixels, *_corners(*ends), _CHOSEN, 1)
        ends = (columns[column], rows[row]), (columns[column + 1], rows[row + 1])
        cv2.rectangle(pixels, *_corners(*ends), _CHOSEN, 2)
        for joint in np.atleast_1d(np.asarray(marked, int)).tolist():
            pixels[rows[joint] : rows[joint + 1] - 1, columns[-1] + 1 : columns[-1] + 4] = _MARK
            pixels[rows[0] - 4 : rows[0] - 1, columns[joint] : columns[joint + 1] - 1] = _MARK
        self.show(pixels, labels=self._names(table, pair, value), title=title)

    def pair_at_click(self) -> tuple[int, int] | None:
        """Return the row and the column of the cell last clicked, None beside the matrix."""
        column, row = (int(np.floor(each)) for each in self.at_click())
        count = len(self.skeleton)
        return (row, column) if 0 <= row < count and 0 <= column < count else None

    def _names(
        self, table: NDArray[np.float64], pair: tuple[int, int], value: str
    ) -> list[tuple[float, float, str]]:
        names = [style.display_name(name) for name in self.skeleton.keypoints]
        xs, ys = ((edges[:-1] + edges[1:]) / 2 for edges in (self._columns, self._rows))
        count = len(names)
        return [
            (float(xs[b]), float(ys[a]), f"{names[a]} to {names[b]}: {value.format(table[a, b])}")
            for a in range(count)
            for b in range(count)
            if count <= _NAMED or a == pair[0] or b == pair[1]
        ]


def _corners(
    first: tuple[int, int], last: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    return (int(first[0]), int(first[1])), (int(last[0]) - 1, int(last[1]) - 1)
