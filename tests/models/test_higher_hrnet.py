import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet
from poselib.models.higher_hrnet import HigherHRNet, upsampling_stage
from poselib.models.hrnet import HRNetConfig, StageConfig
from poselib.models.pretrained import load_official
from tests.models.official import relative, weights_rule

torch.set_num_threads(1)

TINY = BACKBONES["hrnet_tiny"]


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("keypoints", [17, 14])
def test_equals_the_official_network(keypoints: int, golden_dir: Path) -> None:
    stem = f"higherhrnet_w32_k{keypoints}"
    keys = json.loads((golden_dir / f"{stem}.keys.json").read_text())
    model = HigherHRNet(BACKBONES["hrnet_w32"], keypoints).eval()
    state = model.state_dict()
    assert [[name, list(value.shape)] for name, value in state.items()] == [k[:2] for k in keys]

    rule = weights_rule(golden_dir).fill(keys)
    model.load_state_dict(state | {name: torch.from_numpy(v) for name, v in rule.items()})
    with np.load(golden_dir / f"{stem}.npz") as arrays, torch.no_grad():
        images = torch.from_numpy(arrays["input"])
        outputs = model(images)
        coarse = torch.cat([outputs.heatmaps[0], outputs.tags[:, :, 0]], dim=1)
        assert relative(coarse, arrays["out0"]) < 1e-5
        assert relative(outputs.heatmaps[1], arrays["out1"]) < 1e-5
        features = model.features(images)[0][:, ::8]
        assert relative(features, arrays["stage4_out_ch_step8"]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize(
    ("prefixes", "head"),
    [(("module.", "module."), "final_layers.0"), (("backbone.", "keypoint_head."), "final_layer")],
    ids=["official", "toolbox"],
)
def test_the_plain_network_is_the_official_one_below_its_second_head(
    prefixes: tuple[str, str], head: str, golden_dir: Path, tmp_path: Path
) -> None:
    keys = json.loads((golden_dir / "higherhrnet_w32_k17.keys.json").read_text())
    plain = [key for key in keys if not key[0].startswith(("deconv_layers", "final_layers.1"))]
    model = AssociativeHRNet(BACKBONES["hrnet_w32"], 17).eval()
    assert [[k, list(v.shape)] for k, v in model.state_dict().items()] == [k[:2] for k in plain]

    rule = weights_rule(golden_dir).fill(plain)
    renamed = {
        prefixes[k.startswith("final")] + k.replace("final_layers.0", head): torch.from_numpy(v)
        for k, v in rule.items()
    }
    torch.save({"state_dict": renamed}, tmp_path / "plain.pth")
    load_official(model, tmp_path / "plain.pth")
    with np.load(golden_dir / "higherhrnet_w32_k17.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        maps = torch.cat([outputs.heatmaps[0], outputs.tags[:, :, 0]], dim=1)
        assert relative(maps, arrays["out0"]) < 1e-5


def small(keypoints: int = 5, tags: bool = True) -> HigherHRNet:
    return HigherHRNet(TINY, keypoints, tags=tags, deconv_channels=16, deconv_blocks=1)


def test_maps_cover_the_image_at_a_quarter_and_half_of_its_resolution() -> None:
    outputs = small()(torch.randn(2, 3, 64, 96))
    assert [tuple(h.shape) for h in outputs.heatmaps] == [(2, 5, 16, 24), (2, 5, 32, 48)]
    assert tuple(outputs.tags.shape) == (2, 5, 1, 16, 24)
    assert outputs.image_size == (64, 96)


def test_without_tags_there_are_no_embeddings() -> None:
    outputs = small(tags=False).eval()(torch.randn(1, 3, 32, 32))
    assert tuple(outputs.tags.shape) == (1, 5, 0, 8, 8)


def test_tiny_has_about_a_million_parameters() -> None:
    assert 1.0e6 < sum(p.numel() for p in small(17).parameters()) < 1.5e6


def test_upsampling_doubles_the_resolution() -> None:
    stage = upsampling_stage(6, 4, blocks=2)
    assert stage(torch.randn(1, 6, 5, 7)).shape == (1, 4, 10, 14)
    assert len(upsampling_stage(6, 4, blocks=0)) == 1


@pytest.mark.slow
def test_compiles_to_one_graph_and_returns_the_same() -> None:
    trunk = HRNetConfig((4, 4), StageConfig(1, (1,), (4,)), (StageConfig(1, (1, 1), (4, 6)),))
    model = HigherHRNet(trunk, 5, deconv_channels=8, deconv_blocks=1).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        got, expected = compiled(images), model(images)
    assert torch.equal(got.heatmaps[1], expected.heatmaps[1])
    assert torch.equal(got.tags, expected.tags)
    assert got.image_size == (64, 64)


def test_gradients_reach_every_parameter_in_bfloat16_and_channels_last() -> None:
    model = small().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last))
    loss = sum((h.float() - 1).square().sum() for h in outputs.heatmaps)
    (loss + outputs.tags.float().square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_fresh_heatmaps_are_near_zero_and_fresh_tags_spread_out() -> None:
    torch.manual_seed(0)
    outputs = small(17)(torch.randn(4, 3, 128, 128))
    assert all(float(h.detach().abs().max()) < 0.2 for h in outputs.heatmaps)
    spread = outputs.tags.detach().std(dim=(0, 2, 3, 4))
    assert 0.4 < float(spread.mean()) < 2.5
