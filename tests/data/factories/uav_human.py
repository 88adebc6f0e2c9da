"""UAV-Human's pose labels as its annotation tool exports them: one file per frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from poselib.skeletons import COCO
from tests.data.factories.images import images

Content = dict[str, Any]
HEIGHT, WIDTH = 40, 80
# Subject 0 is one to train on and subject 1 one to test on, by cross-subject-v1.
TRAIN = "P000S00G10B10H10UC022000LC021000A000R0_08241716_085"
TEST = "P001S00G20B40H20UC072000LC021000A000R0_08241838_002"
EMPTY = "P002S02G11B00H00UC062001LC032001A000R0_08310854_047"


def mark(name: str, x: float, y: float) -> Content:
    """A keypoint at (x, y) px, measured from the image's corner."""
    return {
        **{"from_name": "kp-1", "id": "A5gtW32bVw", "image_rotation": 0, "parent_id": None},
        **{"original_height": HEIGHT, "original_width": WIDTH, "source": "$img"},
        **{"to_name": "img-1", "type": "keypointlabels"},
        "value": {
            **{"keypointlabels": [name], "width": 0.29},
            **{"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT},
        },
    }


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found.group(1).upper(), name)


def person(x: float, names: tuple[str, ...] = COCO.keypoints) -> list[Content]:
    """Keypoint number n is at (x + n, 2 n + 1)."""
    at = {name: n for n, name in enumerate(COCO.keypoints)}
    return [mark(camel(name), x + at[name], 2 * at[name] + 1) for name in names]


def labels(*people: list[Content]) -> Content:
    result = [found for one in people for found in one]
    return {
        "completions": [{"created_at": 1602661707, "id": 657001, "result": result}],
        "data": {"img": "/data/another-name.jpg?d=%2Fhome"},
        "id": 657,
        "task_path": "/home/label_00/another-name.jpg",
    }


def content() -> dict[str, Content]:
    later = COCO.keypoints[1:]
    return {
        f"A000/{TRAIN}": labels(person(2)),
        f"A000/{TEST}": labels(person(1, COCO.keypoints[:15]), person(40, later)),
        f"A001/{EMPTY}": labels(),
    }


def write(folder: Path, data: dict[str, Any]) -> tuple[Path, Path]:
    annotations = folder / "annotations"
    for name, value in data.items():
        (annotations / name).parent.mkdir(parents=True, exist_ok=True)
        (annotations / f"{name}.json").write_text(json.dumps(value))
    return annotations, images(folder / "frames", [f"{name}.jpg" for name in data], (HEIGHT, WIDTH))
