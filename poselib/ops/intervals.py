"""Confidence intervals of a mean over few seeds: Student's t."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from poselib.typing import FloatArray

LEVEL = 0.95
# Two seeds have an interval too, nine standard deviations to each side: it decides nothing.
MIN_SEEDS = 3


def mean_interval(mean: ArrayLike, deviation: ArrayLike, count: ArrayLike) -> FloatArray:
    """Return the 95% interval of means of independent, normally distributed values.

    mean ± t(0.975, n - 1) · deviation / √n, with the quantile of Student's t. Of differences that
    are paired by seed it is the interval of a paired t-test.

    Args:
        mean, deviation: of n values each; the deviation is the sample's (n - 1).
        count: n, how many values a mean is of.

    Returns:
        (2, ...) the lower and the upper end; NaN for fewer than three values.
    """
    number = np.asarray(count, dtype=float)
    enough = np.where(number >= MIN_SEEDS, number, np.nan)
    quantile = stdtrit(enough - 1, (1 + LEVEL) / 2)
    center, half = np.asarray(mean, float), quantile * np.asarray(deviation, float) / enough**0.5
    return np.stack(np.broadcast_arrays(center - half, center + half))


def interval_of(values: ArrayLike) -> tuple[float, float]:
    """Return the 95% interval of the mean of values, NaN left out: see ``mean_interval``."""
    numbers = np.asarray(values, dtype=float)
    known = numbers[~np.isnan(numbers)]
    if len(known) < MIN_SEEDS:
        return float("nan"), float("nan")
    low, high = mean_interval(known.mean(), known.std(ddof=1), len(known))
    return float(low), float(high)


def direction(low: float, high: float) -> str:
    """Say what an interval of a difference tells: ``"more"``, ``"less"`` or ``"not told apart"``.

    ``"too few to tell"`` where there is none.
    """
    if np.isnan(low) or np.isnan(high):
        return "too few to tell"
    return "more" if low > 0 else "less" if high < 0 else "not told apart"
