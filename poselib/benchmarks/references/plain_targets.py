"""Target encoding keypoint by keypoint: a patch of a Gaussian, pasted where it is higher."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class PlainTargets:
    """Heatmaps and places of tags of one image, as the published code encodes them.

    Gaussians are centered on the cell that contains the keypoint and are cut three deviations and
    one cell from it, rounded to cells.
    """

    def __init__(self, size: tuple[int, int], stride: int, sigma: float, people: int = 30) -> None:
        self.size, self.stride, self.people = size, stride, people
        self.reach = 3 * sigma + 1
        axis = np.arange(2 * self.reach + 1, dtype=np.float64) - self.reach
        self.patch = np.exp(-(axis**2 + axis[:, None] ** 2) / (2 * sigma**2))

    def __call__(self, keypoints: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Encode (N, K, 3) px and visibility.

        Returns:
            (K, h, w) heatmaps and (people, K, 2) int64: the place of each keypoint's tag in the
            flattened (K, h, w) maps, and 1 where it is labeled.
        """
        return self.heatmaps(keypoints), self.joints(keypoints)

    def heatmaps(self, keypoints: Floats) -> Floats:
        height, width = self.size
        maps = np.zeros((keypoints.shape[1], height, width), dtype=np.float32)
        reach = self.reach
        for person in keypoints:
            for kind, point in enumerate(person):
                x, y = int(point[0] // self.stride), int(point[1] // self.stride)
                if point[2] <= 0 or not (0 <= x < width and 0 <= y < height):
                    continue
                left, top = int(np.round(x - reach)), int(np.round(y - reach))
                right, bottom = int(np.round(x + reach + 1)), int(np.round(y + reach + 1))
                rows = slice(max(0, -top), min(bottom, height) - top)
                columns = slice(max(0, -left), min(right, width) - left)
                into_y = slice(max(0, top), min(bottom, height))
                into_x = slice(max(0, left), min(right, width))
                window = maps[kind, into_y, into_x]
                maps[kind, into_y, into_x] = np.maximum(window, self.patch[rows, columns])
        return maps

    def joints(self, keypoints: Floats) -> NDArray[np.int64]:
        height, width = self.size
        found = np.zeros((self.people, keypoints.shape[1], 2), dtype=np.int64)
        for n, person in enumerate(keypoints):
            for kind, point in enumerate(person):
                x, y = int(point[0] // self.stride), int(point[1] // self.stride)
                if point[2] > 0 and 0 <= x < width and 0 <= y < height:
                    found[n, kind] = (kind * height + y) * width + x, 1
        return found
