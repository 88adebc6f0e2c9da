"""Easy, medium and hard images, by how crowded they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from poselib.metrics.coco_tables import Entry

# Crowd indices from which an image is medium and hard: the thresholds of CrowdPose's evaluation.
MEDIUM, HARD = 0.2, 0.8


def has_crowd_indices(images: Iterable[Entry]) -> bool:
    """Whether there are images and each has a ``crowdIndex``, as CrowdPose's have."""
    listed = list(images)
    return bool(listed) and all("crowdIndex" in image for image in listed)


def images_by_crowding(images: Iterable[Entry]) -> dict[str, list[Any]]:
    """Return the ids of easy, medium and hard images, as CrowdPose's evaluation splits them.

    Easy are those with a crowd index below 0.2, hard those from 0.8 on.

    Args:
        images: each with ``id`` and ``crowdIndex``.

    Raises:
        ValueError: an image lacks ``crowdIndex``, or it is not a finite number.
    """
    levels: dict[str, list[Any]] = {"easy": [], "medium": [], "hard": []}
    for image in images:
        index = image.get("crowdIndex")
        if not isinstance(index, int | float) or not math.isfinite(index):
            raise ValueError(
                f"ground truth: image {image.get('id')}: crowdIndex: expected a finite number, "
                f"found {index!r}"
            )
        levels["easy" if index < MEDIUM else "medium" if index < HARD else "hard"].append(
            image["id"]
        )
    return levels
