"""Which keypoint was found where another is annotated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poselib.metrics.entries import Comparison
from poselib.skeleton import Skeleton

Float = NDArray[np.float64]


def keypoint_likeness(sample: Comparison, skeleton: Skeleton) -> Float:
    """Return how alike the place where a keypoint is annotated is to where any was found.

    Of people whose keypoints fill nearly the same box, whichever keypoint lies where in it.

    Args:
        sample: who is where.
        skeleton: gives the OKS constants.

    Returns:
        (K, K) mean similarity from 0 to 1 of annotated keypoints (rows) to found ones (columns).
    """
    truth, found = sample.truth, sample.found
    f, t = _same_box(sample)
    labelled = truth.labelled[t]
    apart = truth.keypoints[t][:, :, None, :2] - found.keypoints[f][:, None, :, :2]
    spread = (2 * np.array(skeleton.sigmas)) ** 2
    scale = 2 * np.maximum(truth.areas[t], 1)[:, None] * spread
    alike = np.exp(-(apart**2).sum(axis=-1) / scale[..., None]) * labelled[..., None]
    mean: Float = alike.sum(axis=0) / np.maximum(labelled.sum(axis=0), 1)[:, None]
    return mean


def _same_box(sample: Comparison) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each annotated person whoever was found in the most similar box, if similar at all."""
    f, t = [], []
    for image in np.unique(sample.found.images):
        (people,) = np.nonzero((sample.truth.images == image) & ~sample.truth.ignored)
        (candidates,) = np.nonzero((sample.found.images == image) & sample.found.present.any(1))
        if not len(people) or not len(candidates):
            continue
        a = _extent(sample.truth.keypoints[people], sample.truth.labelled[people])[:, None]
        b = _extent(sample.found.keypoints[candidates], sample.found.present[candidates])[None]
        shared = np.prod(
            (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0), -1
        )
        areas = [np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (a, b)]
        overlap = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
        best = overlap.argmax(axis=1)
        sure = overlap[np.arange(len(people)), best] > 0.3
        f.extend(candidates[best[sure]].tolist())
        t.extend(people[sure].tolist())
    return np.array(f, np.int64), np.array(t, np.int64)


def _extent(keypoints: Float, counted: NDArray[np.bool_]) -> Float:
    """Left, top, right and bottom (N, 4) of some keypoints."""
    xy, there = keypoints[..., :2], counted[..., None]
    low = np.where(there, xy, np.inf).min(axis=1)
    return np.concatenate([low, np.where(there, xy, -np.inf).max(axis=1)], axis=1)
