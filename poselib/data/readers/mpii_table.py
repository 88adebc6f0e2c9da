"""Samples of MPII and the table of people that they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.boxes import box_areas
from poselib.data.readers.mpii_image import MpiiImage
from poselib.skeletons import MPII

Unit = Literal["image", "person", "group"]
# The people of a sample, and the boxes of whom to ignore besides.
Part = tuple[MpiiImage, NDArray[np.float32]]


def split_image(image: MpiiImage, unit: Unit) -> Iterator[Part]:
    """Yield the samples of an image: itself, single people, or multi-person groups."""
    nobody = np.zeros((0, 4), np.float32)
    if unit == "image":
        yield image, nobody
    elif unit == "person":
        for place in image.single:
            yield image.people([place]), nobody
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


def build_table(parts: Sequence[Part], source: Path, unit: Unit) -> AnnotationTable:
    """Return the table of some samples, whose people may all be without labels.

    Only whole images keep the numbers of the file: others share theirs, and count from 1.
    """
    found = [_annotated(image, others, unit) for image, others in parts]
    if not any(image.labeled.any() for image in found):
        # The annotations of images for testing are withheld: nothing is known of their people.
        found = [
            replace(
                i,
                keypoints=i.keypoints[:0],
                boxes=i.boxes[:0],
                areas=i.areas[:0],
                ignored=i.ignored[:0],
            )
            for i in found
        ]
    return gather(source, found, len(MPII), need_people=False)


def _annotated(image: MpiiImage, others: NDArray[np.float32], unit: Unit) -> AnnotatedImage:
    # Whoever is not labeled and is nowhere cannot even be ignored.
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
