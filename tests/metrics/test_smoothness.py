"""Acceleration error, jitter and id switches: by hand, and what leaves them unchanged."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.metrics.smoothness import acceleration_error, id_switches, still_jitter


def joints(x: list[float], score: float = 2.0) -> np.ndarray:
    values = np.zeros((len(x), 1, 1, 3))
    values[:, 0, 0, 0], values[..., 2] = x, score
    return values


def test_acceleration_by_hand() -> None:
    truth = joints([0, 1, 4, 9, 16])  # acceleration 2
    assert acceleration_error(joints([0, 1, 4, 9, 16]), truth) == 0
    # A constant offset and a drift have no acceleration.
    assert acceleration_error(joints([5, 7, 11, 17, 25]), truth) == 0
    assert acceleration_error(joints([0, 1, 2, 3, 4]), truth) == pytest.approx(2)
    assert acceleration_error(joints([0, 1, 5, 9, 16]), truth) == pytest.approx((1 + 2 + 1) / 3)


def test_only_joints_of_three_labeled_frames_count() -> None:
    truth, found = joints([0, 0, 0, 0, 0]), joints([0, 3, 0, 0, 0])
    truth[1, ..., 2] = 0
    assert acceleration_error(found, truth) == 0
    found[3, ..., 2] = 0
    assert np.isnan(acceleration_error(found, truth))


def test_jitter_of_still_joints() -> None:
    truth, found = joints([0, 0, 0.4, 9, 9]), joints([0, 1, 1, 5, 8])
    # Between frames 2 and 3 the joint itself moves.
    assert still_jitter(found, truth) == pytest.approx((1 + 0 + 3) / 3)
    assert np.isnan(still_jitter(found, joints([0, 9, 18, 27, 36])))


def test_switches() -> None:
    frames = [([1, 2], [7, 8]), ([2], [8]), ([1, 2], [8, 7]), ([1, 2], [8, 7]), ([3], [7])]
    assert id_switches([(np.array(a), np.array(b)) for a, b in frames]) == 2


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"must both be \(T, ..., 3\)"):
        acceleration_error(joints([0, 1]), joints([0]))
