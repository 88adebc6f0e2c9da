"""Residual networks with transposed convolutions."""

from __future__ import annotations

import pytest
import torch
import torchvision

from poselib.models.deconvolution import RESNET_DEPTHS, DeconvolutionResNet, deconvolutions

torch.set_num_threads(1)


@torch.no_grad()
@pytest.mark.parametrize("depth", [18, 50])
def test_up_to_its_last_stage_it_is_the_network_of_torchvision(depth: int) -> None:
    torch.manual_seed(0)
    network = DeconvolutionResNet(depth, width=8).eval()
    theirs = getattr(torchvision.models, f"resnet{depth}")(weights=None).eval()
    missing, unexpected = network.load_state_dict(theirs.state_dict(), strict=False)
    assert all(name.startswith("deconv_layers") for name in missing)
    assert set(unexpected) == {"fc.weight", "fc.bias"}
    network.deconv_layers = theirs.fc = theirs.avgpool = torch.nn.Identity()
    x = torch.randn(1, 3, 64, 96)
    assert torch.equal(network(x).flatten(1), theirs(x))


def test_official_names_and_shapes() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in DeconvolutionResNet(50).state_dict().items()}
    expected = {
        "conv1.weight": (64, 3, 7, 7),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "deconv_layers.0.weight": (2048, 256, 4, 4),
        "deconv_layers.7.running_var": (256,),
    }
    assert shapes.items() >= expected.items() and "deconv_layers.0.bias" not in shapes


def test_each_transposed_convolution_doubles_the_resolution() -> None:
    layers = deconvolutions(4, (6, 8), groups=2)
    assert tuple(layers(torch.randn(2, 4, 3, 5)).shape) == (2, 8, 12, 20)
    assert layers[0].weight.shape == (4, 3, 4, 4)


def test_other_depths_and_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"depth must be one of .*, not 20"):
        DeconvolutionResNet(20)
    assert RESNET_DEPTHS == (18, 34, 50, 101, 152)
    with torch.device("meta"):
        network = DeconvolutionResNet(18, inputs=5)
    with pytest.raises(ValueError, match=r"images must be \(B, 5, H, W\), not \(1, 3, 64, 64\)"):
        network(torch.zeros(1, 3, 64, 64, device="meta"))
