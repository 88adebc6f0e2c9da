"""Images of a dataset found by their annotated people, in some order; no image is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.ops.crowd_index import crowd_indices_of_images
from poselib.typing import BoolArray, FloatArray, IntArray

Range = tuple[float, float]


@dataclass(frozen=True)
class ImageIndex:
    """What images are found by: counts over M images and their N labeled people.

    Attributes:
        people: (M,) labeled people of each image.
        crowding: (M,) crowd index of each image, see ``ops.crowd_index``; 0 below two people.
        keypoints: (M,) labeled keypoints of all people of each image.
        smallest: (M,) size of the smallest person, px; infinite without people of known size.
        images: (N,) the position of each person's image, in ascending order.
        labeled: (N, K) true for keypoints that are labeled.
        sizes: (N,) square root of each person's area, px.
    """

    people: IntArray
    crowding: FloatArray
    keypoints: IntArray
    smallest: FloatArray
    images: IntArray
    labeled: BoolArray
    sizes: FloatArray

    @classmethod
    def of(cls, annotations: AnnotationTable) -> ImageIndex:
        """Count what annotations state; people without a labeled keypoint and crowds are left out.

        Example:
            >>> from poselib import open_dataset
            >>> scenes = open_dataset("synthetic", "val", count=4)
            >>> index = ImageIndex.of(scenes.annotations())
            >>> index.people.tolist() == [len(scenes[n].keypoints) for n in range(4)]
            True
        """
        table, count = annotations.only(~annotations.masked()), len(annotations.image_ids)
        labeled, sizes = table.labeled, np.sqrt(np.maximum(table.areas, 0))
        corners = np.concatenate([table.boxes[:, :2], table.boxes[:, :2] + table.boxes[:, 2:]], 1)
        smallest = np.full(count, np.inf)
        np.fmin.at(smallest, table.images, sizes)
        return cls(
            people=np.bincount(table.images, minlength=count),
            crowding=crowd_indices_of_images(table.keypoints, corners, table.images, count),
            keypoints=np.bincount(table.images, labeled.sum(axis=1), count).astype(np.int64),
            smallest=smallest,
            images=table.images,
            labeled=labeled,
            sizes=sizes,
        )

    def __len__(self) -> int:
        return len(self.people)

    def summary(self, positions: IntArray) -> str:
        """Return how many images there are at some positions, and who is labeled in them."""
        people, keypoints = int(self.people[positions].sum()), int(self.keypoints[positions].sum())
        images = f"{len(positions):,} of {len(self):,} image{'' if len(self) == 1 else 's'}"
        persons = "person" if people == 1 else "people"
        return f"{images}, {people:,} {persons}, {keypoints:,} labeled keypoints"


@dataclass(frozen=True)
class ImageFilter:
    """Which images are wanted, and in which order; all, as they are, by default.

    An image is wanted if its counts are in range and, where something is asked of a person, one of
    its people has all of it. Ranges include both ends.

    Attributes:
        people: labeled people.
        crowding: the crowd index.
        keypoints: a person has all of these labeled, given by their numbers.
        labeled: a person has at least so many labeled keypoints.
        size: of a person, the square root of its area, px.
        order: one of ``ORDERS``.
    """

    people: Range = (0, np.inf)
    crowding: Range = (0.0, np.inf)
    keypoints: tuple[int, ...] = ()
    labeled: int = 0
    size: Range = (0.0, np.inf)
    order: str = "as is"

    def __call__(self, index: ImageIndex) -> IntArray:
        """Return the positions of the images that are wanted, in their order.

        Raises:
            ValueError: the order is unknown.

        Example:
            >>> from poselib import open_dataset
            >>> index = ImageIndex.of(open_dataset("synthetic", "val", count=8).annotations())
            >>> found = ImageFilter(people=(2, np.inf), order="most crowded")(index)
            >>> bool((np.diff(index.crowding[found]) <= 0).all())
            True
        """
        if self.order not in ORDERS:
            raise ValueError(f"unknown order {self.order!r}; known: {', '.join(ORDERS)}")
        wanted = _within(index.people, self.people) & _within(index.crowding, self.crowding)
        if self.keypoints or self.labeled > 0 or self.size != (0.0, np.inf):
            fit = index.labeled[:, self.keypoints].all(axis=1) & _within(index.sizes, self.size)
            if self.labeled > 0:
                fit &= index.labeled.sum(axis=1) >= self.labeled
            wanted &= np.bincount(index.images[fit], minlength=len(index)) > 0
        positions = np.flatnonzero(wanted)
        keys = ORDERS[self.order](index)
        return positions if keys is None else positions[np.argsort(keys[positions], kind="stable")]


ORDERS: dict[str, Callable[[ImageIndex], FloatArray | IntArray | None]] = {
    "as is": lambda index: None,
    "most people": lambda index: -index.people,
    "most crowded": lambda index: -index.crowding,
    "smallest person": lambda index: index.smallest,
}


def _within(values: FloatArray | IntArray, limits: Range) -> BoolArray:
    inside: BoolArray = (values >= limits[0]) & (values <= limits[1])
    return inside
