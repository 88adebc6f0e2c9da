"""Which keypoint was found where another is annotated."""

from __future__ import annotations

import numpy as np
from pycocotools import mask

from poselib.metrics.comparison import Comparison
from poselib.ops.oks import keypoint_similarity
from poselib.typing import BoolArray, FloatArray, IntArray


def keypoint_likeness(sample: Comparison) -> FloatArray:
    """Return how alike the place where a keypoint is annotated is to where any was found.

    Of people whose keypoints fill nearly the same box, whichever keypoint lies where in it.

    Args:
        sample: who is where.

    Returns:
        (K, K) mean similarity from 0 to 1 of annotated keypoints (rows) to found ones (columns).
    """
    truth, found = sample.truth, sample.found
    f, t = _same_box(sample)
    labeled = truth.labeled[t]
    here, there = found.keypoints[f][:, :, None, :2], truth.keypoints[t][:, None, :, :2]
    areas = np.maximum(truth.areas[t], 1)[:, None]
    alike = keypoint_similarity(here, there, areas, sample.skeleton.sigmas) * labeled[:, None]
    mean: FloatArray = alike.sum(axis=0) / np.maximum(labeled.sum(axis=0), 1)
    return mean.T


def _same_box(sample: Comparison) -> tuple[IntArray, IntArray]:
    """For each annotated person whoever was found in the most similar box, if similar at all."""
    truth, found = sample.truth, sample.found
    annotated, present = _boxes(truth.keypoints, truth.labeled), found.present
    predicted, someone = _boxes(found.keypoints, present), present.any(axis=1)
    f, t = [], []
    for image in np.unique(found.images):
        (people,) = np.nonzero((truth.images == image) & ~truth.ignored)
        (candidates,) = np.nonzero((found.images == image) & someone)
        if not len(people) or not len(candidates):
            continue
        nobody = np.zeros(len(candidates), np.uint8)  # is a crowd
        overlap = mask.iou(annotated[people], predicted[candidates], nobody)
        best = overlap.argmax(axis=1)
        sure = overlap[np.arange(len(people)), best] > 0.3
        f.extend(candidates[best[sure]].tolist())
        t.extend(people[sure].tolist())
    return np.array(f, np.int64), np.array(t, np.int64)


def _boxes(keypoints: FloatArray, counted: BoolArray) -> FloatArray:
    """Left, top, width and height (N, 4) of some keypoints."""
    xy, there = keypoints[..., :2], counted[..., None]
    low = np.where(there, xy, np.inf).min(axis=1)
    return np.concatenate([low, np.where(there, xy, -np.inf).max(axis=1) - low], axis=1)
