from __future__ import annotations

import pytest
import torch

from poselib.benchmarks.random_systems import random_system, synthetic_outputs
from poselib.outputs import (
    HeatmapOutputs,
    LocalGlobalOutputs,
    RegressionOutputs,
    TagOutputs,
)
from poselib.skeletons import CROWDPOSE

SIZE = (64, 96)
TINY = "hrnet_tiny"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("hae", TagOutputs), ("dekr", RegressionOutputs), ("logocap", LocalGlobalOutputs)],
)
def test_drawn_maps_have_the_shapes_of_the_network_and_people(name: str, kind: type) -> None:
    system = random_system((name, TINY), CROWDPOSE, 0, "cpu")
    image = torch.zeros(6, 3, *SIZE)
    own, drawn = system.model(image), synthetic_outputs(system, image, 2, seed=1)
    assert isinstance(drawn, kind) and drawn.image_size == own.image_size
    names = (
        ("heatmaps", "centers", "offsets") if isinstance(drawn, RegressionOutputs) else ("tags",)
    )
    for each in names:
        assert getattr(drawn, each).shape == getattr(own, each).shape
    if isinstance(own, LocalGlobalOutputs):
        assert (
            drawn.embedding.shape == own.embedding.shape
            and drawn.attraction_network is own.attraction_network
        )
    found = system.decode(drawn)
    assert [len(poses) for poses in found] == [2] * 6
    assert (found[4].keypoints == found[0].keypoints).all()  # four scenes, repeated
    assert (found[1].keypoints != found[0].keypoints).any()


def test_a_network_of_one_person_gives_its_own_maps() -> None:
    system = random_system(("jre", TINY), CROWDPOSE, 0, "cpu", height=64, width=64)
    drawn = synthetic_outputs(system, torch.zeros(2, 3, 64, 64), 2, seed=1)
    assert isinstance(drawn, HeatmapOutputs) and len(drawn.heatmaps) == 2
