"""Images of MPII, and the samples that they make: whole images, single people or groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.boxes import box_areas, head_sizes, keypoint_boxes
from poselib.skeletons import MPII

Unit = Literal["image", "person", "group"]
# The annotated people of a sample, and the boxes of other people to ignore.
SampleParts = tuple["MpiiImage", NDArray[np.float32]]

# MPII's unit of scale: a person of scale 1 is 200 px tall.
HEIGHT = 200
# Head size over the diagonal of the head box: SC_BIAS of the evaluation toolkit, 0.8 * 0.75.
HEAD_OF_DIAGONAL = 0.6


@dataclass(frozen=True)
class MpiiImage:
    """All annotations of one image, in px, with pixel centers at integer + 0.5.

    Values that the file does not give are NaN.

    Attributes:
        number: the image's position in the file, from 1.
        file_name: relative to the folder of images.
        keypoints: (n, 16, 3), px and visibility; zeros for people without labels.
        centers: (n, 2) approximate centers of the people (``objpos``).
        scales: (n,) heights of the people, in 200 px.
        head_boxes: (n, 4) left, top, right, bottom.
        train: whether it is for training.
        single: indices of people who are sufficiently separated from others.
        groups: indices of the people of each group.
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
        """(n,) whether the person has a labeled keypoint."""
        return np.any(self.keypoints[..., 2] > 0, axis=1)

    @property
    def multi_person_groups(self) -> tuple[tuple[int, ...], ...]:
        """The groups of the multi-person evaluation: those without a person of ``single``.

        As in ``getMultiPersonGroups`` of MPII's evaluation toolkit. A group may be one person.
        """
        return tuple(g for g in self.groups if g and not set(g) & set(self.single))

    def people(self, indices: Sequence[int]) -> MpiiImage:
        """Return the image with only these people, without ``single`` and ``groups``."""
        chosen = np.array(indices, dtype=np.int64)
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
        """Return the head sizes of PCKh, (n,) px: 0.6 of the diagonal of the head box.

        Without a head box, it is 0.75 of the distance from neck to top of the head, or NaN if these
        are not labeled.
        """
        sides = self.head_boxes[:, 2:] - self.head_boxes[:, :2]
        sizes = HEAD_OF_DIAGONAL * np.linalg.norm(sides, axis=1)
        estimates = head_sizes(self.keypoints, MPII)
        return np.where(np.isnan(sizes), estimates, sizes).astype(np.float32)

    def boxes(self) -> NDArray[np.float32]:
        """Return boxes (n, 4), px: of the keypoints, or estimated for people without labels.

        The estimate is a square of the person's height around the center, else the head box, else
        NaN.
        """
        half = HEIGHT / 2 * self.scales[:, None]
        square = np.concatenate([self.centers - half, self.centers + half], axis=1)
        estimate = np.where(np.isnan(square).any(axis=1, keepdims=True), self.head_boxes, square)
        labeled = self.labeled[:, None]
        return np.where(labeled, keypoint_boxes(self.keypoints), estimate).astype(np.float32)


def split_image(image: MpiiImage, unit: Unit) -> Iterator[SampleParts]:
    """Yield the samples of an image: itself, single people, or multi-person groups."""
    no_boxes = np.zeros((0, 4), np.float32)
    if unit == "image":
        yield image, no_boxes
    elif unit == "person":
        for index in image.single:
            yield image.people([index]), no_boxes
    else:
        for group in image.multi_person_groups:
            others = image.labeled
            others[list(group)] = False
            yield image.people(group), image.boxes()[others]


def join_entries(entries: Sequence[MpiiImage]) -> list[MpiiImage]:
    """Join the entries of each file name; the number is that of its first entry."""
    by_name: dict[str, list[MpiiImage]] = {}
    for entry in entries:
        by_name.setdefault(entry.file_name, []).append(entry)
    return [
        replace(
            people[0],
            keypoints=np.concatenate([p.keypoints for p in people]),
            centers=np.concatenate([p.centers for p in people]),
            scales=np.concatenate([p.scales for p in people]),
            head_boxes=np.concatenate([p.head_boxes for p in people]),
            single=tuple(range(len(people))),
        )
        for people in by_name.values()
    ]


def build_table(parts: Sequence[SampleParts], source: Path, unit: Unit) -> AnnotationTable:
    """Return the annotation table of samples, whose people may all be without labels.

    Whole images keep their number in the file as id; people and groups are numbered from 1.
    """
    images = [_annotated(image, others, unit) for image, others in parts]
    if not any(image.labeled.any() for image in images):
        # The labels of images for testing are withheld.
        images = [_annotated(image.people([]), others[:0], unit) for image, others in parts]
    return gather(source, images, len(MPII), need_people=False)


def _annotated(image: MpiiImage, others: NDArray[np.float32], unit: Unit) -> AnnotatedImage:
    # People without labels and without any known position cannot be ignored as a box.
    image = image.people(np.flatnonzero(np.isfinite(image.boxes()).all(axis=1)).tolist())
    boxes = image.boxes()
    return AnnotatedImage(
        file_name=image.file_name,
        keypoints=image.keypoints,
        boxes=boxes,
        areas=box_areas(boxes),
        ignored=others,
        image_id=image.number if unit == "image" else None,
    )
