"""COCO annotations and results of a few people, by hand or at random, and their comparison."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
from pycocotools.cocoeval import COCOeval

from poselib.annotations import AnnotationTable
from poselib.data.readers.coco import read_annotations, read_results
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.data.synthetic.export import dataset_document, scene_entries
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.metrics.comparison import Comparison, compare
from poselib.skeletons import COCO, Skeleton

Entry = dict[str, Any]

K = len(COCO)
SPREAD = 2 * np.array(COCO.sigmas)
CENTER = np.array([320.0, 240.0])


def truth_of(people: list[Entry], images: int = 1) -> Entry:
    """Annotations of images 1, 2, ...; people are in the first by default."""
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
    return dataset_document(described, {}, skeleton)


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


def plain(
    truth: Entry,
    results: list[Entry],
    images: list | None = None,
    most: int = 20,
    skeleton: Skeleton = COCO,
) -> list[float]:
    """The ten numbers by pycocotools as usual; NaN for its -1."""
    with contextlib.redirect_stdout(io.StringIO()):
        index = pycocotools.coco.COCO()
        index.dataset = truth
        index.createIndex()
        found = index.loadRes(results)
        evaluation = COCOeval(index, found, "keypoints")
        if images is not None:
            evaluation.params.imgIds = images
        evaluation.params.maxDets = [most]
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    parts = [precision[..., 0, 0], precision[0, ..., 0, 0], precision[5, ..., 0, 0]]
    parts += [precision[..., 1, 0], precision[..., 2, 0]]
    parts += [recall[..., 0, 0], recall[0, ..., 0, 0], recall[5, ..., 0, 0]]
    parts += [recall[..., 1, 0], recall[..., 2, 0]]
    return [float(p[p > -1].mean()) if (p > -1).any() else float("nan") for p in parts]


def assert_same(found: list[float], expected: list[float]) -> None:
    """To the last bit."""
    np.testing.assert_array_equal(found, expected)


def random_crowd(seed: int, images: int = 12) -> tuple[Entry, list[Entry]]:
    """Up to five overlapping people per image; COCO annotations and results.

    A third of the keypoints is not labeled; a few people are crowds and a few have no label. A
    keypoint is detected near its own location, near one of the other side or of another person, or
    anywhere, and one in thirty is missing. Some people are detected twice, some not at all.
    """
    rng = np.random.default_rng(seed)
    people: list[Entry] = []
    results: list[Entry] = []
    for image in range(1, images + 1):
        count = int(rng.integers(0, 6))
        size = rng.uniform(60, 200, count)
        # Not at the corner, where a keypoint that was not found would be near something.
        corner = CENTER + rng.uniform(-100, 100, (count, 2))
        points = corner[:, None] + size[:, None, None] * rng.random((count, K, 2))
        seen = rng.choice(3, (count, K), p=[0.33, 0.17, 0.5])
        seen[rng.random(count) < 0.1] = 0
        areas = size**2 * rng.uniform(0.4, 0.7, count)
        for n in range(count):
            labeled = np.where(seen[n, :, None] > 0, points[n], 0)
            box = [*corner[n].tolist(), float(size[n]), float(size[n])]
            fields = {"image_id": image, "bbox": box, "iscrowd": int(rng.random() < 0.07)}
            people.append(person(np.column_stack([labeled, seen[n]]), float(areas[n]), **fields))
        for n in rng.permutation(
            np.repeat(np.arange(count), rng.choice(3, count, p=[0.1, 0.7, 0.2]))
        ):
            xy = _detected(rng, points, int(n), float(np.sqrt(areas[n])))
            results.append(result(xy, float(rng.random()), image))
        if rng.random() < 0.3:
            anywhere = np.column_stack([rng.uniform(0, 600, (K, 2)), np.ones(K)])
            results.append(result(anywhere, float(rng.random()), image))
    return truth_of(people, images), [results[i] for i in rng.permutation(len(results))]


def _detected(rng: np.random.Generator, points: np.ndarray, n: int, scale: float) -> np.ndarray:
    """Keypoints (K, 3) found of person n of ``points`` (N, K, 2)."""
    types = np.arange(K)
    whose = np.full(K, n)
    strange, crossed = rng.random(K) < 0.15, rng.random(K) < 0.15
    whose[strange] = rng.integers(0, len(points), int(strange.sum()))
    xy = points[whose, np.where(crossed, COCO.flip_indices, types)]
    far = np.where(rng.random(K) < 0.15, 20.0, rng.uniform(0, 1.3))
    xy = xy + rng.normal(size=(K, 2)) * (far * scale * SPREAD)[:, None]
    xy[rng.random(K) < 1 / 30] = 0
    return np.column_stack([xy, np.where(xy.any(axis=1), rng.uniform(0.1, 1, K), 0)])
