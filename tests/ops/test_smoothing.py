"""Smoothing: what stays as it is, what becomes steady, and the filter's formula step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import savgol_filter

from poselib.ops.smoothing import OneEuro, savitzky_golay, smoothed
from poselib.structures import Poses

K = 3
TIMES = np.arange(60) / 30


def frames(x: np.ndarray, tracks: tuple[int, ...] = (4,)) -> list[Poses]:
    """Poses whose joints are all at (x, 2 x) of each frame."""
    n = len(tracks)
    return [
        Poses(
            np.tile(np.array([v, 2 * v], np.float32), (n, K, 1)),
            np.ones((n, K), np.float32),
            np.ones(n, np.float32),
            tracks=np.array(tracks),
        )
        for v in x
    ]


def filtered(poses: list[Poses], **settings: float) -> np.ndarray:
    smooth = OneEuro(**settings)
    results = [smooth(frame, t) for frame, t in zip(poses, TIMES, strict=False)]
    return np.array([frame.keypoints[0, 0, 0] for frame in results])


def test_one_euro_follows_its_formula() -> None:
    x = np.random.default_rng(0).normal(50, 3, 30)
    step, position, speed, expected = 1 / 30, x[0], np.zeros(2), [x[0]]
    for value in x[1:]:
        a = 1 / (1 + 30 / (2 * math.pi * 1.5))
        speed = speed + a * (np.array([1, 2]) * (value - position) / step - speed)
        cutoff = 0.7 + 0.05 * np.hypot(*speed)
        position += (value - position) / (1 + 1 / (2 * math.pi * cutoff * step))
        expected.append(position)
    found = filtered(frames(x), min_cutoff=0.7, beta=0.05, speed_cutoff=1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_euro_is_steady_at_rest_and_follows_motion() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 60)
    still = filtered(frames(100 + noise))
    assert np.abs(np.diff(still[10:])).mean() < 0.4 * np.abs(np.diff(noise[10:])).mean()
    assert filtered(frames(np.full(20, 7.0))) == pytest.approx([7.0] * 20)
    ramp = 10 * np.arange(60.0)
    assert (
        np.abs(filtered(frames(ramp), beta=0.1) - ramp)[-1]
        < 3
        < abs(filtered(frames(ramp), beta=0.0)[-1] - ramp[-1])
    )


def test_tracks_have_states_of_their_own_and_lost_ones_start_anew() -> None:
    smooth = OneEuro()
    one, two = frames(np.array([0.0, 100.0]), (4, 5))
    smooth(one, 0.0)
    swapped = Poses(two.keypoints, two.scores, two.person_scores, tracks=np.array([5, 9]))
    result = smooth(swapped, 0.1)
    assert 0 < result.keypoints[0, 0, 0] < 100 and result.keypoints[1, 0, 0] == 100
    hidden = Poses(0 * two.keypoints, 0 * two.scores, two.person_scores, tracks=np.array([5, 9]))
    assert (smooth(hidden, 0.2).keypoints == 0).all()
    assert (smooth(swapped, 0.3).keypoints == swapped.keypoints).all()
    with pytest.raises(ValueError, match=r"time must advance, but 0.3 s follows 0.3 s"):
        smooth(swapped, 0.3)


def test_savitzky_golay_keeps_polynomials_and_equals_scipy() -> None:
    parabola = 0.1 * np.arange(20.0) ** 2
    for before, after in zip(frames(parabola), savitzky_golay(frames(parabola)), strict=True):
        np.testing.assert_allclose(before.keypoints, after.keypoints, atol=1e-4)
    x = np.random.default_rng(2).normal(0, 3, 25)
    smooth = savitzky_golay(frames(x), 9, 3)
    found = [frame.keypoints[0, 1, 0] for frame in smooth]
    np.testing.assert_allclose(found, savgol_filter(x, 9, 3), atol=1e-5)


def test_savitzky_golay_smooths_runs_apart() -> None:
    x = np.random.default_rng(3).normal(0, 3, 12)
    poses = frames(x)
    poses[5].scores[:] = 0
    smooth = [frame.keypoints[0, 0, 0] for frame in savitzky_golay(poses, 5, 2)]
    np.testing.assert_allclose(smooth[:5], savgol_filter(x[:5], 5, 2), atol=1e-5)
    np.testing.assert_allclose(smooth[6:], savgol_filter(x[6:], 5, 2), atol=1e-5)
    short = savitzky_golay(frames(x[:2]), 5, 2)
    assert [frame.keypoints[0, 0, 0] for frame in short] == pytest.approx(x[:2].tolist())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="min_cutoff must be positive, not 0"):
        OneEuro(min_cutoff=0)
    with pytest.raises(ValueError, match="beta must be 0 or more"):
        OneEuro(beta=-1)
    for window, order in ((4, 2), (5, 5), (1, 0)):
        with pytest.raises(ValueError, match="window must be odd and order less"):
            savitzky_golay(frames(np.zeros(9)), window, order)
    with pytest.raises(ValueError, match="need tracks"):
        OneEuro()(Poses.empty(3), 0.0)
    with pytest.raises(ValueError, match="need tracks"):
        savitzky_golay([Poses.empty(3)])


@pytest.mark.parametrize("count", [0, 1, 6, 14, 15, 29, 60])
@pytest.mark.parametrize("seed", range(3))
def test_savitzky_golay_frame_by_frame_is_that_of_the_whole_video(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = [rng.random((2, K)) < 0.9 for _ in range(count)]
    poses = [
        Poses(
            (rng.normal(50, 9, (2, K, 2)) * seen[..., None]).astype(np.float32),
            seen.astype(np.float32),
            np.ones(2, np.float32),
            tracks=np.array([0, 1 + (rng.random() < 0.05)]),
        )
        for seen in found
    ]
    results = list(smoothed(iter(poses), "savgol"))
    assert len(results) == count
    for mine, whole in zip(results, savitzky_golay(poses), strict=True):
        np.testing.assert_allclose(mine.keypoints, whole.keypoints, atol=1e-4)


def test_smoothing_waits_for_few_frames() -> None:
    def watched() -> Iterator[Poses]:
        for number, (frame, time) in enumerate(zip(frames(np.arange(60.0)), TIMES, strict=True)):
            read.append(number)
            yield replace(frame, time=float(time))

    for method, behind in (("one-euro", 0), ("savgol", 13)):
        read: list[int] = []
        for number, _ in enumerate(smoothed(watched(), method)):
            assert read[-1] - number <= behind


def test_one_euro_of_a_video_is_that_of_its_frames() -> None:
    x = np.random.default_rng(0).normal(50, 3, 30)
    poses = [replace(p, time=float(t)) for p, t in zip(frames(x), TIMES, strict=False)]
    found = [frame.keypoints[0, 0, 0] for frame in smoothed(poses, "one-euro")]
    np.testing.assert_array_equal(found, filtered(frames(x)))
    with pytest.raises(ValueError, match="times"):
        next(smoothed(frames(x), "one-euro"))
    with pytest.raises(ValueError, match="one-euro, savgol, not 'kalman'"):
        smoothed(poses, "kalman")
