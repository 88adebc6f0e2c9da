"""What the tests of every dataset need: image files, and results that are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from poselib.data.keypoint_dataset import KeypointImages
from poselib.structures import Poses


def images(folder: Path, names: Sequence[str], size: tuple[int, int] = (40, 60)) -> Path:
    """Write gray images of (height, width) px; names may have folders in them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(folder / name)
    return folder


def poses_of(keypoints: np.ndarray, shift: float = 0.0) -> Poses:
    """Poses at labeled keypoints (N, K, 3), which score 0.5 a keypoint and 1 a person."""
    found = keypoints[..., 2] > 0
    return Poses(
        np.where(found[..., None], keypoints[..., :2] + shift, 0).astype(np.float32),
        np.where(found, 0.5, 0).astype(np.float32),
        np.ones(len(keypoints), np.float32),
    )


def perfect_results(dataset: KeypointImages, shift: float = 0.0) -> list[dict[str, Any]]:
    """Results that are the truth, moved by some px."""
    return [
        result
        for sample in dataset
        for result in poses_of(sample.keypoints, shift).to_coco(
            sample.image_id, dataset.category_id
        )
    ]
