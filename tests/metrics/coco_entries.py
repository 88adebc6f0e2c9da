"""Ground truth and results of a few people, as COCO's files have them."""

from __future__ import annotations

from typing import Any

import numpy as np

Entry = dict[str, Any]


def truth_of(people: list[Entry], images: int = 1) -> Entry:
    """Ground truth of images 1, 2, ..., people in the first of them unless they say otherwise."""
    annotations = [
        {"id": n, "category_id": 1, "image_id": 1, "iscrowd": 0, "bbox": [0, 0, 50, 50], **fields}
        for n, fields in enumerate(people)
    ]
    return {
        "images": [{"id": i + 1} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": 1}],
    }


def person(keypoints: np.ndarray, area: float = 2500.0, **fields: Any) -> Entry:
    return {"keypoints": keypoints.ravel().tolist(), "area": area, **fields}


def result(keypoints: np.ndarray, score: float, image: int = 1) -> Entry:
    flat = keypoints.ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": flat, "score": score}
