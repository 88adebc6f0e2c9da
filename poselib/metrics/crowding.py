"""Easy, medium and hard images, by how crowded they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Crowd indices from which an image is medium and hard: the thresholds of CrowdPose's evaluation.
MEDIUM, HARD = 0.2, 0.8


def images_by_crowding(
    image_ids: Iterable[Any], crowd_indices: Mapping[Any, float]
) -> dict[str, list[int]]:
    """Return the positions of easy, medium and hard images, as CrowdPose's evaluation splits them.

    Easy are those with a crowd index below 0.2, hard those from 0.8 on.

    Args:
        image_ids: the images to split.
        crowd_indices: by image id.

    Raises:
        ValueError: an image has no crowd index.
    """
    levels: dict[str, list[int]] = {"easy": [], "medium": [], "hard": []}
    for position, image in enumerate(image_ids):
        if image not in crowd_indices:
            raise ValueError(f"image {image} has no crowdIndex")
        index = crowd_indices[image]
        levels["easy" if index < MEDIUM else "medium" if index < HARD else "hard"].append(position)
    return levels
