"""PoseTrack's average precision as published evaluations loop: person by person, joint by joint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray

HEAD = ("nose", "head_bottom", "head_top")
PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def evaluate_plainly(
    poses: Sequence[Poses], table: AnnotationTable, skeleton: Skeleton, threshold: float = 0.5
) -> list[float]:
    """Return head, shoulder, elbow, wrist, hip, knee, ankle and the mean of all joints.

    Areas whose people are not labeled are not looked for.
    """
    kinds = range(len(skeleton))
    scores: list[list[float]] = [[] for _ in kinds]
    hits: list[list[bool]] = [[] for _ in kinds]
    annotated = [0 for _ in kinds]
    for image, detections in enumerate(poses):
        people, sizes = _annotated(table, image)
        distances = _distances(detections, people, sizes)
        matches = _matches(distances <= threshold, people)
        for k in kinds:
            for person in people:
                annotated[k] += int(person[k, 2] > 0)
            for d in range(len(detections)):
                if detections.scores[d, k] > 0:
                    own = matches.get(d)
                    scores[k].append(float(detections.scores[d, k]))
                    hits[k].append(own is not None and bool(distances[d, own, k] <= threshold))
    joints = {
        name: _average_precision(np.array(scores[k]), np.array(hits[k]), annotated[k])
        for k, name in enumerate(skeleton.keypoints)
    }
    head = sum(joints[name] for name in HEAD) / len(HEAD)
    sides = [(joints[f"left_{part}"] + joints[f"right_{part}"]) / 2 for part in PARTS]
    return [head, *sides, sum(joints.values()) / len(joints)]


def _annotated(table: AnnotationTable, image: int) -> tuple[list[FloatArray], list[float]]:
    """Return the people of a frame, and 0.6 of the diagonals of their heads."""
    assert table.head_boxes is not None
    rows = table.labeled_rows(image)
    people = [table.keypoints[row] + np.array([0.5, 0.5, 0]) for row in rows]
    return people, [0.6 * float(np.linalg.norm(table.head_boxes[row, 2:])) for row in rows]


def _distances(poses: Poses, people: list[FloatArray], sizes: list[float]) -> FloatArray:
    """Return the distances (P, N, K) of joints in heads, infinite where one is missing."""
    kinds = poses.keypoints.shape[1]
    distances = np.full((len(poses), len(people), kinds), np.inf)
    for d in range(len(poses)):
        for n, (person, size) in enumerate(zip(people, sizes, strict=True)):
            for k in range(kinds):
                if poses.scores[d, k] > 0 and person[k, 2] > 0:
                    point = poses.keypoints[d, k].astype(np.float64)
                    distances[d, n, k] = np.linalg.norm(point - person[k, :2]) / size
    return distances


def _matches(near: BoolArray, people: list[FloatArray]) -> dict[int, int]:
    """Give each detection the annotated person of the most near joints, and each the best one."""
    best: dict[int, tuple[float, int]] = {}
    for d in range(len(near)):
        rates = [
            np.sum(near[d, n]) / max(np.sum(person[:, 2] > 0), 1) for n, person in enumerate(people)
        ]
        if rates:
            favorite = int(np.argmax(rates))
            if favorite not in best or rates[favorite] > best[favorite][0]:
                best[favorite] = rates[favorite], d
    return {d: person for person, (_, d) in best.items()}


def _average_precision(scores: FloatArray, hits: BoolArray, annotated: int) -> float:
    """Integrate precision, made monotonically decreasing, over recall."""
    right = np.cumsum(hits[np.argsort(-scores, kind="stable")])
    precision, recall = right / np.arange(1, len(right) + 1), right / annotated
    area = 0.0
    for n in range(len(right)):
        step = recall[n] - (recall[n - 1] if n else 0)
        if step > 0:
            area += step * precision[n:].max()
    return float(area)
