"""COCO average precision and recall over object keypoint similarity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.metrics.coco_eval import Outcomes, outcomes
from poselib.metrics.comparison import Comparison

# Crowd indices from which an image is medium and hard: the thresholds of CrowdPose's evaluation.
MEDIUM, HARD = 0.2, 0.8


@dataclass(frozen=True)
class APResult:
    """The ten numbers of a COCO keypoint evaluation, from 0 to 1; NaN where no person counts.

    AP and AR are means over OKS thresholds 0.50, 0.55, ..., 0.95 (HAE, Eq. 19); M and L take
    only people of 32² to 96² px² and from 96² px² on. Three more are CrowdPose's AP of easy,
    medium and hard images, which papers write AP^E, AP^M and AP^H: the same mean as AP, but over
    images that are little, more and much crowded. They are None unless asked for.
    """

    AP: float
    AP50: float
    AP75: float
    AP_M: float
    AP_L: float
    AR: float
    AR50: float
    AR75: float
    AR_M: float
    AR_L: float
    AP_crowd_easy: float | None = None
    AP_crowd_medium: float | None = None
    AP_crowd_hard: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name, without those that were not asked for."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def evaluate_ap(comparison: Comparison, *, by_crowding: bool = False) -> APResult:
    """Measure average precision and recall as COCO does.

    Without detections all numbers are 0. Where no annotated person counts (none at all, or none of
    that size) the number is NaN.

    Args:
        by_crowding: also measure AP of easy, medium and hard images, by the crowd index of each
            image, as CrowdPose does.

    Raises:
        ValueError: an image lacks a crowd index that is needed.
    """
    counted = outcomes(comparison)
    all_people = _summary(counted)
    if not by_crowding:
        return all_people
    levels = images_by_crowding(comparison.images, comparison.truth.crowd_indices)
    easy, medium, hard = (_summary(counted.at(images)).AP for images in levels.values())
    return replace(all_people, AP_crowd_easy=easy, AP_crowd_medium=medium, AP_crowd_hard=hard)


def images_by_crowding(
    image_ids: Iterable[Any], crowd_indices: Mapping[Any, float]
) -> dict[str, list[int]]:
    """Return the positions of ``easy``, ``medium`` and ``hard`` images, as CrowdPose splits them.

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


def _summary(counted: Outcomes) -> APResult:
    all_people, medium, large = 0, 1, 2  # order of the area ranges
    at50, at75 = 0, 5  # positions among the thresholds 0.50, 0.55, ...
    precision, recall = counted.precision_and_recall()

    def mean(values: NDArray[np.float64]) -> float:
        counted = values[values > -1]  # -1 marks that no person counts
        return float(counted.mean()) if counted.size else float("nan")

    return APResult(
        AP=mean(precision[..., all_people]),
        AP50=mean(precision[at50, ..., all_people]),
        AP75=mean(precision[at75, ..., all_people]),
        AP_M=mean(precision[..., medium]),
        AP_L=mean(precision[..., large]),
        AR=mean(recall[..., all_people]),
        AR50=mean(recall[at50, ..., all_people]),
        AR75=mean(recall[at75, ..., all_people]),
        AR_M=mean(recall[..., medium]),
        AR_L=mean(recall[..., large]),
    )
