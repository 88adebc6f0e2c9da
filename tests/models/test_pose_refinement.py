"""Refinement of a given pose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from poselib.models.pose_refinement import PoseRefinementNetwork
from poselib.ops.gaussians import gaussian_heatmaps

torch.set_num_threads(1)


def poses() -> Tensor:
    return torch.tensor([[[20.0, 30, 1], [50, 10, 1], [0, 0, 0]]])


@torch.no_grad()
def test_the_pose_follows_the_image_as_gaussians() -> None:
    torch.manual_seed(0)
    network, images = PoseRefinementNetwork(3, depth=18).eval(), torch.randn(1, 3, 64, 96)
    seen: list[Tensor] = []
    network.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    outputs = network(images, poses())
    assert outputs.heatmaps.shape == (1, 3, 16, 24) and outputs.image_size == (64, 96)
    (x,) = seen
    assert torch.equal(x[:, :3], images)
    expected = gaussian_heatmaps(poses()[:, None], (64, 96), (64, 96), 7.0)
    assert torch.equal(x[:, 3:], expected)
    assert x[0, 3, 29:31, 19:21].min() > 0.99 and (x[0, 5] == 0).all()  # that of (20, 30)


@torch.no_grad()
def test_another_pose_gives_other_heatmaps() -> None:
    torch.manual_seed(0)
    network, images = PoseRefinementNetwork(3, depth=18).eval(), torch.randn(1, 3, 64, 64)
    moved = poses() + torch.tensor([8.0, 0, 0])
    assert not torch.allclose(network(images, poses()).heatmaps, network(images, moved).heatmaps)


def test_relations_are_optional() -> None:
    with torch.device("meta"):
        plain, joint = (PoseRefinementNetwork(17, relation=kind) for kind in ("none", "joint"))
    counts = [sum(p.numel() for p in each.parameters()) for each in (plain, joint)]
    assert counts[1] - counts[0] == 646
    with pytest.raises(ValueError, match="sigma must be a positive number of px, not 0"):
        PoseRefinementNetwork(3, sigma=0)
