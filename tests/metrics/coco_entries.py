"""Ground truth and results of a few people, as COCO's files have them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.data.readers.coco import read_annotations, read_results
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.data.synthetic.export import dataset_document, scene_entries
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.metrics.comparison import Comparison, compare
from poselib.skeletons import Skeleton

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


def coco_document(scenes: SyntheticScenes) -> Entry:
    """The COCO document that is written beside synthetic images."""
    skeleton, count = scenes.skeleton, len(scenes)
    described = (scene_entries(scenes.scene(i), skeleton, i, "png") for i in range(count))
    return dataset_document(described, scenes.config, count, scenes.seed, skeleton)


def comparison_of(
    truth: Entry | Path | AnnotationTable,
    results: list[Entry],
    skeleton: Skeleton,
    image_ids: Collection[Any] | None = None,
    max_detections: int = 20,
) -> Comparison:
    """Compare COCO results with COCO ground truth, a file of it, or a table."""
    table = truth if isinstance(truth, AnnotationTable) else read_annotations(truth, skeleton)
    return compare(table, read_results(results, table), skeleton, image_ids, max_detections)


def ap_of(
    truth: Entry | Path | AnnotationTable,
    results: list[Entry],
    skeleton: Skeleton,
    image_ids: Collection[Any] | None = None,
    max_detections: int = 20,
    **options: Any,
) -> APResult:
    """Evaluate COCO results."""
    comparison = comparison_of(truth, results, skeleton, image_ids, max_detections)
    return evaluate_ap(comparison, **options)
