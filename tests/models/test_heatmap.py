"""Networks of single images, with and without relations of their heatmaps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from poselib.engine.complexity import complexity, count_by_calls
from poselib.models.heatmap import (
    FEATURES,
    HeatmapNetwork,
    HourglassFeatures,
    build_features,
)
from poselib.models.hourglass import HourglassConfig, StackedHourglass
from poselib.models.pose_refinement import PoseRefinementNetwork
from poselib.models.pretrained import load_official
from poselib.papers.published import published_table

torch.set_num_threads(1)

# Parameters in millions at K = 17, and those that the relations add.
HOSTS = {"resnet50": 34.000, "hrnet_w32": 28.536, "vipnas_resnet50": 7.287}
ROWS = {"resnet50": "SBL", "hrnet_w32": "HRNet-W32", "vipnas_resnet50": "S-ViPNAS"}


def images(*size: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.slow
@pytest.mark.parametrize("backbone", HOSTS)
def test_parameters_are_the_published(backbone: str) -> None:
    with torch.device("meta"):
        plain = HeatmapNetwork(backbone, 17)
        joint = HeatmapNetwork(backbone, 17, relation="joint")
    found = complexity(plain, (256, 192))
    assert found.params / 1e6 == pytest.approx(HOSTS[backbone], abs=5e-4)
    assert complexity(joint, (256, 192)).params - found.params == 646
    numbers = published_table("rpstn", "VIII")["params_mi"]
    for network, row in ((plain, ROWS[backbone]), (joint, f"{ROWS[backbone]}-JRE")):
        counted = complexity(network, (256, 192)).params / 2**20
        assert counted == pytest.approx(numbers[row], abs=1.01e-3)


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.slow
def test_operations_of_the_hosts() -> None:
    """True ones, and as the paper counts them; it prints 8.911 where UDP and DARK have 8.991."""
    numbers = published_table("rpstn", "VIII")["gmac_gi"]
    counted, true = {}, {}
    with torch.device("meta"):
        x = torch.zeros(1, 3, 256, 192)
        for backbone in HOSTS:
            network = HeatmapNetwork(backbone, 17)
            true[backbone] = complexity(network, (256, 192)).macs / 1e9
            counted[backbone] = count_by_calls(network, lambda n: n(x)).as_dict()["gmac_gi"]
    assert true["resnet50"] == pytest.approx(5.426, abs=1e-3)
    assert true["hrnet_w32"] == pytest.approx(7.645, abs=1e-3)
    assert true["vipnas_resnet50"] == pytest.approx(1.464, abs=1e-3)
    with torch.device("meta"):
        small = complexity(HeatmapNetwork("vipnas_mobilenetv3", 17), (256, 192))
    assert small.macs / 1e9 == pytest.approx(0.734, abs=1e-3)
    assert counted["resnet50"] == pytest.approx(numbers["UDP"], abs=1e-3)
    assert counted["hrnet_w32"] == pytest.approx(numbers["HRNet-W32"], abs=1e-3)


def test_refinement_has_a_channel_more_for_each_keypoint() -> None:
    with torch.device("meta"):
        network = PoseRefinementNetwork(17)
    params = sum(each.numel() for each in network.parameters())
    assert params / 1e6 == pytest.approx(34.053, abs=5e-4)
    numbers = published_table("rpstn", "VIII")["params_mi"]
    assert params / 2**20 == pytest.approx(numbers["PoseFix"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
def test_every_backbone_has_its_width_at_stride_4(name: str) -> None:
    with torch.device("meta"):
        network = build_features(name, 5)
        got = network(torch.zeros(2, 3, 128, 192))
    assert tuple(got.shape) == (2, network.width, 32, 48)
    with pytest.raises(ValueError, match=f"multiples of {network.multiple}"):
        network(torch.zeros(1, 3, 128, 200, device="meta"))


@torch.no_grad()
@pytest.mark.parametrize("relation", ["none", "joint", "graph", "nonlocal", "head"])
def test_relations_begin_without_an_effect(relation: str) -> None:
    torch.manual_seed(0)
    plain = HeatmapNetwork("hrnet_tiny", 5).eval()
    network = HeatmapNetwork("hrnet_tiny", 5, relation=relation, limbs=((0, 1),)).eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    got = network(images(64, 96))
    assert torch.equal(got.heatmaps, plain(images(64, 96)).heatmaps)
    assert got.image_size == (64, 96) and got.heatmaps.shape == (2, 5, 16, 24)
    assert float(got.heatmaps.abs().max()) < 0.1
    assert (got.relations is not None) == (relation in ("joint", "graph"))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("backbone", ["resnet18", "hrnet_tiny", "vipnas_resnet50"])
def test_official_checkpoints_load(backbone: str, tmp_path: Path) -> None:
    """Their names have nothing before those of the features; relations are our own."""
    torch.manual_seed(0)
    theirs, ours = (HeatmapNetwork(backbone, 5).eval() for _ in range(2))
    weights = {k.removeprefix("features."): v for k, v in theirs.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "a.pth")
    assert not torch.equal(ours(images(64, 64)).heatmaps, theirs(images(64, 64)).heatmaps)
    load_official(ours, tmp_path / "a.pth")
    assert torch.equal(ours(images(64, 64)).heatmaps, theirs(images(64, 64)).heatmaps)
    torch.save(ours.state_dict(), tmp_path / "own.pth")
    load_official(theirs, tmp_path / "own.pth")


def test_hourglasses_lack_the_head_that_nothing_reads() -> None:
    config = HourglassConfig(stacks=2, features=8, depth=2, increase=4)
    torch.manual_seed(0)
    whole, features = StackedHourglass(config, 5, tags=False), HourglassFeatures(config, 5)
    missing, unexpected = features.load_state_dict(whole.state_dict(), strict=False)
    assert not missing and unexpected == ["outs.1.conv.weight", "outs.1.conv.bias"]
    got = features(images(32, 48))
    assert got.shape == (2, 8, 8, 12) and features.width == 8
    torch.testing.assert_close(whole.outs[1](got), whole(images(32, 48)).heatmaps[0])
    got.square().sum().backward()
    assert all(value.grad is not None for value in features.parameters())


@pytest.mark.parametrize("name", ["vgg16", "resnet20", ""])
def test_unknown_backbones_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"unknown backbone '{name}'; known: resnet18, .*hrnet"):
        build_features(name, 5)
