"""Similarity of each type of detected keypoint to each type of annotated keypoint."""

from __future__ import annotations

import numpy as np
from pycocotools import mask

from poselib.metrics.comparison import Comparison
from poselib.ops.oks import keypoint_similarity
from poselib.typing import BoolArray, FloatArray, IntArray

_MIN_IOU = 0.3


def type_similarity(sample: Comparison) -> FloatArray:
    """Compare the locations of annotated keypoints of each type with detected ones of each type.

    People are paired by the boxes of their keypoints, which do not depend on the order of types.

    Returns:
        (K, K) mean similarity from 0 to 1 of annotated keypoints (rows) to detected ones (columns).
    """
    truth, found = sample.truth, sample.found
    f, t = _pairs_by_box(sample)
    labeled = truth.labeled[t]
    detected, annotated = found.keypoints[f][:, :, None, :2], truth.keypoints[t][:, None, :, :2]
    areas = np.maximum(truth.areas[t], 1)[:, None]
    similarity = keypoint_similarity(detected, annotated, areas, sample.skeleton.sigmas)
    similarity = similarity * labeled[:, None]
    mean: FloatArray = similarity.sum(axis=0) / np.maximum(labeled.sum(axis=0), 1)
    return mean.T


def _pairs_by_box(sample: Comparison) -> tuple[IntArray, IntArray]:
    """Rows of the detections with the most similar boxes, and of the annotated people."""
    truth, found = sample.truth, sample.found
    annotated, present = _boxes(truth.keypoints, truth.labeled), found.present
    detected, has_keypoints = _boxes(found.keypoints, present), present.any(axis=1)
    f, t = [], []
    for image in np.unique(found.images):
        (people,) = np.nonzero((truth.images == image) & ~truth.ignored)
        (candidates,) = np.nonzero((found.images == image) & has_keypoints)
        if not len(people) or not len(candidates):
            continue
        crowds = np.zeros(len(candidates), np.uint8)
        overlap = mask.iou(annotated[people], detected[candidates], crowds)
        best = overlap.argmax(axis=1)
        similar = overlap[np.arange(len(people)), best] > _MIN_IOU
        f.extend(candidates[best[similar]].tolist())
        t.extend(people[similar].tolist())
    return np.array(f, np.int64), np.array(t, np.int64)


def _boxes(keypoints: FloatArray, counted: BoolArray) -> FloatArray:
    """Left, top, width and height (N, 4) of the keypoints that count."""
    xy, there = keypoints[..., :2], counted[..., None]
    low = np.where(there, xy, np.inf).min(axis=1)
    return np.concatenate([low, np.where(there, xy, -np.inf).max(axis=1) - low], axis=1)
