"""Folded networks: equal outputs, fewer operations, and the network itself stays as it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from poselib.engine.complexity import complexity
from poselib.models.folding import fold
from poselib.models.heatmap import HeatmapNetwork
from poselib.models.pose_refinement import PoseRefinementNetwork
from poselib.models.regression import SplitConv1x1
from poselib.models.residual import conv_norm
from tests.models.test_pose_propagation import OPTIONS, clips, network, stream

torch.set_num_threads(1)


def livened(model: nn.Module) -> nn.Module:
    """Give normalizations statistics and weights that do something."""
    rng = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.bias.data, module.running_mean):
                assert value is not None
                value += 0.2 * torch.rand(value.shape, generator=rng)
    return model.eval()


def assert_close(got: Tensor, expected: Tensor) -> None:
    assert float((got - expected).abs().max()) < 1e-5 * float(expected.abs().max())


def count(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


@torch.no_grad()
@pytest.mark.parametrize(
    ("backbone", "left"),
    [
        ("resnet18", 0),
        ("resnet50", 0),
        ("vipnas_resnet50", 3),
        ("vipnas_mobilenetv3", 3),
        ("hrnet_tiny", 0),
    ],
)
def test_networks_of_images_give_the_same_without_normalizations(backbone: str, left: int) -> None:
    model = livened(HeatmapNetwork(backbone, 4, relation="joint", convolutions=1))
    images = torch.randn(2, 3, 64, 64)
    folded = fold(model)
    assert count(folded, nn.BatchNorm2d) == left < count(model, nn.BatchNorm2d)
    expected = model(images)
    assert_close(folded(images).heatmaps, expected.heatmaps)
    weights = folded(images).relations.weights
    torch.testing.assert_close(weights, expected.relations.weights, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_network_of_image_and_pose_gives_the_same() -> None:
    model = livened(PoseRefinementNetwork(3, depth=18))
    given = torch.randn(2, 3, 64, 64), 64 * torch.rand(2, 3, 3)
    assert_close(fold(model)(*given).heatmaps, model(*given).heatmaps)


@torch.no_grad()
def test_maps_of_several_resolutions_give_the_same() -> None:
    layer = livened(SplitConv1x1(*conv_norm(12, 5, kernel=1)))
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)]
    folded = fold(layer)
    assert count(folded, nn.BatchNorm2d) == 0
    assert_close(folded(maps), layer(maps))


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_clips_and_streams_give_the_same(options: dict) -> None:
    model, images = livened(network(**options)), clips(2, 3)
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    expected = model(images).heatmaps
    assert_close(folded(images).heatmaps, expected)
    steps = torch.stack([each.heatmaps for each in stream(folded, images)], dim=1)
    assert_close(steps.flatten(0, 1), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@torch.no_grad()
def test_nothing_is_composed_at_each_step() -> None:
    model = network()
    run, spared = (complexity(each, (128, 64), frames=3).macs for each in (model, fold(model)))
    channels, keypoints, frames = 8, 4, 3
    # the features' part once a clip, the heatmaps' part at each step
    composed = 9 * channels**2 * (channels + (frames - 1) * keypoints)
    # of three products of the relations with all cells two are with each other
    related = keypoints**2 * (2 * 32 * 16 - 2 * keypoints - 1)
    assert run - spared == composed + frames * related


def test_training_mode_and_gradients_of_the_network_stay() -> None:
    model = network().train()
    folded = fold(model)
    assert model.training and not folded.training
    assert all(value.requires_grad for value in model.parameters())
    assert not any(value.requires_grad for value in folded.parameters())
