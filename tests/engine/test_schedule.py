from __future__ import annotations

import math

import pytest

from poselib.engine.schedule import learning_rate_factor


def test_cosine_falls_from_one_to_nothing() -> None:
    factors = [learning_rate_factor("cosine", progress / 100) for progress in range(101)]
    assert factors[0] == 1.0 and factors[-1] == pytest.approx(0.0)
    assert factors[50] == pytest.approx(0.5)
    assert factors[25] == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert factors == sorted(factors, reverse=True)


def test_progress_past_the_end_stays_at_nothing() -> None:
    assert learning_rate_factor("cosine", 1.3) == pytest.approx(0.0)


def test_warmup_rises_linearly_from_a_25th_and_joins_the_schedule() -> None:
    values = [learning_rate_factor("cosine", p, warmup=0.2) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert values == pytest.approx([0.04, 0.52, 1.0, 0.5, 0.0])
    assert learning_rate_factor("constant", 0.1, warmup=0.2) == pytest.approx(0.52)


def test_steps_fall_at_their_milestones() -> None:
    # 0.1 from two thirds on and 0.01 from 0.87: HigherHRNet's epochs 200 and 260 of 300.
    at = {0.0: 1.0, 0.66: 1.0, 0.67: 0.1, 0.86: 0.1, 0.87: 0.01, 1.0: 0.01}
    for progress, expected in at.items():
        factor = learning_rate_factor("steps", progress, milestones=(2 / 3, 260 / 300), decay=0.1)
        assert factor == pytest.approx(expected)


def test_steps_may_fall_by_factors_of_their_own() -> None:
    milestones, decay = (0.25, 0.5, 0.75), (0.5, 0.2, 3.0)
    factors = [
        learning_rate_factor("steps", progress, milestones=milestones, decay=decay)
        for progress in (0.0, 0.24, 0.25, 0.5, 0.74, 0.75, 1.0)
    ]
    assert factors == pytest.approx([1, 1, 0.5, 0.1, 0.1, 0.3, 0.3])


def test_a_factor_without_a_milestone_is_refused() -> None:
    with pytest.raises(ValueError):
        learning_rate_factor("steps", 0.5, milestones=(0.2,), decay=(0.1, 0.1))


def test_constant_stays() -> None:
    assert {learning_rate_factor("constant", p) for p in (0.0, 0.3, 1.0)} == {1.0}
