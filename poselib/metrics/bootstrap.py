"""Bootstrap over images: how certain a difference of average precision is with one network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from poselib.metrics.coco_eval import Outcomes, outcomes
from poselib.metrics.comparison import Comparison
from poselib.ops.intervals import LEVEL, direction
from poselib.typing import FloatArray, IntArray


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
    first, second = (outcomes(each).of_all_sizes() for each in (before, after))
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    drawn = _resampled_ap(second, times) - _resampled_ap(first, times)
    once = np.ones((1, count), np.int64)
    (gain,) = _resampled_ap(second, once) - _resampled_ap(first, once)
    if np.isnan(gain):
        return APGain(np.nan, np.nan, np.nan)
    # Images drawn without an annotated person have no AP.
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return APGain(float(gain), float(low), float(high))


def _resampled_ap(counted: Outcomes, times: IntArray) -> FloatArray:
    """AP (R,) of datasets with each image as often as a line of ``times`` (R, M) says."""
    values = []
    for line in times:
        precision, _ = counted.repeated(line).precision_and_recall()
        known = precision[precision > -1]
        values.append(known.mean() if known.size else np.nan)
    return np.array(values)
