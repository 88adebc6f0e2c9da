"""Fitting one frame of coordinates to another: a scale and a shift common to all images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from poselib.annotations import DetectionTable
from poselib.metrics.comparison import Comparison
from poselib.typing import FloatArray, IntArray

_ROUNDS = 4
# People are paired by a similarity that reaches this many times as far as OKS.
_REACH = 8.0


@dataclass(frozen=True)
class Frame:
    """What brings coordinates found to annotated ones: ``scale * xy + shift``, px."""

    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __call__(self, found: DetectionTable) -> DetectionTable:
        return moved(found, lambda xy: self.scale * xy + np.array(self.shift))


def moved(found: DetectionTable, change: Callable[[FloatArray], FloatArray]) -> DetectionTable:
    """Return people found with other coordinates; keypoints that are not present stay so."""
    xy = np.where(found.present[..., None], change(found.keypoints[..., :2]), 0.0)
    return replace(found, keypoints=np.concatenate([xy, found.keypoints[..., 2:]], axis=-1))


def fit_scale_shift(comparison: Comparison, *, scale: bool, shift: bool) -> Frame:
    """Return the frame that brings who was found nearest to who is annotated.

    It starts from where the people of each image are on the whole, whoever is whom, and goes on
    with those who are then nearest to each other, of whom the farther half is not believed.

    Args:
        comparison: who is where.
        scale: fit a scale; 1 if not.
        shift: fit a shift; 0 if not.
    """
    frame = _coarse(comparison, scale, shift)
    for _ in range(_ROUNDS):
        brought = replace(comparison, found=frame(comparison.found))
        f, t = _nearest(brought)
        common = comparison.truth.labeled[t] & comparison.found.present[f]
        if not common.any():
            break
        here = comparison.found.keypoints[f][common][:, :2]
        there = comparison.truth.keypoints[t][common][:, :2]
        frame = _solved(here, there, scale, shift)
    return frame


def _coarse(comparison: Comparison, scale: bool, shift: bool) -> Frame:
    """Compare where the keypoints of each image are on the whole."""
    truth, found = comparison.truth, comparison.found
    labeled, present = truth.labeled, found.present
    rows = []
    for image in np.unique(truth.images[~truth.ignored]):
        people = (truth.images == image) & ~truth.ignored
        (candidates,) = np.nonzero(found.images == image)
        # As many as there are people: the rest are hardly people.
        order = np.argsort(-found.scores[candidates], kind="stable")
        best = candidates[order][: people.sum()]
        there = truth.keypoints[people][labeled[people]][:, :2]
        here = found.keypoints[best][present[best]][:, :2]
        if len(here) and len(there):
            rows.append((*_place(here, shift), *_place(there, shift)))
    if not rows:
        return Frame()
    values = np.array(rows)
    factor = 1.0
    if scale:
        factor = _positive(np.median(values[:, 5] / np.maximum(values[:, 2], 1e-12)))
    apart = np.median(values[:, 3:5] - factor * values[:, :2], axis=0)
    return Frame(factor, (float(apart[0]), float(apart[1])) if shift else (0.0, 0.0))


def _place(xy: FloatArray, around_middle: bool) -> tuple[float, float, float]:
    """Middle of some points and how far they are from it, or from the origin; px."""
    middle = np.median(xy, axis=0)
    apart = xy - middle if around_middle else xy
    return float(middle[0]), float(middle[1]), float(np.sqrt((apart**2).mean()))


def _nearest(comparison: Comparison) -> tuple[IntArray, IntArray]:
    """Who was found nearest to each annotated person, and that person; the nearer half of them."""
    truth = comparison.truth
    wide = replace(comparison, truth=replace(truth, areas=truth.areas * _REACH**2))
    best, who = wide.best_oks()
    (people,) = np.nonzero(~truth.ignored & (best > 0))
    if len(people):
        people = people[best[people] >= np.median(best[people])]
    return who[people], people


def _solved(here: FloatArray, there: FloatArray, scale: bool, shift: bool) -> Frame:
    """Least squares over points (M, 2) that belong together."""
    origin, goal = (here.mean(axis=0), there.mean(axis=0)) if shift else (np.zeros(2), np.zeros(2))
    factor = 1.0
    if scale:
        a, b = here - origin, there - goal
        factor = _positive((a * b).sum() / max((a * a).sum(), 1e-12))
    apart = goal - factor * origin
    return Frame(factor, (float(apart[0]), float(apart[1])))


def _positive(factor: float) -> float:
    """A scale of 0 or less fits nothing; no scale is a better guess."""
    return float(factor) if factor > 0 else 1.0
