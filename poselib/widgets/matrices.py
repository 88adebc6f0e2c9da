"""A matrix of keypoints by keypoints: a click chooses a pair, and drawing takes a millisecond."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.relations import COLORS, GAMMA, add_bar, draw_matrix
from poselib.skeletons import Skeleton
from poselib.typing import IntArray
from poselib.widgets.canvas import ImageCanvas

_NAMED = 40  # keypoints; of more, cells of the chosen ones alone are named
_CHOSEN, _MARK = (0, 120, 200), (110, 110, 115)
_WIDTH, _HEIGHT, _DPI = 3.0, 2.8, 100  # inches, px an inch


class MatrixChart(ImageCanvas):
    """A matrix from 0 to 1 with the names of its keypoints; names and bar are drawn once.

    Args:
        skeleton: names the keypoints.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__(width=round(_WIDTH * _DPI))
        self.skeleton = skeleton
        self._background, self._columns, self._rows = _drawn(skeleton.keypoints)
        self._table = (255 * colormaps[COLORS](np.arange(256))[:, :3]).round().astype(np.uint8)

    def paint(
        self,
        matrix: ArrayLike,
        pair: tuple[int, int],
        title: str,
        marked: ArrayLike = (),
    ) -> None:
        """Show a matrix (K, K).

        Args:
            pair: row and column of the chosen cell.
            title: above it.
            marked: rows and columns with a gray mark at their ends, such as those of masked joints.
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
        self.show(pixels, labels=self._names(table, pair), title=title)

    def pair_at_click(self) -> tuple[int, int] | None:
        """Return the row and the column of the cell last clicked, None beside the matrix."""
        x, y, _ = self.clicked
        row, column = np.searchsorted(self._rows, y), np.searchsorted(self._columns, x)
        within = 0 < row < len(self._rows) and 0 < column < len(self._columns)
        return (int(row) - 1, int(column) - 1) if within else None

    def _names(
        self, table: NDArray[np.float64], pair: tuple[int, int]
    ) -> list[tuple[float, float, str]]:
        names = [style.display_name(name) for name in self.skeleton.keypoints]
        xs, ys = ((edges[:-1] + edges[1:]) / 2 for edges in (self._columns, self._rows))
        count = len(names)
        return [
            (float(xs[b]), float(ys[a]), f"{names[a]} to {names[b]}: {table[a, b]:.3f}")
            for a in range(count)
            for b in range(count)
            if count <= _NAMED or a == pair[0] or b == pair[1]
        ]


def _corners(
    first: tuple[int, int], last: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    return (int(first[0]), int(first[1])), (int(last[0]) - 1, int(last[1]) - 1)


@lru_cache(maxsize=4)
@style.theme
def _drawn(keypoints: tuple[str, ...]) -> tuple[NDArray[np.uint8], IntArray, IntArray]:
    """Return a matrix without values as pixels, and the px between its columns and its rows."""
    figure = Figure((_WIDTH, _HEIGHT), dpi=_DPI, layout="constrained")
    canvas, count = FigureCanvasAgg(figure), len(keypoints)
    ax = figure.add_subplot()
    add_bar(ax, draw_matrix(ax, np.zeros((count, count)), keypoints, 1.0))
    for _ in range(2):  # room for names is found in steps
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    corners = ax.transData.transform([(0, 0), (count, count)])
    corners[:, 1] = len(pixels) - corners[:, 1]
    columns, rows = np.linspace(corners[0], corners[1], count + 1).round().astype(np.int64).T
    return pixels, columns, rows
