"""The network of local-global adaptation: the official one, its parts and its sizes."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.models import BACKBONES
from poselib.models.attentive_norm import AttentiveNorm2d
from poselib.models.local_global import LocalGlobalHRNet, MessagePassing
from poselib.models.pretrained import load_official
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from tests.models.adapting import official_network
from tests.models.official import official_weights, relative
from tests.models.random_weights import randomised

torch.set_num_threads(1)

TINY = BACKBONES["hrnet_tiny"]


def network(keypoints: int = 6, **options: object) -> LocalGlobalHRNet:
    torch.manual_seed(0)
    small = {"heatmap_width": 8, "offset_width": 8, "embedding": 4, "message_width": 16}
    return LocalGlobalHRNet(TINY, keypoints, **{**small, **options})  # type: ignore[arg-type]


def images(*size: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.golden
def test_equals_the_official_network(golden_dir: Path, tmp_path: Path) -> None:
    model = official_network(golden_dir, tmp_path)
    with np.load(golden_dir / "logocap_w32.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        assert isinstance(outputs, LocalGlobalOutputs) and outputs.image_size == (128, 192)
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["heatmaps"]) < 1e-5
        assert relative(outputs.offsets.flatten(1, 2), arrays["offsets"]) < 1e-5
        assert relative(outputs.embedding[:, ::8], arrays["embedding_ch_step8"]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
def test_official_weights_fill_it_whole_and_nothing_else(golden_dir: Path, tmp_path: Path) -> None:
    weights = official_weights(golden_dir, "logocap_w32")
    with torch.device("meta"):
        names = set(LocalGlobalHRNet(BACKBONES["hrnet_w32"], 17).state_dict())
    assert names == {name.removeprefix("backbone.") for name in weights}
    del weights["joints_mlp.9.weight"]
    torch.save(weights, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"joints_mlp\.9\.weight"):
        load_official(LocalGlobalHRNet(BACKBONES["hrnet_w32"], 17), tmp_path / "part.pth")


@pytest.mark.parametrize("train", [True, False])
def test_the_forward_pass_sees_images_alone_and_asks_about_nobody(train: bool) -> None:
    model = network().train(train)
    assert list(inspect.signature(model.forward).parameters) == ["images"]
    model.joints_mlp.forward = None  # type: ignore[assignment,method-assign]
    outputs = model(images(64, 96, batch=2))
    assert (
        isinstance(outputs, LocalGlobalOutputs) and outputs.attraction_network is model.joints_mlp
    )
    shapes = [getattr(outputs, n).shape for n in ("heatmaps", "centers", "offsets", "embedding")]
    assert [tuple(s) for s in shapes] == [
        (2, channels, 16, 24) if channels else (2, 6, 2, 16, 24) for channels in (6, 1, 0, 4)
    ]


def test_the_center_map_is_the_last() -> None:
    model = network().eval()
    with torch.no_grad():
        model.final_layer_cls.weight.zero_()
        model.final_layer_cls.bias.copy_(torch.arange(7))
        model.final_layer_reg.weight.zero_()
        model.final_layer_reg.bias.copy_(torch.arange(12))
        outputs = model(images(32, 32))
    assert outputs.heatmaps[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert outputs.centers[0, :, 0, 0].tolist() == [6]
    assert outputs.offsets[0, :, :, 0, 0].tolist() == [[2 * k, 2 * k + 1] for k in range(6)]


def test_without_adaptation_it_regresses_alone() -> None:
    whole, alone = network().eval(), network(adaptation=False).eval()
    alone.load_state_dict(
        {name: w for name, w in whole.state_dict().items() if name in alone.state_dict()}
    )
    left_out = set(whole.state_dict()) - set(alone.state_dict())
    assert {name.split(".")[0] for name in left_out} == {"transition_embedding", "joints_mlp"}
    with torch.no_grad():
        found, expected = alone(images(64, 64)), whole(images(64, 64))
    assert type(found) is RegressionOutputs
    for name in ("heatmaps", "centers", "offsets"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_gradients_reach_every_parameter_in_bfloat16() -> None:
    model = network()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images(64, 64, batch=2))
        attraction = outputs.attraction_network(torch.randn(3, 24, 11, 11))
    maps = (outputs.heatmaps, outputs.centers, outputs.offsets, outputs.embedding, attraction)
    sum((m.float() - 1).square().sum() for m in maps).backward()  # type: ignore[union-attr]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("option", ["offset_width", "embedding"])
def test_heads_have_channels(option: str) -> None:
    with pytest.raises(ValueError, match="one channel or more"):
        network(**{option: 0})


# Message passing


def test_message_passing_is_that_of_the_paper() -> None:
    """Sec. 3.1: three layers, attentive normalization in the second, a 1x1 convolution."""
    passing = MessagePassing(17, 64, attentive=True)
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, AttentiveNorm2d, nn.ReLU]
    kinds += [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    assert [type(part) for part in passing] == kinds
    convolutions = [part for part in passing if isinstance(part, nn.Conv2d)]
    assert [c.in_channels for c in convolutions] == [17 * 64, 512, 256, 128]
    assert [c.kernel_size[0] for c in convolutions] == [3, 3, 3, 1]
    plain = MessagePassing(17, 64, attentive=False)
    assert not any(isinstance(part, AttentiveNorm2d) for part in plain)


def test_without_layers_it_is_one_convolution() -> None:
    """Table 6, design "1"."""
    passing = MessagePassing(3, 4, layers=0, width=7, attentive=True)
    assert [type(part) for part in passing] == [nn.Conv2d]
    assert tuple(passing[0].weight.shape) == (3, 12, 1, 1)


def test_one_layer_has_no_second_to_be_attentive() -> None:
    kinds = [type(part) for part in MessagePassing(3, 4, layers=1, width=7, attentive=True)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d]


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_nobody_and_each_alone(layers: int) -> None:
    passing = randomised(MessagePassing(3, 4, layers=layers, width=8, attentive=True))
    codes = torch.randn(5, 12, 7, 7, dtype=torch.float64)
    with torch.no_grad():
        together = passing(codes)
        assert together.shape == (5, 3, 7, 7)
        torch.testing.assert_close(torch.cat([passing(each[None]) for each in codes]), together)
        assert passing.train()(codes[:0]).shape == (0, 3, 7, 7)


def test_keypoints_inform_one_another() -> None:
    passing = randomised(MessagePassing(3, 2, layers=2, width=8, attentive=False))
    codes = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(passing(codes)[0, 0].sum(), codes)
    assert (gradient.abs().sum(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize(("layers", "width"), [(-1, 8), (1, 0), (3, 6), (3, 510)])
def test_widths_that_cannot_be_halved_are_refused(layers: int, width: int) -> None:
    with pytest.raises(ValueError, match="message passing: "):
        MessagePassing(3, 4, layers, width, attentive=True)
