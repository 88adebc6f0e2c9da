"""Targets and loss of keypoint regression cell by cell, person by person.

They follow the paper: of several center regions a cell belongs to that of the nearest center.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class PlainRegression:
    """Targets of one image: cells of one px, so that a cell's middle is at integer + 0.5.

    Args:
        size: (h, w) of the maps.
        sigmas: standard deviation of each keypoint type and, last, of the centers.
        radius: of the center regions, measured straight or, for squares, along the axes.
        square: whether regions are squares.
        background: weight of a cell outside the windows of its map.
        shared: whether the windows of all keypoint types count on every map.
    """

    def __init__(
        self,
        size: tuple[int, int],
        sigmas: list[float],
        radius: float = 4.0,
        square: bool = False,
        background: float = 0.1,
        shared: bool = False,
    ) -> None:
        self.size, self.sigmas, self.radius, self.square = size, sigmas, radius, square
        self.background, self.shared = background, shared

    def inside(self, x: float, y: float) -> bool:
        return 0 <= x < self.size[1] and 0 <= y < self.size[0]

    def centers(self, people: Floats) -> list[tuple[float, float] | None]:
        found: list[tuple[float, float] | None] = []
        for person in people:
            labeled = [(x, y) for x, y, v in person if v > 0]
            if labeled:
                x, y = (sum(each) / len(labeled) for each in zip(*labeled, strict=True))
                found.append((x, y) if self.inside(x, y) else None)
            else:
                found.append(None)
        return found

    def heatmaps(self, people: Floats) -> tuple[Floats, Floats]:
        """Return heat and weights (K + 1, h, w) for people (N, K, 3) in cells."""
        kinds = people.shape[1]
        heat = np.zeros((kinds + 1, *self.size))
        marked = np.zeros(heat.shape, bool)
        for person, center in zip(people, self.centers(people), strict=True):
            points = [(k, x, y) for k, (x, y, v) in enumerate(person) if v > 0]
            points += [(kinds, *center)] if center else []
            for kind, x, y in points:
                if not self.inside(x, y):
                    continue
                sigma = self.sigmas[kind]
                # Whole cells: those that three deviations and one cell reach or touch.
                columns = _touched(x - 0.5, 3 * sigma + 1, self.size[1])
                rows = _touched(y - 0.5, 3 * sigma + 1, self.size[0])
                for row in rows:
                    for column in columns:
                        square = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                        value = math.exp(-square / (2 * sigma**2))
                        heat[kind, row, column] = max(heat[kind, row, column], value)
                        marked[kind, row, column] = True
        if self.shared:
            marked |= marked[:-1].any(axis=0)
        return heat, np.where(marked, 1.0, self.background)

    def center_assignment(self, people: Floats) -> NDArray[np.int64]:
        owner = np.full(self.size, -1)
        centers = self.centers(people)
        for row, column in np.ndindex(self.size):
            nearest = math.inf
            for person, center in enumerate(centers):
                if center is None:
                    continue
                x, y = column + 0.5 - center[0], row + 0.5 - center[1]
                reach = max(abs(x), abs(y)) if self.square else math.hypot(x, y)
                if reach <= self.radius and math.hypot(x, y) < nearest:
                    owner[row, column], nearest = person, math.hypot(x, y)
        return owner

    def offsets(self, people: Floats, areas: Floats, stride: float) -> tuple[Floats, Floats]:
        """Return offsets (K, 2, h, w) and weights (K, h, w), the sizes in cells of ``stride``."""
        kinds, owner = people.shape[1], self.center_assignment(people)
        offset, weight = np.zeros((kinds, 2, *self.size)), np.zeros((kinds, *self.size))
        for row, column in np.argwhere(owner >= 0):
            person = people[owner[row, column]]
            labeled = person[person[:, 2] > 0, :2] * stride
            extent = labeled.max(axis=0) - labeled.min(axis=0)
            size = max(math.hypot(*extent), math.sqrt(areas[owner[row, column]]), stride)
            for kind, (x, y, v) in enumerate(person):
                if v > 0 and self.inside(x, y):
                    offset[kind, :, row, column] = column + 0.5 - x, row + 0.5 - y
                    weight[kind, row, column] = 1 / size
        return offset, weight


def plain_offset_loss(predicted: Floats, truth: Floats, weight: Floats, beta: float) -> float:
    """Return the mean weighted smooth L1 of maps (B, K, 2, h, w) with weights (B, K, h, w)."""
    total, count = 0.0, 0
    for b, k, row, column in np.argwhere(weight > 0):
        for axis in (0, 1):
            error = abs(predicted[b, k, axis, row, column] - truth[b, k, axis, row, column])
            value = error**2 / (2 * beta) if error < beta else error - beta / 2
            total += value * weight[b, k, row, column]
            count += 1
    return total / count if count else 0.0


def _touched(place: float, reach: float, length: int) -> range:
    """Cells by index whose middles, at whole numbers, frame ``place`` plus and minus ``reach``."""
    first, last = math.floor(place - reach), math.ceil(place + reach)
    return range(max(first, 0), min(last, length - 1) + 1)


# The official targets, by pixel index in cells: cell i stands for index i.


class Cell:
    """A cell of the official map: who has it for each keypoint type, and who took it last."""

    def __init__(self, kinds: int) -> None:
        self.owners = [-1] * kinds
        self.offsets = np.zeros((kinds, 2))
        self.last = np.float32(0)

    def offer(self, person: int, kind: int, offset: np.ndarray, size: float) -> None:
        if self.offsets[kind].any() and float(self.last) < size:
            return
        self.owners[kind], self.offsets[kind], self.last = person, offset, np.float32(size)


def official_owners(
    people: Floats, centers: Floats, squares: Floats, size: tuple[int, int], radius: int
) -> NDArray[np.int64]:
    """Return whose each cell is for each keypoint type (K, h, w), or -1.

    Args:
        people: (N, K, 3), cells and visibility.
        centers: (N, 2), not left of or above the map.
        squares: (N,), sizes squared.
        size: (h, w).
        radius: cells to the left and up; one less to the right and down.
    """
    cells = [[Cell(people.shape[1]) for _ in range(size[1])] for _ in range(size[0])]
    for n, (person, center) in enumerate(zip(people, centers, strict=True)):
        left, top = int(center[0]), int(center[1])
        for k, (x, y, v) in enumerate(person):
            if not (v > 0 and 0 <= x < size[1] and 0 <= y < size[0]):
                continue
            for row in range(max(top - radius, 0), min(top + radius, size[0])):
                for column in range(max(left - radius, 0), min(left + radius, size[1])):
                    offset = np.array([column - x, row - y])
                    cells[row][column].offer(n, k, offset, squares[n])
    owners = np.array([[cell.owners for cell in row] for row in cells])
    return owners.transpose(2, 0, 1)


class ByIndex(PlainRegression):
    """Heatmaps and weights with given centers, (N, 2) by pixel index in cells."""

    def __init__(self, size: tuple[int, int], sigmas: list[float], given: Floats) -> None:
        super().__init__(size, sigmas)
        self.given = given

    def inside(self, x: float, y: float) -> bool:
        return super().inside(x - 0.5, y - 0.5)

    def centers(self, people: Floats) -> list[tuple[float, float] | None]:
        return [(x + 0.5, y + 0.5) for x, y in self.given]
