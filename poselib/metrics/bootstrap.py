"""Bootstrap over images: how certain a difference of average precision is with one network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from poselib.metrics.coco_eval import RECALLS, Outcomes, outcomes
from poselib.metrics.comparison import Comparison
from poselib.ops.intervals import LEVEL, direction
from poselib.typing import BoolArray, FloatArray, IntArray

_BATCH = 100  # drawings at once, for memory


class APGain(NamedTuple):
    """A difference of AP, from -1 to 1, with the ends of its 95% interval."""

    gain: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it in points: ``"+2.8 [+0.9, +4.7] (more)"``."""
        gain, low, high = (100 * value for value in self)
        return f"{gain:+.1f} [{low:+.1f}, {high:+.1f}] ({direction(low, high)})"


def ap_gain(
    before: Comparison, after: Comparison, *, resamples: int = 1000, seed: int = 0
) -> APGain:
    """Measure how much higher the AP of some detections is than that of others, with an interval.

    A paired bootstrap (Efron and Tibshirani, 1993, Chapter 13, percentile method): images are drawn
    with replacement, the same for both, as many as there are, and AP, which is no mean over
    images, is counted anew over all detections in them; the interval holds the middle 95% of the
    differences. It says what other images of this kind would change, not what another training
    would: that takes seeds.

    Args:
        before, after: two sets of detections in the same annotated images.
        resamples: how often images are drawn.
        seed: of the drawing.

    Returns:
        The difference and its interval, NaN where no annotated person counts.

    Raises:
        ValueError: the two are of different images.
    """
    if before.images != after.images:
        raise ValueError(
            f"expected detections in the same images, found {len(before.images)} and "
            f"{len(after.images)} images that are not the same"
        )
    count = len(before.images)
    # The images as they are come first.
    once = np.ones((1, count), np.int64)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    times = np.vstack([once, drawn])
    first, second = (resampled_ap(outcomes(each), times) for each in (before, after))
    gain, gains = second[0] - first[0], second[1:] - first[1:]
    if np.isnan(gain):
        return APGain(np.nan, np.nan, np.nan)
    # Images drawn without an annotated person have no AP.
    low, high = np.nanquantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return APGain(float(gain), float(low), float(high))


def resampled_ap(counted: Outcomes, times: IntArray) -> FloatArray:
    """Measure AP in datasets that have each of the M images a number of times.

    Args:
        times: (R, M) how often each image is there.

    Returns:
        (R,) AP over all sizes, from 0 to 1; NaN where no annotated person counts.
    """
    parts = [times[start : start + _BATCH] for start in range(0, len(times), _BATCH)]
    return np.concatenate([_resampled_ap(counted, part) for part in parts])


def _resampled_ap(counted: Outcomes, times: IntArray) -> FloatArray:
    everyone = 0  # of the ranges of sizes
    levels, means = len(counted.right[everyone]), []
    for kind in range(counted.kinds):
        rows = slice(*np.searchsorted(counted.categories, (kind, kind + 1)))
        here = counted.people[:, everyone] & (counted.people_categories == kind)
        total = times[:, counted.people_images[here]].sum(axis=1)
        often, needed = times[:, counted.images[rows]], _people_at_recalls(total)
        for level in range(levels):
            right = counted.right[everyone, level, rows]
            taken = counted.counted[everyone, level, rows]
            mean = _mean_precision(often, right, taken, needed)
            means.append(np.where(total > 0, mean, np.nan))
    known = ~np.isnan(means)
    return np.nansum(means, axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def _people_at_recalls(total: IntArray) -> IntArray:
    """Return the least numbers (R, 101), from 1 on, of people (R,) that are each recall or more."""
    people = np.maximum(total, 1)[:, None]
    needed = np.ceil(RECALLS * people).astype(np.int64)
    # To the number that division gives, as in the evaluation.
    needed -= (needed - 1) / people >= RECALLS
    needed += needed / people < RECALLS
    return np.maximum(needed, 1)


def _mean_precision(
    often: IntArray, right: BoolArray, counted: BoolArray, needed: IntArray
) -> FloatArray:
    """Return the mean (R,) of the precision at 101 recalls, of D detections by falling score.

    Args:
        often: (R, D) how often each detection is there.
        right, counted: (D,).
        needed: (R, 101) how many people are each recall.
    """
    resamples, (hits,) = len(often), np.nonzero(right)
    if not len(hits):
        return np.zeros(resamples)
    found = np.cumsum(often[:, hits], axis=1)
    precision = found / (np.cumsum(often * counted, axis=1)[:, hits] + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # One search for all resamples, whose numbers are shifted apart.
    number = np.arange(resamples)[:, None]
    shift = number * (int(needed.max()) + 1)
    inside = np.minimum(found, needed[:, -1:]) + shift
    at = np.searchsorted(inside.ravel(), needed + shift) - number * len(hits)
    reached = at < len(hits)
    values = np.take_along_axis(best, np.where(reached, at, 0), axis=1)
    return np.where(reached, values, 0.0).mean(axis=1)
