"""Files of mmpose become ours and back; their names and shapes were taken from mmpose itself.

The digests were made from the networks that mmpose 0.29.0 and 1.3.2 build from their own
configurations; their outputs equal those here through ``from_toolbox`` to 3e-6 of the maximum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.models import BACKBONES
from poselib.models.associative import AssociativeHRNet
from poselib.models.heatmap import HeatmapNetwork
from poselib.models.higher_hrnet import HigherHRNet
from poselib.models.hourglass import HourglassConfig, StackedHourglass
from poselib.models.pretrained import load_official
from poselib.models.regression import RegressionHRNet
from poselib.models.scoring import ScoringNet
from poselib.models.toolbox_layouts import Version, from_toolbox, to_toolbox, toolbox_version
from poselib.skeletons import COCO, CROWDPOSE, LSP
from tests.models.official import official_weights, relative

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("undrawn_weights")

TINY = BACKBONES["hrnet_tiny"]
GRID = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def regression(width: int, keypoints: int) -> RegressionHRNet:
    with torch.device("cpu"):  # the order of its features is read from it
        scoring = ScoringNet(COCO) if keypoints == 17 else ScoringNet(CROWDPOSE, unit="left_leg")
    return RegressionHRNet(BACKBONES[f"hrnet_w{width}"], keypoints, scoring=scoring)


def associative(width: int, keypoints: int, higher: bool = False) -> nn.Module:
    kind = HigherHRNet if higher else AssociativeHRNet
    return kind(BACKBONES[f"hrnet_w{width}"], keypoints)


def digest(weights: Mapping[str, Tensor]) -> str:
    lines = sorted(f"{name} {tuple(value.shape)}" for name, value in weights.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


NETWORKS = {
    ("0.x", "2b466e76d6d98cd8"): lambda: regression(32, 17),
    ("0.x", "4bcb92f8c8fe80f0"): lambda: regression(48, 14),
    ("0.x", "1cf421165d791bcb"): lambda: StackedHourglass(
        HourglassConfig(norm=True, norm_all=True), 17
    ),
    ("0.x", "7794f9b6fd4b34bd"): lambda: associative(32, 17),
    ("0.x", "887e36847b1e8d3f"): lambda: associative(48, 17),
    ("0.x", "8890c5dcd96196a3"): lambda: associative(32, 14),
    ("0.x", "55768c416c77deae"): lambda: associative(32, 17, higher=True),
    ("0.x", "1a388cd20c3f93e2"): lambda: associative(48, 17, higher=True),
    ("0.x", "f31ab7aab866b4ae"): lambda: associative(32, 14, higher=True),
    ("0.x", "2d4ddda5ecacb68b"): lambda: HeatmapNetwork("resnet50", 17),
    ("0.x", "7a03e44a40a2b3dc"): lambda: HeatmapNetwork("hrnet_w32", 17),
    ("0.x", "6fa843b1eb0292ed"): lambda: HeatmapNetwork("vipnas_resnet50", 17),
    ("1.x", "51f6dd682db106d4"): lambda: regression(32, 17),
    ("1.x", "e69ab6991cb82231"): lambda: regression(48, 17),
    ("1.x", "8cd69d9162dfcc8b"): lambda: regression(32, 14),
    ("1.x", "7e960c5fda2e99fe"): lambda: regression(48, 14),
    ("1.x", "c7468203689220f5"): lambda: associative(32, 17),
    ("1.x", "3c3a94e00a1fdf73"): lambda: HeatmapNetwork("hrnet_w32", 17),
    ("1.x", "0135ea797dccb2e6"): lambda: HeatmapNetwork("hrnet_w48", 17),
    ("1.x", "3165fb863a306955"): lambda: HeatmapNetwork("resnet50", 17),
    ("1.x", "093a5bc7858c78a9"): lambda: HeatmapNetwork("resnet101", 17),
    ("1.x", "b588dd2192cd0dc0"): lambda: HeatmapNetwork("resnet152", 17),
    ("1.x", "40d217c1f67fff2b"): lambda: HeatmapNetwork("vipnas_resnet50", 17),
    ("1.x", "0490409033da1d20"): lambda: HeatmapNetwork("vipnas_mobilenetv3", 17),
}


@pytest.mark.parametrize(("version", "expected"), NETWORKS)
def test_names_and_shapes_are_those_of_the_toolbox(version: Version, expected: str) -> None:
    with torch.device("meta"):
        model = NETWORKS[version, expected]()
    weights = model.state_dict()
    there = to_toolbox(weights, model, version)
    assert digest(there) == expected
    assert toolbox_version(there) == version
    assert from_toolbox(there, model).keys() == weights.keys()


def small() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "regression": RegressionHRNet(TINY, 17, width=3, scoring=ScoringNet(COCO)),
        "one keypoint": RegressionHRNet(TINY, 1, width=3, blocks=1),
        "associative": AssociativeHRNet(TINY, 5),
        "higher": HigherHRNet(TINY, 5, deconv_channels=8, deconv_blocks=1),
        "heatmaps": HeatmapNetwork("hrnet_tiny", 5),
        "hourglass": StackedHourglass(
            HourglassConfig(2, 8, 1, 4, norm=True, norm_all=True), keypoints=5
        ),
    }


@pytest.mark.parametrize("version", ["0.x", "1.x"])
@pytest.mark.parametrize("name", small())
def test_there_and_back_again(tmp_path: Path, name: str, version: Version) -> None:
    model, other = small()[name], small()[name]
    weights = {
        k: torch.randint(-9, 9, v.shape, generator=torch.Generator().manual_seed(n)).to(v.dtype)
        for n, (k, v) in enumerate(model.state_dict().items())
    }
    if (name, version) == ("higher", "1.x"):
        with pytest.raises(ValueError, match=r"mmpose 1\.x has no HigherHRNet"):
            to_toolbox(weights, model, version)
        return
    there = to_toolbox(weights, model, version)
    there |= {"data_preprocessor.mean": torch.ones(3), "ema_backbone_conv1_weight": torch.ones(1)}
    averages = {"steps": torch.tensor(3)} | {f"module.{k}": v + 1 for k, v in there.items()}
    content = {"meta": {"epoch": 3, "time": "now"}, "state_dict": there, "optimizer": {"state": {}}}
    torch.save(content | {"ema_state_dict": averages}, tmp_path / "toolbox.pth")
    load_official(other, tmp_path / "toolbox.pth")
    assert all(torch.equal(v, weights[k]) for k, v in other.state_dict().items())

    counted = {f"module.{k}": v for k, v in there.items() if "num_batches" not in k}
    torch.save(counted, tmp_path / "bare.pth")
    load_official(small()[name], tmp_path / "bare.pth")


def grouped(weights: dict[str, Tensor], keypoints: int, version: Version) -> dict[str, Tensor]:
    """The authors' weights of a regression network as mmpose keeps them."""
    head, offsets = ("keypoint_head.", "offset") if version == "0.x" else ("head.", "displacement")
    found = {}
    for name, value in weights.items():
        if name.startswith("transition_"):
            kind = "heatmap" if "heatmap" in name else offsets
            number, leaf = name.split(".")[-2:]
            layer = "conv" if number == "0" else "bn"
            found[f"{head}{kind}_conv_layers.0.{layer}.{leaf}"] = value
        elif name.startswith("head_heatmap.0.0."):
            found[f"{head}heatmap_conv_layers.1.{name[17:]}"] = value
        elif name.startswith("head_heatmap.1."):
            first = torch.cat([value[-1:], value[:-1]]) if version == "0.x" else value
            found[f"{head}heatmap_conv_layers.2.{name[15:]}"] = first
        elif not name.startswith("offset_"):
            found[f"backbone.{name}"] = value
    for leaf in ("weight", "bias"):
        last = [weights[f"offset_final_layer.{k}.{leaf}"] for k in range(keypoints)]
        sign = 1 if version == "0.x" else -1
        found[f"{head}{offsets}_conv_layers.3.{leaf}"] = sign * torch.cat(last)
    for number in (0, 1):
        ours = [f"offset_feature_layers.{k}.{number}" for k in range(keypoints)]
        theirs = f"{head}{offsets}_conv_layers.{number + 1}"
        for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            parts = [weights[f"{name}.bn.{leaf}"] for name in ours]
            whole = torch.cat(parts) if parts[0].ndim else parts[0]
            found[f"{theirs}.norm.{leaf}"] = whole
        kernels = [weights[f"{name}.adapt_conv.weight"] for name in ours]
        found[f"{theirs}.adapt_conv.weight"] = torch.cat(kernels)
        found[f"{theirs}.regular_matrix"] = torch.zeros(3, 9)
        for leaf in ("weight", "bias"):
            maps = []
            for name in ours:
                matrix = weights[f"{name}.transform_matrix_conv.{leaf}"].unflatten(0, (2, 2))
                move = weights[f"{name}.translation_conv.{leaf}"][:, None]
                both = torch.cat([matrix, move], dim=1)
                maps.append((both - GRID if leaf == "bias" else both).flatten(0, 1))
            found[f"{theirs}.transform_matrix_conv.{leaf}"] = torch.cat(maps)
    return found


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize(("keypoints", "version"), [(17, "0.x"), (17, "1.x"), (14, "1.x")])
def test_the_golden_regression_comes_out_of_the_layout_of_the_toolbox(
    golden_dir: Path, tmp_path: Path, keypoints: int, version: Version
) -> None:
    name = f"dekr_w32_k{keypoints}"
    weights = grouped(official_weights(golden_dir, name), keypoints, version)
    torch.save({"state_dict": weights}, tmp_path / "toolbox.pth")
    model = RegressionHRNet(BACKBONES["hrnet_w32"], keypoints).eval()
    load_official(model, tmp_path / "toolbox.pth")
    with np.load(golden_dir / f"{name}.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["heatmap"]) < 1e-5
        assert relative(outputs.offsets.flatten(1, 2), arrays["offset"]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("keypoints", [17, 14])
def test_the_golden_heatmaps_and_tags_come_out_of_the_layout_of_the_toolbox(
    golden_dir: Path, tmp_path: Path, keypoints: int
) -> None:
    name = f"higherhrnet_w32_k{keypoints}"
    official = official_weights(golden_dir, name)
    head = ("final_layers.", "deconv_layers.")
    weights = {
        ("keypoint_head." if k.startswith(head) else "backbone.") + k: v
        for k, v in official.items()
    }
    torch.save({"state_dict": weights}, tmp_path / "toolbox.pth")
    model = HigherHRNet(BACKBONES["hrnet_w32"], keypoints).eval()
    load_official(model, tmp_path / "toolbox.pth")
    with np.load(golden_dir / f"{name}.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        both = torch.cat([outputs.heatmaps[0], outputs.tags.flatten(1, 2)], dim=1)
        assert relative(both, arrays["out0"]) < 1e-5
        assert relative(outputs.heatmaps[1], arrays["out1"]) < 1e-5


def test_a_scoring_net_is_left_out_where_the_system_has_none_of_its_kind(tmp_path: Path) -> None:
    weights = to_toolbox(small()["regression"].state_dict(), small()["regression"], "1.x")
    torch.save(weights, tmp_path / "ranked.pth")
    load_official(RegressionHRNet(TINY, 17, width=3), tmp_path / "ranked.pth")
    other = RegressionHRNet(TINY, 17, width=3, scoring=ScoringNet(LSP))
    with pytest.warns(UserWarning, match="untrained"):
        load_official(other, tmp_path / "ranked.pth")


def test_another_number_of_keypoints_is_named(tmp_path: Path) -> None:
    for name, model in small().items():
        if name not in ("one keypoint", "higher"):
            weights = to_toolbox(model.state_dict(), model, "1.x")
            torch.save({"state_dict": weights}, tmp_path / f"{name}.pth")
    others = {
        "regression": RegressionHRNet(TINY, 16, width=3),
        "associative": AssociativeHRNet(TINY, 6),
        "heatmaps": HeatmapNetwork("hrnet_tiny", 6),
        "hourglass": StackedHourglass(HourglassConfig(2, 8, 1, 4, norm=True, norm_all=True), 6),
    }
    for name, model in others.items():
        wanted = r"trained for (17|5) keypoints, the skeleton has (16|6); "
        with pytest.raises(ValueError, match=wanted):
            load_official(model, tmp_path / f"{name}.pth")


def test_maps_of_offsets_beside_heatmaps_are_named(tmp_path: Path) -> None:
    model = HeatmapNetwork("hrnet_tiny", 15)
    torch.save(to_toolbox(model.state_dict(), model, "1.x"), tmp_path / "offsets.pth")
    with pytest.raises(ValueError, match="three maps a keypoint, a heatmap and offsets"):
        load_official(HeatmapNetwork("hrnet_tiny", 5), tmp_path / "offsets.pth")


def test_networks_that_the_toolbox_lacks_have_no_layout_there() -> None:
    models = [
        RegressionHRNet(TINY, 3, width=3, adaptive=False),
        RegressionHRNet(TINY, 3, width=3, branches=((0, 1, 2),)),
        StackedHourglass(HourglassConfig(1, 8, 1, 4), 3),
        HeatmapNetwork("hrnet_tiny", 3, relation="joint"),
        nn.Linear(2, 2),
    ]
    for model in models:
        with pytest.raises(ValueError, match=f"mmpose 0.x has no {type(model).__name__}"):
            to_toolbox(model.state_dict(), model, "0.x")
