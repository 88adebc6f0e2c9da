"""One image of MPII as its files describe it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from poselib.data.boxes import extents
from poselib.skeletons import MPII

# MPII's unit of scale: a person of scale 1 is 200 px tall.
HEIGHT = 200
# Head size over the diagonal of the head box: SC_BIAS of the evaluation toolkit, 0.8 * 0.75.
HEAD_OF_DIAGONAL = 0.6
# The neck and the top of the head are 0.8 of the diagonal apart, by how MPII places them.
_HEAD_OF_NECK_TO_TOP = 0.75


@dataclass(frozen=True)
class MpiiImage:
    """One image with everyone in it; coordinates are px, pixel centers at integer + 0.5.

    What the file does not give is NaN.

    Attributes:
        number: the image's place in the file, from 1.
        file_name: relative to the folder of images.
        keypoints: (n, 16, 3) and visibility; zeros for people who are not labeled.
        centers: (n, 2) rough positions of the people (``objpos``).
        scales: (n,) heights of the people, in 200 px.
        head_boxes: (n, 4) left, top, right, bottom.
        train: whether it is for training.
        single: places, from 0, of people who stand sufficiently apart.
        groups: places of people who are close together, group by group.
    """

    number: int
    file_name: str
    keypoints: NDArray[np.float32]
    centers: NDArray[np.float64]
    scales: NDArray[np.float64]
    head_boxes: NDArray[np.float64]
    train: bool = True
    single: tuple[int, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """(n,) who has a labeled keypoint."""
        return np.any(self.keypoints[..., 2] > 0, axis=1)

    @property
    def multi_person_groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups of the multi-person evaluation: those without anyone of ``single``.

        As ``getMultiPersonGroups`` of MPII's evaluation toolkit selects them; a group may be a
        lone person.
        """
        return tuple(g for g in self.groups if g and not set(g) & set(self.single))

    def people(self, places: Sequence[int]) -> MpiiImage:
        """Return the image with some of its people, who are neither single nor in groups."""
        chosen = np.array(places, dtype=np.int64)
        return replace(
            self,
            keypoints=self.keypoints[chosen],
            centers=self.centers[chosen],
            scales=self.scales[chosen],
            head_boxes=self.head_boxes[chosen],
            single=(),
            groups=(),
        )

    def head_sizes(self) -> NDArray[np.float32]:
        """Return (n,) px, what PCKh measures by: 0.6 of the head box's diagonal.

        Without a head box it is 0.75 of the way from neck to top of the head, and NaN if those
        are not labeled either.
        """
        sides = self.head_boxes[:, 2:] - self.head_boxes[:, :2]
        neck, top = (self.keypoints[:, MPII.index(name)] for name in ("upper_neck", "head_top"))
        known = (neck[:, 2] > 0) & (top[:, 2] > 0)
        way = np.where(known, np.linalg.norm(neck[:, :2] - top[:, :2], axis=1), np.nan)
        sizes = HEAD_OF_DIAGONAL * np.linalg.norm(sides, axis=1)
        return np.where(np.isnan(sizes), _HEAD_OF_NECK_TO_TOP * way, sizes).astype(np.float32)

    def boxes(self) -> NDArray[np.float32]:
        """Return (n, 4) px: the extent of the keypoints, or what is known of the place.

        People who are not labeled get a square of their height around their center, or else
        their head box, or else NaN.
        """
        half = HEIGHT / 2 * self.scales[:, None]
        square = np.concatenate([self.centers - half, self.centers + half], axis=1)
        place = np.where(np.isnan(square).any(axis=1, keepdims=True), self.head_boxes, square)
        labeled = self.labeled[:, None]
        return np.where(labeled, extents(self.keypoints), place).astype(np.float32)
