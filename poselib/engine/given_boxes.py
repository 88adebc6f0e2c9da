"""Boxes of people that a user gives, whose file must be of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from poselib.data.readers.json_fields import load_json
from poselib.engine.person_boxes import BoxSource, ListedBoxes, box_source
from poselib.wording import counted, shown

_PERSON = 1  # among COCO's categories


def given_boxes(boxes: Any, image_ids: Sequence[int]) -> BoxSource:
    """Return where the people of images are, from what a user says; see ``box_source``.

    A file may be of more images than these, as that of a whole dataset is.

    Raises:
        FileNotFoundError, ValueError: as ``box_source``; or a file has detections, and none of
            these images, or none of a person.
    """
    source = box_source(boxes, [*image_ids, *_other_images(boxes, image_ids)])
    if isinstance(source, ListedBoxes) and isinstance(boxes, str | Path):
        source = replace(source, boxes={image: source.boxes[image] for image in image_ids})
    if isinstance(source, ListedBoxes) and not any(map(len, source.boxes.values())):
        listed = load_json(Path(boxes), "detection") if isinstance(boxes, str | Path) else ()
        kinds = sorted({row["category_id"] for row in listed})
        if kinds and _PERSON not in kinds:  # else none has a score
            raise ValueError(
                f"{boxes}: {counted(len(listed), 'detection')}, none of a person: category_id must "
                f"be {_PERSON}, found {shown(kinds)}"
            )
    return source


def _other_images(boxes: Any, image_ids: Sequence[int]) -> list[int]:
    """Return the images of a file beside some; raise ValueError if it is of none of those."""
    if not isinstance(boxes, str | Path) or not Path(boxes).is_file():
        return []
    listed = load_json(Path(boxes), "detection")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    found = {row["image_id"] for row in rows if type(row.get("image_id")) is int}
    if found and not found & {*image_ids}:
        raise ValueError(
            f"{boxes}: none of its detections is of these images: image_id is {shown(found)}, and "
            f"they are {shown([*image_ids])}"
        )
    return sorted(found - {*image_ids})
