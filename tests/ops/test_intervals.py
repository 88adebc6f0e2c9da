"""Confidence intervals of a mean over few seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from poselib.ops.intervals import direction, interval_of, mean_interval


def test_an_interval_is_that_of_a_t_test() -> None:
    values = np.random.default_rng(0).normal(2, 1, (6, 5))
    expected = ttest_1samp(values, 0, axis=1).confidence_interval(0.95)
    found = mean_interval(values.mean(axis=1), values.std(axis=1, ddof=1), 5)
    np.testing.assert_allclose(found, np.stack(expected))
    np.testing.assert_allclose(interval_of([np.nan, *values[0]]), found[:, 0])


def test_an_interval_of_three_values_by_hand() -> None:
    # The quantile of t with two degrees of freedom stands in every table.
    half = 4.302653 * (7 / 36) ** 0.5
    np.testing.assert_allclose(interval_of([3, 2, 3.5]), [17 / 6 - half, 17 / 6 + half], 1e-6)
    assert interval_of([4.0, 4.0, 4.0]) == (4, 4)


def test_two_values_have_no_interval() -> None:
    assert np.isnan(mean_interval([1, 1], [0.1, np.nan], [2, 1])).all()
    assert np.isnan(interval_of([1.0, 1.1])).all() and np.isnan(interval_of([])).all()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 2, "more"),
        (-2, -0.1, "less"),
        (-0.1, 2, "not told apart"),
        (0, 0, "not told apart"),
        (np.nan, np.nan, "too few to tell"),
    ],
)
def test_what_an_interval_tells(low: float, high: float, words: str) -> None:
    assert direction(low, high) == words
