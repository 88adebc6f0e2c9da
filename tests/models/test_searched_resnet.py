"""The searched network."""

from __future__ import annotations

import torch

from poselib.models.searched_resnet import GlobalContext, SearchedResNet

torch.set_num_threads(1)


def test_public_names_and_shapes() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in SearchedResNet().state_dict().items()}
    expected = {
        "conv1.weight": (48, 3, 7, 7),
        "layer1.0.conv2.weight": (80, 5, 3, 3),
        "layer1.0.downsample.0.weight": (80, 48, 1, 1),
        "layer1.3.attention.channel_add_conv.0.weight": (16, 80, 1, 1),
        "layer2.5.conv2.weight": (160, 10, 5, 5),
        "layer3.6.attention.conv_mask.weight": (1, 304, 1, 1),
        "layer4.2.attention.channel_add_conv.1.weight": (38, 1, 1),
        "deconv_layers.0.weight": (608, 9, 4, 4),
    }
    assert shapes.items() >= expected.items()
    assert not any(name.startswith("layer2.0.attention") for name in shapes)


@torch.no_grad()
def test_global_context_by_hand() -> None:
    torch.manual_seed(0)
    module, x = GlobalContext(4).double(), torch.randn(2, 4, 3, 5, dtype=torch.float64)
    cells = x.flatten(2)
    for image in range(2):
        scores = module.conv_mask.weight[0, :, 0, 0] @ cells[image] + module.conv_mask.bias
        mean = sum(w * c for w, c in zip(scores.softmax(0), cells[image].T, strict=True))
        expected = x[image] + module.channel_add_conv(mean[None, :, None, None])[0]
        torch.testing.assert_close(module(x)[image], expected)


def test_gradients_reach_every_parameter() -> None:
    model = SearchedResNet().train()
    for name, value in model.named_parameters():
        if name.endswith("channel_add_conv.3.weight"):
            torch.nn.init.normal_(value.data)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name
        assert value.grad.abs().sum() > 0 or name.endswith("conv_mask.bias"), name
