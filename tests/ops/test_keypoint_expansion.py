"""The places around keypoints, against Algorithm 1 written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from poselib.metrics.oracle_search import candidate_spacing
from poselib.ops.keypoint_expansion import expand_keypoints, expansion_rates, window_steps
from poselib.skeletons import COCO, CROWDPOSE, Skeleton


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_rates_are_those_of_the_search_that_bounds_what_can_be_gained(skeleton: Skeleton) -> None:
    rates = expansion_rates(skeleton.sigmas)
    assert rates.dtype == torch.float32 and float(rates.min()) == 1
    np.testing.assert_allclose(rates, candidate_spacing(skeleton.sigmas, 1.0), rtol=1e-6)


def test_rates_by_hand() -> None:
    assert expansion_rates([0.05, 0.025, 0.1]).tolist() == [2, 1, 4]
    assert expansion_rates(torch.tensor([0.5])).tolist() == [1]


@pytest.mark.parametrize("sigmas", [[], [0.1, 0.0], [0.1, -0.1], [0.1, math.nan]])
def test_rates_need_positive_sigmas(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="sigmas must be positive numbers"):
        expansion_rates(sigmas)


def test_steps_are_as_many_as_the_window_has() -> None:
    assert window_steps(1).tolist() == [0]
    assert window_steps(5).tolist() == [-2, -1, 0, 1, 2]
    assert len(window_steps(97)) == 97


@pytest.mark.parametrize("window", [0, -3, 4])
def test_windows_are_odd_and_positive(window: int) -> None:
    with pytest.raises(ValueError, match="odd positive side"):
        window_steps(window)
    with pytest.raises(ValueError, match="odd positive side"):
        expand_keypoints(torch.zeros(1, 2, 2), torch.ones(2), window)


def test_places_one_by_one() -> None:
    points = torch.tensor([[[10.0, 20.0], [30.0, 40.0]], [[-5.0, 0.5], [7.0, 8.0]]])
    rates, step = torch.tensor([1.0, 2.5]), 1.5
    places = expand_keypoints(points, rates, 3, step)
    assert places.shape == (2, 3, 3, 2, 2)
    for person, row, column, kind in np.ndindex(2, 3, 3, 2):
        apart = step * float(rates[kind])
        x, y = points[person, kind].tolist()
        expected = [x + (column - 1) * apart, y + (row - 1) * apart]
        assert places[person, row, column, kind].tolist() == expected
    assert expand_keypoints(points[:0], rates, 3).shape == (0, 3, 3, 2, 2)
