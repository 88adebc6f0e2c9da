"""The meshes of local and global context, and the reading of both against the plain one."""

from __future__ import annotations

import math

import pytest
import torch

from poselib.ops.center_poses import CenterPoses
from poselib.ops.keypoint_expansion import expansion_rates
from poselib.ops.local_global import KeypointExpansion, global_context, local_context, local_places
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import COCO
from tests.references.plain_adaptation import global_heat, local_codes, local_mesh

RATES = expansion_rates(COCO.sigmas)


def test_three_deviations_reach_to_the_border() -> None:
    """Sec. 3.1: σ = 16 where a = 97."""
    assert KeypointExpansion(RATES).sigma == 16
    assert KeypointExpansion(RATES, global_window=25, step=0.5).sigma == 2


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"local_window": 10}, "odd positive side, not 10"),
        ({"global_window": 0}, "odd positive side, not 0"),
        ({"step": 0.0}, "step must be a positive number of px"),
        ({"frame": "corner"}, "frame must be one of"),
        ({"step": math.inf}, "step must be a positive number of px"),
        ({"step": math.nan}, "step must be a positive number of px"),
    ],
)
def test_meshes_that_make_no_sense_are_refused(switches: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeypointExpansion(RATES, **switches)  # type: ignore[arg-type]


def test_local_places_lie_apart_by_the_step_times_the_rate() -> None:
    people = CenterPoses(torch.zeros(1).long(), torch.ones(1), torch.zeros(1, 17, 2))
    places = local_places(people, KeypointExpansion(RATES, local_window=3, step=0.25))
    torch.testing.assert_close(places[0, 1, 2, :, 0], 0.25 * RATES)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("reweigh", [True, False])
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_context_is_what_is_read_plainly(frame: Frame, reweigh: bool, step: float) -> None:
    make = torch.Generator().manual_seed(0)
    maps = torch.randn(1, 17 + 5, 12, 18, generator=make)
    outputs = LocalGlobalOutputs(
        maps[:, :17], maps[:, :1], maps, (48, 72), embedding=maps[:, 17:], attract=lambda x: x
    )
    points = torch.rand(4, 17, 2, generator=make) * torch.tensor([100.0, 70.0]) - 14
    people = CenterPoses(torch.zeros(4, dtype=torch.int64), torch.ones(4), points)
    meshes = KeypointExpansion(RATES, 5, 21, step, reweigh, frame)
    places = local_places(people, meshes).permute(0, 3, 1, 2, 4)
    torch.testing.assert_close(places, local_mesh(points, meshes))
    codes = local_context(outputs.embedding, people, meshes, (48, 72))
    torch.testing.assert_close(codes, local_codes(outputs, points, meshes), rtol=1e-4, atol=1e-4)
    heat = global_context(outputs.heatmaps, people, meshes, (48, 72))
    torch.testing.assert_close(heat, global_heat(outputs, points, meshes), rtol=1e-4, atol=1e-4)
