"""Regression of poses as a whole: options, losses, decoding and its own judgment of poses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poselib.data.collation import collate
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.evaluate import evaluate_poses
from poselib.models import get_backbone
from poselib.models.regression import RegressionHRNet
from poselib.outputs import RegressionOutputs
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import System
from poselib.systems.regression import RegressionSystemOptions, regression_system
from tests.ops.factories import offset_maps

torch.set_num_threads(1)

TINY = get_backbone("hrnet_tiny")
SMALL: dict[str, Any] = {"width": 4, "shared_width": 16, "heatmap_width": 16}


def system_of(skeleton: Any = COCO, **options: Any) -> System:
    return regression_system(skeleton, TINY, RegressionSystemOptions(**{**SMALL, **options}))


def truth_as_outputs(system: System, scenes: SyntheticScenes) -> RegressionOutputs:
    """What a perfect network would say."""
    targets = system.encode(collate([scenes[i] for i in range(len(scenes))]))
    maps = targets.heatmaps[0]
    offsets, _ = offset_maps(targets)
    return RegressionOutputs(maps[:, :-1], maps[:, -1:], offsets, targets.image_size)


OFFICIAL = {"region": "window", "owner": "smallest", "person_size": "origin", "frame": "index"}


@pytest.mark.parametrize("options", [{}, OFFICIAL], ids=["default", "official"])
@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_what_is_encoded_is_decoded(skeleton: Any, options: dict[str, Any]) -> None:
    """DEKR, Secs. 3.3 and 4.1: AP of the training targets themselves."""
    scenes = SyntheticScenes(SceneConfig(size=256, people=(1, 3)), 40, 3, skeleton)
    system = system_of(skeleton, center_sigma=1.5, sigma=1.0, radius=2.0, **options)
    poses = [
        found.warped(scenes[i].to_original)
        for i, found in enumerate(system.decode(truth_as_outputs(system, scenes)))
    ]
    assert evaluate_poses(scenes, poses, system.skeleton).ap.AP >= 0.98


@pytest.mark.parametrize("frame", ["center", "index"])
def test_targets_are_in_the_frame_that_is_decoded(frame: str) -> None:
    """One person, whose pose comes back to rounding: 1.5 px apart are the frames."""
    scenes = SyntheticScenes(SceneConfig(size=128, people=(1, 1)), 4, 7, COCO)
    system = system_of(frame=frame)
    for i, poses in enumerate(system.decode(truth_as_outputs(system, scenes))):
        labeled = scenes[i].keypoints[0, :, 2] > 0
        error = poses.keypoints[0, labeled] - scenes[i].keypoints[0, labeled, :2]
        assert len(poses) == 1 and np.abs(error).max() < 1e-3


def test_losses_of_a_perfect_network_are_zero() -> None:
    scenes = SyntheticScenes(SceneConfig(size=128, people=(2, 3)), 3, 5, COCO)
    system = system_of(offset_weight=0.5)
    outputs = truth_as_outputs(system, scenes)
    targets = system.encode(collate([scenes[i] for i in range(3)]))
    right = system.losses(outputs, targets)
    assert set(right) == {"heatmap", "offset"}
    assert float(right["heatmap"]) == 0 and float(right["offset"]) < 1e-9
    outputs.offsets.add_(1.0)
    outputs.heatmaps.add_(0.1)
    wrong = system.losses(outputs, targets)
    assert all(float(wrong[name]) > 0 for name in wrong)
    # Eq. 8: λ scales the offset loss alone.
    heavier = system_of(offset_weight=1.0).losses(outputs, targets)
    torch.testing.assert_close(heavier["offset"], 2 * wrong["offset"])
    torch.testing.assert_close(heavier["heatmap"], wrong["heatmap"])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 17),
        ({"branches": "head"}, 13),
        ({"branches": "body_parts"}, 5),
        ({"separate": False}, 1),
        ({"separate": False, "branches": "head"}, 1),
    ],
    ids=["each", "head", "parts", "one", "not separate"],
)
def test_branches_are_those_of_the_paper(options: dict[str, Any], count: int) -> None:
    """DEKR, Sec. 3.4: 17, 13 and 5 branches, and one without separate regression."""
    model = system_of(**options).model
    assert isinstance(model, RegressionHRNet)
    assert len(model.head_offset.branches) == count


def test_official_weights_are_read_in_their_own_frame() -> None:
    """Pixel indices need the mirrored image moved by the stride less one."""
    assert system_of().flip_shift == 0
    assert system_of(frame="index").flip_shift == TINY.stem_stride - 1


def test_a_scoring_net_ranks_what_the_network_finds() -> None:
    torch.manual_seed(0)
    system = system_of(scoring=True, center_threshold=0.0)
    model = system.model.eval()
    assert isinstance(model, RegressionHRNet) and model.scoring is not None
    assert any(name.startswith("scoring.") for name in model.state_dict())
    with torch.no_grad():
        outputs = model(torch.rand(2, 3, 64, 64))
    factors: list[torch.Tensor] = []

    def scorer(points: torch.Tensor, heats: torch.Tensor) -> torch.Tensor:
        factors.append(model.scoring(points, heats))
        return torch.ones(len(points))

    plain = system_of(center_threshold=0.0).decode(replace(outputs, scorer=scorer))
    ranked = system.decode(outputs)
    assert sum(map(len, plain)) > 0
    for ours, theirs in zip(ranked, plain, strict=True):
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    ours, theirs = (np.concatenate([p.person_scores for p in each]) for each in (ranked, plain))
    np.testing.assert_allclose(ours, theirs * factors[0].numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"branches": "hands"}, "'coco' has no hierarchy 'hands'"),
        ({"frame": "corner"}, "frame must be one of"),
        ({"start": "nowhere"}, "unknown start 'nowhere'"),
        ({"scoring": True, "scoring_unit": "arm"}, "unit must be one of"),
        ({"nms_fraction": 1.5}, "nms_fraction must be at least 0 and below 1"),
        ({"width": 0}, "offset head: width must be 1 or more, not 0"),
        ({"heatmap_width": -1}, "heatmap_width must be channels, 0 or more, not -1"),
    ],
)
def test_unknown_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        system_of(**options)
