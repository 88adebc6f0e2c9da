"""Count the people and keypoints of a dataset from its annotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import AnnotationTable
from poselib.ops.crowd_index import crowd_index


@dataclass(frozen=True)
class DatasetStatistics:
    """Counts over I images and their N labeled people.

    Attributes:
        people: (I,) labeled people of each image.
        crowding: (I,) crowd index of each image, as CrowdPose defines it; 0 below two people.
        visibility: (K, 3) people whose keypoint is not labeled, labeled but hidden, visible.
        areas: (N,) px².
        ignored: annotated regions that are not counted: crowds and people without keypoints.
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


def annotation_statistics(annotations: AnnotationTable) -> DatasetStatistics:
    """Count the annotated people of a dataset; no image is read."""
    counted = ~annotations.crowds & annotations.labeled.any(axis=1)
    people = annotations.only(counted)
    images = range(len(annotations.image_ids))
    marks = people.keypoints[..., 2]
    return DatasetStatistics(
        people=np.bincount(people.images, minlength=len(images)),
        crowding=np.array([_crowding(people.only(people.images == image)) for image in images]),
        visibility=np.stack([(marks == value).sum(axis=0) for value in range(3)], axis=1),
        areas=people.areas,
        ignored=int((~counted).sum()),
    )


def _crowding(people: AnnotationTable) -> float:
    if len(people) < 2:
        return 0.0
    corners = np.concatenate([people.boxes[:, :2], people.boxes[:, :2] + people.boxes[:, 2:]], 1)
    return crowd_index(people.keypoints, corners)
