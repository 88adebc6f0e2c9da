"""Motion is smooth, stays inside the joint limits, and steps are mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from poselib.data.synthetic.motion import PATH_SPACING, POSE_SPACING, Motion, sample_motion, spline
from poselib.data.synthetic.pose_sampling import FAMILIES, LIMITS, MIRROR
from tests.strategies import generators, quick

LOW, HIGH = np.array(list(LIMITS.values()), float).T


def motion_of(rng: np.random.Generator, seconds: float, *names: str) -> Motion:
    families = np.array([[FAMILIES.index(name)] * 2 for name in names])
    return sample_motion(rng, families, seconds, np.zeros(2), turn=60)


@quick
@given(generators, st.integers(4, 9))
def test_splines_equal_those_of_scipy(rng: np.random.Generator, count: int) -> None:
    controls = rng.normal(size=(count, 2, 3))
    times = rng.uniform(0, count - 3, 20)
    reference = BSpline(np.arange(count + 4) - 3, controls, 3)
    np.testing.assert_allclose(spline(controls, times), reference(times), atol=1e-12)


@quick
@given(generators, st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=3))
def test_joint_limits_hold_at_all_times(rng: np.random.Generator, names: list[str]) -> None:
    seconds = float(rng.uniform(0.04, 4))
    angles = motion_of(rng, seconds, *names).pose(np.linspace(-0.02, seconds + 0.02, 200))
    assert (angles >= LOW - 1e-9).all() and (angles <= HIGH + 1e-9).all()


@pytest.mark.parametrize("family", ["standing", "walking", "lying"])
def test_motion_is_smooth(family: str) -> None:
    """Halving the time step divides the second difference by four: acceleration is continuous."""
    motion = motion_of(np.random.default_rng(0), 3.0, family, "arms_up")
    for read in (motion.pose, *(lambda t, n=n: motion.path(n, t) for n in ("yaw", "places"))):
        jumps = []
        for step in (0.02, 0.01):
            values = read(np.arange(0, 3, step))
            jumps.append(np.abs(np.diff(values, 2, axis=0)).max())
        assert 3.5 < jumps[0] / jumps[1] < 4.5
        third = np.abs(np.diff(read(np.arange(0, 3, 0.01)), 3, axis=0)).max()
        assert third < jumps[1], "acceleration does not jump"


def test_walking_is_made_of_mirrored_steps() -> None:
    motion = motion_of(np.random.default_rng(1), 3.0, "walking")
    for one, other in zip(motion.angles[::2], motion.angles[1::2], strict=False):
        assert (other == one[:, MIRROR]).all()
    facing_right = sample_motion(
        np.random.default_rng(1),
        np.full((1, 2), FAMILIES.index("walking")),
        3.0,
        np.full(2, 90.0),
        0,
    )
    x = facing_right.path("places", np.array([0.0, 3.0]))[..., 0]
    assert (x[1] - x[0] > 1.0).all(), "who walks faces the way"


def test_nobody_lies_down_or_gets_up() -> None:
    for first in ("lying", "standing"):
        motion = motion_of(np.random.default_rng(2), 3.0, first, "lying", "standing")
        roll = np.abs(motion.path("roll", np.linspace(0, 3, 50)))
        assert (roll > 60).all() if first == "lying" else (roll < 40).all()


def test_splines_last_as_long_as_asked() -> None:
    for seconds in (0.04, POSE_SPACING, 1.2, 2 * PATH_SPACING):
        motion = motion_of(np.random.default_rng(3), seconds, "sitting")
        assert len(motion.angles) >= 4 + (seconds + 0.02) / POSE_SPACING
        assert len(motion.yaw) >= 4 + (seconds + 0.02) / PATH_SPACING
