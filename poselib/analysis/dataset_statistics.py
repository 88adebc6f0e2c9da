"""What a dataset holds, counted from its annotations alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.ops.crowd_index import crowd_index
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import Skeleton


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts over I images and their N labeled people.

    Attributes:
        people: (I,) labeled people of each image.
        crowding: (I,) crowd index of each image, as CrowdPose defines it; 0 below two people.
        visibility: (K, 3) people whose keypoint is not labeled, labeled but hidden, visible.
        areas: (N,) px².
        ignored: annotated regions that are not counted: crowds, and people without keypoints.
    """

    people: NDArray[np.int64]
    crowding: NDArray[np.float64]
    visibility: NDArray[np.int64]
    areas: NDArray[np.float64]
    ignored: int

    def summary(self) -> dict[str, float]:
        """Return the main numbers by name."""
        crowding = self.crowding[self.people >= 2]
        labeled = self.visibility[:, 1:].sum()
        return {
            "images": len(self.people),
            "people": int(self.people.sum()),
            "people per image": float(self.people.mean()) if len(self.people) else 0.0,
            "crowd index of two or more": float(crowding.mean()) if len(crowding) else 0.0,
            "keypoints labeled": int(labeled),
            "of them hidden": float(self.visibility[:, 1].sum() / max(labeled, 1)),
            "median √area, px": float(np.sqrt(np.median(self.areas))) if len(self.areas) else 0.0,
            "ignored regions": self.ignored,
        }


def annotation_statistics(document: Mapping[str, Any], skeleton: Skeleton) -> DatasetStatistics:
    """Count a COCO-format document; no image is read.

    Args:
        document: images and annotations, as a dataset's ``ground_truth()`` returns them.
        skeleton: what the annotations hold.
    """
    by_image: dict[Any, list[Mapping[str, Any]]] = {i["id"]: [] for i in document["images"]}
    ignored = 0
    for person in document["annotations"]:
        counted = not person.get("iscrowd", 0) and any(person["keypoints"][2::3])
        ignored += not counted
        if counted:
            by_image[person["image_id"]].append(person)
    everyone = [person for people in by_image.values() for person in people]
    marks = _keypoints(everyone, len(skeleton))[..., 2].astype(np.int64)
    return DatasetStatistics(
        people=np.array([len(people) for people in by_image.values()], dtype=np.int64),
        crowding=np.array([_crowding(people, len(skeleton)) for people in by_image.values()]),
        visibility=np.stack([(marks == value).sum(axis=0) for value in range(3)], axis=1),
        areas=np.array([_area(person) for person in everyone], dtype=np.float64),
        ignored=ignored,
    )


def _keypoints(people: list[Mapping[str, Any]], count: int) -> NDArray[np.float64]:
    rows = [person["keypoints"] for person in people]
    return np.array(rows, dtype=np.float64).reshape(len(people), count, 3)


def _crowding(people: list[Mapping[str, Any]], count: int) -> float:
    if len(people) < 2:
        return 0.0
    boxes = np.array([person["bbox"] for person in people], dtype=np.float64)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return crowd_index(_keypoints(people, count), corners)


def _area(person: Mapping[str, Any]) -> float:
    # The reader's rule for files that give no areas, such as CrowdPose's.
    area = person.get("area")
    return float(area) if area is not None else AREA_OF_BOX * person["bbox"][2] * person["bbox"][3]
