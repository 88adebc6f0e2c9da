"""Samples of MPII and the table of people that they make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poselib.data.annotation_table import AnnotatedImage, PeopleTable, gather
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


def build_table(parts: Sequence[Part], source: Path, unit: Unit) -> PeopleTable:
    """Return the table of some samples, whose people may all be without labels.

    Only whole images keep the numbers of the file: others share theirs, and count from 1.
    """
    found = [_annotated(image, others, unit) for image, others in parts]
    if any(image.labeled.any() for image in found):
        return gather(source, found, len(MPII))
    # Images for testing, whose annotations are withheld: there is no one to gather.
    ids = [n if i.image_id is None else i.image_id for n, i in enumerate(found, start=1)]
    return PeopleTable(
        source=source,
        image_ids=tuple(ids),
        file_names=tuple(image.file_name for image in found),
        sizes=None,
        keypoints=np.zeros((0, len(MPII), 3), np.float32),
        areas=np.zeros(0, np.float32),
        starts=np.zeros(len(found) + 1, np.int64),
    )


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
