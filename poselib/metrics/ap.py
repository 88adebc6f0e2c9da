"""COCO average precision and recall over object keypoint similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.metrics.coco_eval import Backend, Curves, chosen_backend, curves
from poselib.metrics.coco_tables import Comparison, Entry, compare, read_truth
from poselib.metrics.crowding import images_by_crowding
from poselib.skeletons import Skeleton


@dataclass(frozen=True)
class APResult:
    """The ten numbers of a COCO keypoint evaluation, each in [0, 1], or NaN where nobody counts.

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


def evaluate_ap(
    ground_truth: Entry | Path,
    results: Sequence[Entry],
    skeleton: Skeleton,
    image_ids: Sequence[int] | None = None,
    max_detections: int = 20,
    *,
    by_crowding: bool = False,
    backend: Backend = "auto",
) -> APResult:
    """Compare COCO-format results with COCO-format ground truth as COCO does.

    Nothing that is passed in is changed. No results at all give zeros. Where no person counts
    (none in the ground truth, or none of that size) the number is NaN.

    Args:
        ground_truth: images, annotations and categories, or the JSON file that holds them.
            Annotations without ``area`` get 0.53 of their box, without ``iscrowd`` 0 and
            without ``num_keypoints`` the count of their labeled keypoints.
        results: dictionaries of image_id, category_id, keypoints (3K) and score.
        skeleton: gives K and the OKS constants.
        image_ids: images to evaluate; all of the ground truth by default.
        max_detections: results counted in an image, best scores first.
        by_crowding: find AP of easy, medium and hard images too, by the ``crowdIndex`` of each
            image, as CrowdPose does.
        backend: ``"pycocotools"``, the reference; ``"faster"``, which matches and counts by
            faster-coco-eval and gives the same numbers to within 1e-15; ``"auto"``, the latter
            where it is installed.

    Raises:
        FileNotFoundError: the ground truth file is absent.
        ValueError: a field is missing, of the wrong length or not finite, a result or
            ``image_ids`` names an image that the ground truth lacks, or the backend cannot be
            had.
    """
    if max_detections < 1:
        raise ValueError(f"max_detections must be 1 or more, not {max_detections}")
    chosen = chosen_backend(backend)
    content = read_truth(ground_truth)
    comparison = compare(content, results, len(skeleton), image_ids)

    def found(part: Comparison) -> APResult:
        return _summary(curves(part, skeleton, max_detections, chosen))

    everyone = found(comparison)
    if not by_crowding:
        return everyone
    wanted = set(comparison.images)
    levels = images_by_crowding(image for image in content["images"] if image["id"] in wanted)
    easy, medium, hard = (found(comparison.of_images(set(ids))).AP for ids in levels.values())
    return replace(everyone, AP_crowd_easy=easy, AP_crowd_medium=medium, AP_crowd_hard=hard)


def _summary(curves: Curves) -> APResult:
    everyone, medium, large = 0, 1, 2  # order of the area ranges
    at50, at75 = 0, 5  # positions among the thresholds 0.50, 0.55, ...
    precision, recall = curves.precision, curves.recall

    def mean(values: NDArray[np.float64]) -> float:
        counted = values[values > -1]  # -1 marks that nobody counts
        return float(counted.mean()) if counted.size else float("nan")

    return APResult(
        AP=mean(precision[..., everyone]),
        AP50=mean(precision[at50, ..., everyone]),
        AP75=mean(precision[at75, ..., everyone]),
        AP_M=mean(precision[..., medium]),
        AP_L=mean(precision[..., large]),
        AR=mean(recall[..., everyone]),
        AR50=mean(recall[at50, ..., everyone]),
        AR75=mean(recall[at75, ..., everyone]),
        AR_M=mean(recall[..., medium]),
        AR_L=mean(recall[..., large]),
    )
