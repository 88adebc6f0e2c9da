"""Keypoint expansion maps and the local and global context, against plain references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from poselib.benchmarks.references.plain_adaptation import global_heat, local_codes, local_mesh
from poselib.metrics.oracle_search import candidate_spacing
from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import (
    KeypointExpansion,
    expand_keypoints,
    expansion_rates,
    global_context,
    local_context,
    local_expansion_maps,
)
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.ops.window_sampling import window_steps
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO, CROWDPOSE, Skeleton

RATES = expansion_rates(COCO.sigmas)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_expansion_rates_equal_candidate_spacing_of_oracle_search(skeleton: Skeleton) -> None:
    rates = expansion_rates(skeleton.sigmas)
    assert rates.dtype == torch.float32 and float(rates.min()) == 1
    np.testing.assert_allclose(rates, candidate_spacing(skeleton.sigmas, 1.0), rtol=1e-6)


def test_expansion_rates_by_hand() -> None:
    assert expansion_rates([0.05, 0.025, 0.1]).tolist() == [2, 1, 4]
    assert expansion_rates(torch.tensor([0.5])).tolist() == [1]


@pytest.mark.parametrize("sigmas", [[], [0.1, 0.0], [0.1, -0.1], [0.1, math.nan]])
def test_expansion_rates_need_positive_sigmas(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="sigmas must be positive numbers"):
        expansion_rates(sigmas)


def test_window_steps_by_hand() -> None:
    assert window_steps(1).tolist() == [0]
    assert window_steps(5).tolist() == [-2, -1, 0, 1, 2]
    assert len(window_steps(97)) == 97


@pytest.mark.parametrize("window", [0, -3, 4])
def test_window_must_be_odd_and_positive(window: int) -> None:
    with pytest.raises(ValueError, match="odd positive side"):
        window_steps(window)
    with pytest.raises(ValueError, match="odd positive side"):
        expand_keypoints(torch.zeros(1, 2, 2), torch.ones(2), window)


def test_expand_keypoints_cell_by_cell() -> None:
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


def test_sigma_of_the_global_window() -> None:
    """Sec. 3.1: σ = 16 where a = 97."""
    assert KeypointExpansion(RATES).sigma == 16
    assert KeypointExpansion(RATES, global_window=25, step=0.5).sigma == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local_window": 10}, "odd positive side, not 10"),
        ({"global_window": 0}, "odd positive side, not 0"),
        ({"step": 0.0}, "step must be a positive number of px"),
        ({"frame": "corner"}, "frame must be one of"),
        ({"step": math.inf}, "step must be a positive number of px"),
        ({"step": math.nan}, "step must be a positive number of px"),
    ],
)
def test_expansion_refuses_invalid_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeypointExpansion(RATES, **options)  # type: ignore[arg-type]


def test_local_cell_spacing_is_step_times_rate() -> None:
    people = CenterPoses(torch.zeros(1).long(), torch.ones(1), torch.zeros(1, 17, 2))
    places = local_expansion_maps(people, KeypointExpansion(RATES, local_window=3, step=0.25))
    torch.testing.assert_close(places[0, 1, 2, :, 0], 0.25 * RATES)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("reweigh", [True, False])
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_context_equals_plain_reference(frame: Frame, reweigh: bool, step: float) -> None:
    make = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 17 + 5, 12, 18, generator=make)
    outputs = LocalGlobalOutputs(
        maps[:, :17],
        maps[:, :1],
        maps,
        (48, 72),
        embedding=maps[:, 17:],
        attraction_network=lambda x: x,
    )
    points = torch.rand(4, 17, 2, generator=make) * torch.tensor([100.0, 70.0]) - 14
    people = CenterPoses(torch.zeros(4, dtype=torch.int64), torch.ones(4), points)
    expansion = KeypointExpansion(RATES, 5, 21, step, reweigh, frame)
    places = local_expansion_maps(people, expansion).permute(0, 3, 1, 2, 4)
    torch.testing.assert_close(places, local_mesh(points, expansion))
    codes = local_context(outputs.embedding, people, expansion, (48, 72))
    torch.testing.assert_close(codes, local_codes(outputs, points, expansion), rtol=1e-4, atol=1e-4)
    heat = global_context(outputs.heatmaps, people, expansion, (48, 72))
    torch.testing.assert_close(heat, global_heat(outputs, points, expansion), rtol=1e-4, atol=1e-4)
