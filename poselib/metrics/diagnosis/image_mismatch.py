"""Whether people were found in the wrong images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.metrics.comparison import Comparison
from poselib.skeletons import Skeleton

# People and detections that are compared across images.
_PEOPLE, _DETECTIONS = 150, 3000
# How much more similar people of other images must be than by chance.
_ABOVE_CHANCE = 0.15


def elsewhere(everything: Comparison, sample: Comparison) -> Iterator[tuple[float, str]]:
    """Yield the similarity of annotated people to anybody found in any image, and what it means.

    Among thousands somebody is alike by chance. How much is seen from the same people mirrored
    where they stand: nothing is yielded unless they themselves are clearly more alike.

    Args:
        everything: who is where.
        sample: the annotated people to look at.
    """
    if len(everything.images) < 2:
        return
    (people,) = np.nonzero(~sample.truth.ignored)
    chosen = np.zeros(len(sample.truth), dtype=bool)
    chosen[people[np.linspace(0, len(people) - 1, min(_PEOPLE, len(people))).astype(int)]] = True
    truth = sample.truth.only(chosen)
    best = np.argsort(-everything.found.scores, kind="stable")[:_DETECTIONS]
    candidates = everything.found.only(np.isin(np.arange(len(everything.found)), best))
    together = replace(
        everything,
        truth=replace(truth, images=np.zeros_like(truth.images), image_ids=(0,)),
        found=replace(candidates, images=np.zeros_like(candidates.images)),
        max_detections=_DETECTIONS,
    )
    value, who = together.best_oks()
    mirrored = replace(together, truth=_mirrored(together.truth, everything.skeleton))
    chance, _ = mirrored.best_oks()
    if value.mean() < chance.mean() + _ABOVE_CHANCE:
        return
    home = np.searchsorted(everything.images, np.array(sample.images)[truth.images])
    steps = (candidates.images[who] - home)[value > 0.5]
    steps = steps[steps != 0]
    if not len(steps):
        return
    usual, times = np.unique(steps, return_counts=True)
    step = int(usual[times.argmax()])
    where = ""
    if times.max() > len(steps) / 2:
        side = "after" if step > 0 else "before"
        where = f": most are {abs(step)} {side} their own in the order of the ids"
    yield float(value.mean()), f"detections are in the wrong images{where}"


def _mirrored(truth: AnnotationTable, skeleton: Skeleton) -> AnnotationTable:
    """Mirror everyone about the middle of their own keypoints."""
    keypoints, labeled = truth.keypoints.copy(), truth.labeled
    x = truth.keypoints[..., 0]
    low = np.where(labeled, x, np.inf).min(axis=1, keepdims=True)
    high = np.where(labeled, x, -np.inf).max(axis=1, keepdims=True)
    keypoints[..., 0] = low + high - x
    return replace(truth, keypoints=keypoints[:, skeleton.flip_indices])
