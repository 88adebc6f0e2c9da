"""Refinement of a given pose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from poselib.models.heatmap import HeatmapNetwork
from poselib.models.pose_refinement import PoseRefinementNetwork, RefinedHeatmapNetwork
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame
from poselib.outputs import HeatmapOutputs

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


class Host(HeatmapNetwork):
    """Returns given heatmaps, and takes part in their gradient."""

    def __init__(self, maps: Tensor) -> None:
        nn.Module.__init__(self)
        self.keypoints, self.multiple = maps.shape[1], 4
        self.maps = nn.Parameter(maps)

    def forward(self, images: Tensor) -> HeatmapOutputs:
        return HeatmapOutputs(self.maps, (images.shape[2], images.shape[3]))


# The middle of the cells (8, 5) and (12, 10) of 16 x 16, px of an image of 64 x 64.
MIDDLES = {
    "center": [[34.0, 22.0], [50.0, 42.0]],
    "index": [[32.5, 20.5], [48.5, 40.5]],
    "aligned": [[34.1, 21.5], [50.9, 42.5]],
}


def refined(frame: CropFrame, jitter: float = 0.03) -> tuple[RefinedHeatmapNetwork, list[Tensor]]:
    """Return a network whose host sees two keypoints at ``MIDDLES`` and no third one, and a list
    of the poses that the refinement is given.
    """
    points = torch.tensor([[[*point, 2.0] for point in MIDDLES[frame]] + [[0, 0, 0]]])
    maps = gaussian_heatmaps(points[None], (64, 64), (16, 16), 1.0, frame=frame)
    torch.manual_seed(0)
    network = RefinedHeatmapNetwork(Host(maps), depth=18, jitter=jitter, frame=frame)
    given: list[Tensor] = []
    network.refinement.register_forward_pre_hook(lambda _, inputs: given.append(inputs[1]))
    return network.eval(), given


@pytest.mark.parametrize("frame", CROP_FRAMES)
def test_the_pose_of_the_host_is_refined_in_the_frame_of_the_host(frame: CropFrame) -> None:
    network, given = refined(frame)
    outputs = network(torch.randn(1, 3, 64, 64))
    (pose,) = given
    torch.testing.assert_close(pose[0, :2, :2], torch.tensor(MIDDLES[frame]))
    assert pose[0, :, 2].tolist() == [1, 1, 0]
    assert torch.equal(outputs.intermediate[0].heatmaps, network.host.maps)
    assert len(outputs.stages) == 2
    outputs.heatmaps.sum().backward()
    assert network.host.maps.grad is None  # no gradient through the pose


def test_errors_are_added_in_training_alone() -> None:
    network, given = refined("center", jitter=0.1)
    images = torch.randn(2, 3, 64, 64)
    network.host.maps = nn.Parameter(network.host.maps.repeat(2, 1, 1, 1))
    for training in (False, False, True, True):
        network.train(training)(images)
    assert torch.equal(given[0], given[1]) and not torch.equal(given[2], given[3])
    moved = (torch.stack(given[2:]) - given[0])[..., :2]
    assert 2 < float(moved.std()) < 12  # 0.1 of 64 px
    assert torch.equal(given[2][..., 2], given[0][..., 2])
    with pytest.raises(ValueError, match="jitter must be 0 or more, not -1"):
        refined("center", jitter=-1)
