"""COCO-format files of keypoints of one's own: 1, 5, 21 of a hand and 133 of a whole body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from poselib.data.catalog import open_files
from poselib.data.readers.coco import CocoKeypoints
from poselib.skeletons import COCO

COUNTS = (1, 5, 21, 133)


def category(count: int) -> dict[str, Any]:
    """Return names and limbs, numbered from 1."""
    if count == 1:
        return {"name": "ball", "keypoints": ["ball"], "skeleton": []}
    if count == 5:
        names = ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
        return {"name": "face", "keypoints": names, "skeleton": [[1, 3], [2, 3]]}
    fingers = [f"{finger}{n}" for finger in ("thumb", "index", "middle", "ring", "little")
               for n in range(1, 5)]  # fmt: skip
    bones = [[1 if n % 4 == 1 else n, n + 1] for n in range(1, 21)]
    if count == 21:
        return {"name": "hand", "keypoints": ["wrist", *fingers], "skeleton": bones}
    feet = [f"{s}_{part}" for s in ("left", "right") for part in ("big_toe", "small_toe", "heel")]
    hands = [f"{s}_hand_{name}" for s in ("left", "right") for name in ("root", *fingers)]
    names = [*COCO.keypoints, *feet, *(f"face-{n}" for n in range(68)), *hands]
    limbs = (COCO.limb_indices + 1).tolist()
    limbs += [[a + start, b + start] for start in (91, 112) for a, b in bones]
    return {"name": "whole body", "keypoints": names, "skeleton": limbs}


def own_files(folder: Path, count: int, images: int = 3, people: int = 2) -> CocoKeypoints:
    """Write images of noise with annotated people of K keypoints, and open them."""
    rng, annotations = np.random.default_rng(count), []
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(images):
        noise = rng.integers(0, 255, (64, 96, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{n}.png")
        for _ in range(people):
            left, top = rng.uniform(2, 40), rng.uniform(2, 14)
            points = rng.uniform((left, top), (left + 40, top + 40), (count, 2))
            marks = rng.integers(1, 3, (count, 1))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": n,
                    "category_id": 1,
                    "iscrowd": 0,
                    "keypoints": np.concatenate([points, marks], axis=1).ravel().tolist(),
                    "bbox": [left, top, 40, 40],
                    "area": 900.0,
                    "num_keypoints": count,
                }
            )
    listed = [{"id": n, "file_name": f"{n}.png", "height": 64, "width": 96} for n in range(images)]
    content = {"images": listed, "annotations": annotations}
    file = folder / "annotations.json"
    file.write_text(json.dumps({**content, "categories": [{"id": 1, **category(count)}]}))
    return open_files(file, folder)
