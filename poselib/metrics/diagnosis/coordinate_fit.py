"""Fit of a scale and a shift, common to all images, that bring detections to annotated people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poselib.annotations import DetectionTable
from poselib.metrics.comparison import Comparison
from poselib.typing import FloatArray, IntArray

_ROUNDS = 4
# OKS pairs people over distances this many times as large as usual.
_WIDENING = 8.0


@dataclass(frozen=True)
class ScaleShift:
    """The map ``scale * xy + shift`` of coordinates, px."""

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __call__(self, found: DetectionTable) -> DetectionTable:
        return change_coordinates(found, lambda xy: self.scale * xy + np.array(self.shift))


def change_coordinates(
    found: DetectionTable, change: Callable[[FloatArray], FloatArray]
) -> DetectionTable:
    """Return detections with other coordinates; keypoints that were not found stay so."""
    xy = np.where(found.present[..., None], change(found.keypoints[..., :2]), 0.0)
    return replace(found, keypoints=np.concatenate([xy, found.keypoints[..., 2:]], axis=-1))


def fit_scale_shift(comparison: Comparison, *, scale: bool, shift: bool) -> ScaleShift:
    """Fit the scale and shift that bring the detections nearest to the annotated people.

    The fit starts from the median location and the spread of all keypoints in each image. Then,
    repeatedly, each annotated person is paired with the most similar detection, and least squares
    are solved over the more similar half of these pairs.

    Args:
        scale: fit a scale; 1 if not.
        shift: fit a shift; 0 if not.
    """
    fit = _initial_fit(comparison, scale, shift)
    for _ in range(_ROUNDS):
        f, t = _similar_pairs(replace(comparison, found=fit(comparison.found)))
        common = comparison.truth.labeled[t] & comparison.found.present[f]
        if not common.any():
            break
        detected = comparison.found.keypoints[f][common][:, :2]
        annotated = comparison.truth.keypoints[t][common][:, :2]
        fit = _least_squares(detected, annotated, scale, shift)
    return fit


def _initial_fit(comparison: Comparison, scale: bool, shift: bool) -> ScaleShift:
    """Compare location and spread of all keypoints of each image."""
    truth, found = comparison.truth, comparison.found
    labeled, present = truth.labeled, found.present
    rows = []
    for image in np.unique(truth.images[~truth.ignored]):
        people = (truth.images == image) & ~truth.ignored
        (candidates,) = np.nonzero(found.images == image)
        # As many detections as there are people: the rest are hardly people.
        order = np.argsort(-found.scores[candidates], kind="stable")
        best = candidates[order][: people.sum()]
        annotated = truth.keypoints[people][labeled[people]][:, :2]
        detected = found.keypoints[best][present[best]][:, :2]
        if len(detected) and len(annotated):
            rows.append((*_location(detected, shift), *_location(annotated, shift)))
    if not rows:
        return ScaleShift()
    values = np.array(rows)
    factor = 1.0
    if scale:
        factor = _positive(np.median(values[:, 5] / np.maximum(values[:, 2], 1e-12)))
    x, y = np.median(values[:, 3:5] - factor * values[:, :2], axis=0).tolist()
    return ScaleShift(factor, (x, y) if shift else (0.0, 0.0))


def _location(xy: FloatArray, around_median: bool) -> tuple[float, float, float]:
    """Median of some points and their spread around it, or around the origin; px."""
    median = np.median(xy, axis=0)
    offsets = xy - median if around_median else xy
    return float(median[0]), float(median[1]), float(np.sqrt((offsets**2).mean()))


def _similar_pairs(comparison: Comparison) -> tuple[IntArray, IntArray]:
    """Rows of the most similar detection of each person and of the person; the better half."""
    truth = comparison.truth
    wide = replace(comparison, truth=replace(truth, areas=truth.areas * _WIDENING**2))
    best, detection = wide.best_oks()
    (people,) = np.nonzero(~truth.ignored & (best > 0))
    if len(people):
        people = people[best[people] >= np.median(best[people])]
    return detection[people], people


def _least_squares(
    detected: FloatArray, annotated: FloatArray, scale: bool, shift: bool
) -> ScaleShift:
    """Fit corresponding points (M, 2)."""
    origin, goal = np.zeros(2), np.zeros(2)
    if shift:
        origin, goal = detected.mean(axis=0), annotated.mean(axis=0)
    factor = 1.0
    if scale:
        a, b = detected - origin, annotated - goal
        factor = _positive((a * b).sum() / max((a * a).sum(), 1e-12))
    x, y = (goal - factor * origin).tolist()
    return ScaleShift(factor, (x, y))


def _positive(factor: float) -> float:
    """Return a scale, or 1 for one that is not positive and fits nothing."""
    return float(factor) if factor > 0 else 1.0
