"""HiEve's pose labels in their published layout: one file per video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Content = dict[str, Any]


def point(k: int, x: float, y: float, score: float = 1) -> Content:
    return {"id": [k], "x": [x], "y": [y], "score": [score]}


def person(
    x: float, absent: tuple[int, ...] = (), scores: dict[int, float] | None = None
) -> Content:
    """Keypoint k is at pixel (x + k, 2 k), last one first."""
    listed = [k for k in reversed(range(14)) if k not in absent]
    points = [point(k, x + k, 2 * k, (scores or {}).get(k, 1)) for k in listed]
    return {
        **{"x1": [x], "y1": [0], "x2": [x + 20], "y2": [30], "score": [1], "track_id": [3]},
        "annopoints": [{"point": points}],
    }


def frame(name: str, people: list[Content]) -> Content:
    return {"image": [{"name": name}], "ignore_regions": [], "annorect": people}


def labels() -> dict[str, Content]:
    return {
        "2": {"annolist": [frame("000000.jpg", [person(1)]), frame("000001.jpg", [])]},
        "10": {
            "annolist": [
                frame("000000.jpg", [person(5, absent=(0, 13), scores={4: 0}), person(30)]),
                frame("000002.jpg", [{**person(8), "annopoints": []}]),
            ]
        },
    }


def write(folder: Path, data: dict[str, Any]) -> tuple[Path, Path]:
    annotations, images = folder / "labels", folder / "images"
    annotations.mkdir(exist_ok=True)
    for video, number in [("2", 0), ("2", 1), ("10", 0), ("10", 2)]:
        (images / video).mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 60, 3), 10 * int(video) + number, np.uint8)
        Image.fromarray(pixels).save(images / video / f"{number:06d}.jpg", quality=100)
    for video, content in data.items():
        (annotations / f"{video}.json").write_text(json.dumps(content))
    return annotations, images
