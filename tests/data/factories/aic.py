"""AI Challenger's own files, in the layout of its task description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.data.factories.images import images

NAMES = ("d8eeddddcc042544a2570d4c452778b912726720", "a1", "b2")


def person(x: float, y: float, marks: dict[int, int] | None = None) -> list[float]:
    """Visible keypoints in a row, except those with another mark, which the file zeroes."""
    marks = marks or {}
    triples = []
    for k in range(14):
        mark = marks.get(k, 1)
        triples += [0, 0, 3] if mark == 3 else [x + k, y + 2 * k, mark]
    return triples


def content() -> list[dict[str, Any]]:
    """Three images: two people, one half hidden; a person without keypoints; no people."""
    return [
        {
            "image_id": NAMES[0],
            "url": "http://example.org/a.jpg",
            "human_annotations": {"human1": [0, 5, 40, 45], "human2": [20, 10, 50, 44]},
            "keypoint_annotations": {
                "human2": person(22, 12, {0: 2, 5: 3, 13: 3}),
                "human1": person(3, 6),
            },
        },
        {
            "image_id": NAMES[1],
            "human_annotations": {"human1": [10, 8, 4, 2]},
            "keypoint_annotations": {"human1": person(0, 0, dict.fromkeys(range(14), 3))},
        },
        {"image_id": NAMES[2], "human_annotations": {}, "keypoint_annotations": {}},
    ]


def write(folder: Path, data: object) -> Path:
    images(folder, [f"{name}.jpg" for name in NAMES], (50, 60))
    path = folder / "people.json"
    path.write_text(json.dumps(data))
    return path
