"""The searched network of inverted residuals."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torchvision.ops import SqueezeExcitation as Torchvision

from poselib.models.heatmap import HeatmapNetwork
from poselib.models.searched_mobilenet import (
    STAGES,
    InvertedBlock,
    SearchedMobileNet,
    SqueezeExcitation,
)

torch.set_num_threads(1)


def test_public_names_and_shapes() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in SearchedMobileNet().state_dict().items()}
    expected = {
        "conv1.conv.weight": (16, 3, 3, 3),
        "conv1.bn.running_var": (16,),
        "layer1.depthwise_conv.conv.weight": (16, 2, 3, 3),
        "layer2.expand_conv.conv.weight": (120, 16, 1, 1),
        "layer2.depthwise_conv.conv.weight": (120, 1, 7, 7),
        "layer2.se.conv1.conv.bias": (30,),
        "layer9.depthwise_conv.conv.weight": (160, 8, 7, 7),
        "layer17.linear_conv.bn.weight": (112,),
        "layer21.se.conv2.conv.weight": (960, 240, 1, 1),
        "deconv_layers.6.weight": (160, 1, 4, 4),
    }
    assert shapes.items() >= expected.items()
    assert not any(n.startswith(("layer1.expand", "layer6.se", "layer22")) for n in shapes)


def test_parameters_are_those_of_the_public_implementation() -> None:
    with torch.device("meta"):
        network = HeatmapNetwork("vipnas_mobilenetv3", 17)
    assert sum(each.numel() for each in network.parameters()) == 5_895_725


@torch.no_grad()
def test_excitation_is_that_of_torchvision_with_a_steeper_gate() -> None:
    torch.manual_seed(0)
    ours, x = SqueezeExcitation(8), torch.randn(2, 8, 3, 5)
    theirs = Torchvision(8, 2, scale_activation=lambda: lambda y: (F.hardtanh(y) + 1) / 2)
    theirs.load_state_dict(
        {
            f"fc{n}.{kind}": ours.get_parameter(f"conv{n}.conv.{kind}")
            for n in (1, 2)
            for kind in ("weight", "bias")
        }
    )
    torch.testing.assert_close(ours(x), theirs(x))
    ours.conv2.conv.bias.fill_(-2.0)
    ours.conv2.conv.weight.zero_()
    assert not ours(x).any()  # (-2 + 1) / 2 is below 0


@torch.no_grad()
def test_a_block_adds_its_input_where_the_shapes_agree() -> None:
    torch.manual_seed(0)
    for stage in STAGES:
        block, x = InvertedBlock(stage.width, stage, 1).eval(), torch.randn(1, stage.width, 9, 7)
        block.linear_conv.bn.weight.zero_()
        assert torch.equal(block(x), x)
    first = InvertedBlock(16, STAGES[1], 2).eval()
    first.linear_conv.bn.weight.zero_()
    assert first(torch.randn(1, 16, 8, 6)).shape == (1, 24, 4, 3)
    assert not first(torch.randn(1, 16, 8, 6)).any()


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = SearchedMobileNet().train()
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name
        assert value.grad.abs().sum() > 0, name
