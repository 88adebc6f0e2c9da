"""Options of the associative losses: validation and defaults."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from poselib.losses.associative_options import EQUATION_7, EQUATIONS_9_10, PullOptions, PushOptions


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PushOptions(form="cosine"),
            "unknown push form 'cosine'; known: 'gaussian', 'hinge'",
        ),  # type: ignore[arg-type]
        (lambda: PushOptions(sigma=0), "push sigma must be a positive number, not 0"),
        (lambda: PushOptions(sigma=math.nan), "push sigma must be a positive number"),
        (
            lambda: PullOptions(outlier_scope="image"),
            "outlier_scope must be 'person' or 'group', not 'image'",
        ),  # type: ignore[arg-type]
        (
            lambda: PullOptions(missing_keypoints="zero"),
            "missing_keypoints must be 'skip' or 'rescale', not 'zero'",
        ),  # type: ignore[arg-type]
        (
            lambda: PullOptions(focal_levels="high"),
            "focal_levels must be 'both' or 'low', not 'high'",
        ),  # type: ignore[arg-type]
        (lambda: PullOptions(mining="focal"), "mining must be 'iqr' or 'ohkm', not 'focal'"),  # type: ignore[arg-type]
        (lambda: PullOptions(ohkm_rest="half"), "ohkm_rest must be 'drop' or 'keep', not 'half'"),  # type: ignore[arg-type]
        (lambda: PullOptions(hardest=0), "hardest must be a positive number of keypoints, not 0"),
        (lambda: PullOptions(alpha=-1), "alpha must be a finite number, not negative: -1"),
        (lambda: PullOptions(alpha=math.nan), "alpha must be a finite number"),
    ],
)
def test_invalid_options_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("pull", "focal"),
    [
        (PullOptions(), False),
        (PullOptions(2.0), True),
        (PullOptions(0.5), True),
        (PullOptions(mining="ohkm"), True),
        (PullOptions(mining="ohkm", ohkm_rest="keep"), False),
        (PullOptions(2.0, mining="ohkm", ohkm_rest="keep"), True),
    ],
)
def test_focal_property(pull: PullOptions, focal: bool) -> None:
    assert pull.focal == focal


def test_defaults_are_the_equations() -> None:
    """No factor, no weights, no division by K; the deviation is the official code's."""
    assert EQUATION_7.factor == 1 and 2 * EQUATION_7.sigma**2 == pytest.approx(1)
    assert not EQUATIONS_9_10.focal and not EQUATIONS_9_10.per_keypoint
    assert EQUATIONS_9_10.missing_keypoints == "skip"


def test_check_of_ohkm_keypoints() -> None:
    PullOptions(mining="ohkm", hardest=13).check(14)
    PullOptions(hardest=14).check(14)
    with pytest.raises(ValueError, match="hardest must be less than 14 keypoints, not 14"):
        PullOptions(mining="ohkm", hardest=14).check(14)
