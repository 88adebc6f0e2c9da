"""Readings of the associative losses: what is refused, and which of them mine keypoints."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from poselib.losses.associative_options import EQUATION_7, EQUATIONS_9_10, Pull, Push


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Push(form="cosine"), "unknown push form 'cosine'; known: 'gaussian', 'hinge'"),  # type: ignore[arg-type]
        (lambda: Push(sigma=0), "push sigma must be a positive number, not 0"),
        (lambda: Push(sigma=math.nan), "push sigma must be a positive number"),
        (lambda: Pull(fence_over="image"), "fence_over must be 'person' or 'group', not 'image'"),  # type: ignore[arg-type]
        (lambda: Pull(missing="zero"), "missing must be 'skip' or 'rescale', not 'zero'"),  # type: ignore[arg-type]
        (lambda: Pull(focal_levels="high"), "focal_levels must be 'both' or 'low', not 'high'"),  # type: ignore[arg-type]
        (lambda: Pull(mining="focal"), "mining must be 'iqr' or 'ohkm', not 'focal'"),  # type: ignore[arg-type]
        (lambda: Pull(easy="half"), "easy must be 'drop' or 'keep', not 'half'"),  # type: ignore[arg-type]
        (lambda: Pull(hardest=0), "hardest must be a positive number of keypoints, not 0"),
        (lambda: Pull(alpha=-1), "alpha must be a finite number, not negative: -1"),
        (lambda: Pull(alpha=math.nan), "alpha must be a finite number"),
    ],
)
def test_options_are_checked(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("pull", "focal"),
    [
        (Pull(), False),
        (Pull(2.0), True),
        (Pull(0.5), True),
        (Pull(mining="ohkm"), True),
        (Pull(mining="ohkm", easy="keep"), False),
        (Pull(2.0, mining="ohkm", easy="keep"), True),
    ],
)
def test_what_counts_hard_keypoints_otherwise(pull: Pull, focal: bool) -> None:
    assert pull.focal == focal


def test_defaults_are_the_equations() -> None:
    """No factor, no weights, no division by K; the deviation is the official code's."""
    assert EQUATION_7.factor == 1 and 2 * EQUATION_7.sigma**2 == pytest.approx(1)
    assert not EQUATIONS_9_10.focal and not EQUATIONS_9_10.per_keypoint
    assert EQUATIONS_9_10.missing == "skip"


def test_only_mining_needs_more_keypoints_than_it_mines() -> None:
    Pull(mining="ohkm", hardest=13).check(14)
    Pull(hardest=14).check(14)
    with pytest.raises(ValueError, match="hardest must be less than 14 keypoints, not 14"):
        Pull(mining="ohkm", hardest=14).check(14)
