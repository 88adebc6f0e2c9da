"""Boxes of people that a user gives, whose file must be of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poselib.data.readers.json_fields import load_json
from poselib.engine.person_boxes import BoxSource, ListedBoxes, box_source
from poselib.wording import counted, shown

_PERSON = 1  # among COCO's categories


def given_boxes(boxes: Any, image_ids: Sequence[int]) -> BoxSource:
    """Return where the people of images are, from what a user says; see ``box_source``.

    Raises:
        FileNotFoundError, ValueError: as ``box_source``; or a file has detections, and none of
            a person.
    """
    source = box_source(boxes, image_ids)
    if isinstance(source, ListedBoxes) and not any(map(len, source.boxes.values())):
        listed = load_json(Path(boxes), "detection") if isinstance(boxes, str | Path) else ()
        kinds = sorted({row["category_id"] for row in listed})
        if kinds and _PERSON not in kinds:  # else none has a score
            raise ValueError(
                f"{boxes}: {counted(len(listed), 'detection')}, none of a person: category_id must "
                f"be {_PERSON}, found {shown(kinds)}"
            )
    return source
