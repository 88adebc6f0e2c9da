"""OCHuman's own file, as its toolkit reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poselib.skeletons import COCO
from tests.data.factories.images import images

Content = dict[str, Any]
# The file names its keypoints in an order of its own, and more than COCO's.
FILE_NAMES = ["head", *reversed(COCO.keypoints), "neck"]
SEGMENT = {"outer": [[1, 1, 9, 1, 9, 9]], "inner": [], "height": 40, "width": 60}


def points(x: float, mark: int) -> list[float]:
    """Keypoint number n of COCO is at (x + n, n); the two others are at (50, 50)."""
    by_name = {name: [x + n, n, mark] for n, name in enumerate(COCO.keypoints)}
    return [v for name in FILE_NAMES for v in by_name.get(name, [50, 50, 1])]


def person(x: float, mark: int = 1, **fields: Any) -> Content:
    given = {
        "bbox": [x, 0, x + 20, 30],
        "keypoints": points(x, mark),
        "segms": SEGMENT,
        "max_iou": 0.6,
    }
    return {**given, **fields}


def image(number: int, people: list[Content]) -> Content:
    return {
        "image_id": f"{number:06d}",
        "file_name": f"{number:06d}.jpg",
        "height": 40,
        "width": 60,
        "annotations": people,
    }


def content() -> Content:
    return {
        "keypoint_names": FILE_NAMES,
        "keypoint_visible": {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3},
        "images": [
            image(4, [person(1), person(30, mark=3, segms=None)]),
            image(7, [person(5, keypoints=None, segms=None)]),
            image(9, [person(2, mark=2), person(40, keypoints=None)]),
        ],
    }


def write(folder: Path, data: object) -> Path:
    images(folder, [f"{number:06d}.jpg" for number in (4, 7, 9)])
    path = folder / "ochuman.json"
    path.write_text(json.dumps(data))
    return path
