"""Test of whether detections carry the ids of other images than their own."""

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


def find_swapped_images(everything: Comparison, sample: Comparison) -> Iterator[tuple[float, str]]:
    """Compare annotated people with the detections of all images.

    Among thousands of detections some are similar by chance. How similar is measured with the same
    people mirrored in place: nothing is yielded unless they themselves are clearly more similar.

    Args:
        everything: annotated people and detections of all images.
        sample: those of some images; their people are compared.

    Yields:
        The mean similarity of annotated people to the most similar detection of any image, and the
        reason that it gives for a low average precision.
    """
    if len(everything.images) < 2:
        return
    (people,) = np.nonzero(~sample.truth.ignored)
    chosen = np.zeros(len(sample.truth), dtype=bool)
    chosen[people[np.linspace(0, len(people) - 1, min(_PEOPLE, len(people))).astype(int)]] = True
    truth = sample.truth.only(chosen)
    best = np.argsort(-everything.found.scores, kind="stable")[:_DETECTIONS]
    candidates = everything.found.only(np.isin(np.arange(len(everything.found)), best))
    in_one_image = replace(
        everything,
        truth=replace(truth, images=np.zeros_like(truth.images), image_ids=(0,)),
        found=replace(candidates, images=np.zeros_like(candidates.images)),
        max_detections=_DETECTIONS,
    )
    oks, detection = in_one_image.best_oks()
    mirrored = replace(in_one_image, truth=_mirrored(in_one_image.truth, everything.skeleton))
    chance, _ = mirrored.best_oks()
    if oks.mean() < chance.mean() + _ABOVE_CHANCE:
        return
    own_image = np.searchsorted(everything.images, np.array(sample.images)[truth.images])
    steps = (candidates.images[detection] - own_image)[oks > 0.5]
    steps = steps[steps != 0]
    if not len(steps):
        return
    values, times = np.unique(steps, return_counts=True)
    step = int(values[times.argmax()])
    where = ""
    if times.max() > len(steps) / 2:
        side = "after" if step > 0 else "before"
        where = f": most are {abs(step)} {side} their own in the order of the ids"
    yield float(oks.mean()), f"detections are in the wrong images{where}"


def _mirrored(truth: AnnotationTable, skeleton: Skeleton) -> AnnotationTable:
    """Mirror each person about the middle of its own keypoints."""
    keypoints, labeled = truth.keypoints.copy(), truth.labeled
    x = truth.keypoints[..., 0]
    low = np.where(labeled, x, np.inf).min(axis=1, keepdims=True)
    high = np.where(labeled, x, -np.inf).max(axis=1, keepdims=True)
    keypoints[..., 0] = low + high - x
    return replace(truth, keypoints=keypoints[:, skeleton.flip_indices])
