"""Files of weights are told by what they hold; the catalogue's also by name or SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import poselib
from poselib.engine.checkpoints import save_system
from poselib.engine.weights import recognize as module
from poselib.engine.weights.recognize import recognize
from poselib.models.toolbox_layouts import Version, to_toolbox
from poselib.skeletons import SKELETONS
from poselib.systems.published import PUBLISHED, PublishedWeights

torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("undrawn_weights")

Shapes = dict[str, tuple[int, ...]]


def write(path: Path, shapes: Shapes, **beside: object) -> Path:
    """Write tensors of one stored number each."""
    weights = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    torch.save({"state_dict": weights, **beside}, path)
    return path


def in_layout(entry: PublishedWeights) -> Shapes:
    """Names and shapes of an entry of mmpose."""
    with torch.device("meta"):
        # Scoring nets read their skeletons when they are built.
        options = (
            {**entry.options, "scoring": False} if "scoring" in entry.options else entry.options
        )
        model = poselib.build(entry.system, entry.skeleton, **options).model
    version: Version = "0.x" if entry.layout == "mmpose_0.x" else "1.x"
    weights: dict[str, Tensor] = to_toolbox(model.state_dict(), model, version)
    if entry.options.get("scoring"):
        weights["head.rescore_net.l1.weight"] = torch.zeros(256, 74)
    return {name: tuple(value.shape) for name, value in weights.items()}


def networks() -> Iterator[PublishedWeights]:
    """One entry of each network in each layout of mmpose."""
    seen = set()
    for entry in PUBLISHED.values():
        kind = (*(entry.options.get(k) for k in ("host", "backbone")), entry.layout, entry.skeleton)
        if entry.layout != "official" and not entry.unsupported and kind not in seen:
            seen.add(kind)
            yield entry


@pytest.mark.slow
@pytest.mark.parametrize("entry", list(networks()), ids=lambda entry: entry.name)
def test_networks_of_the_catalogue_are_told_with_and_without_their_names(
    tmp_path: Path, entry: PublishedWeights
) -> None:
    named = write(tmp_path / entry.file, in_layout(entry), meta={"epoch": 3})
    found = recognize(named)
    assert (found.published, found.verified, found.unknown) == (entry, False, ())
    assert (found.system, found.options) == (entry.system, entry.options)
    assert found.skeletons == (entry.skeleton,)

    other = recognize(named.rename(tmp_path / "other.pth"))
    assert (other.published, other.source) == (None, entry.layout)
    assert other.keypoints == len(SKELETONS[entry.skeleton])
    assert entry.skeleton in other.skeletons
    assert other.skeletons[0] == "coco" or "skeleton" in other.unknown
    assert other.options.keys() >= entry.options.keys()
    hidden = {"frame", "subpixel", "height", "width", "order", "sigma", "kernel", "scoring_unit"}
    told = {k: v for k, v in entry.options.items() if k not in hidden or entry.system == "dekr"}
    if entry.skeleton == "coco":  # those of 14 keypoints are of two datasets
        assert told.items() <= other.options.items()
    if entry.system == "jre":
        assert other.unknown == ("frame", "subpixel", "height", "width")


@pytest.mark.golden
@pytest.mark.parametrize(
    ("network", "family", "keypoints"),
    [
        ("dekr_w32_k17", "DEKR on hrnet_w32", 17),
        ("dekr_w32_k14", "DEKR on hrnet_w32", 14),
        ("higherhrnet_w32_k17", "HigherHRNet on hrnet_w32", 17),
        ("higherhrnet_w32_k14", "HigherHRNet on hrnet_w32", 14),
        ("logocap_w32", "LOGO-CAP on hrnet_w32", 17),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module.", "1."])
def test_files_of_the_authors_are_told(
    golden_dir: Path, tmp_path: Path, network: str, family: str, keypoints: int, prefix: str
) -> None:
    keys = json.loads((golden_dir / f"{network}.keys.json").read_text())
    path = write(tmp_path / "model.pth", {prefix + name: tuple(shape) for name, shape, _ in keys})
    found = recognize(path)
    assert (found.source, found.family, found.keypoints) == ("official", family, keypoints)
    if found.system != "hae":
        assert found.options["frame"] == "index"
    assert found.unknown == (() if keypoints == 17 else ("skeleton",))


SMALL: Shapes = {
    **{f"stage4.0.branches.0.{n}.conv1.weight": (32, 32, 3, 3) for n in range(4)},
    "conv1.weight": (64, 3, 3, 3),
}


def hrnet(prefix: str = "backbone.", **head: int) -> Shapes:
    """A few of HRNet's names, and biases of a head."""
    layers = {name.replace("__", "."): (size,) for name, size in head.items()}
    return {prefix + name: shape for name, shape in SMALL.items()} | layers


@pytest.mark.parametrize(
    ("maps", "keypoints", "system", "count"),
    [
        *((17, None, "jre", 17), (34, None, "hae", 17), (28, None, "hae", 14), (14, 14, "jre", 14)),
        *((10, 5, "hae", 5), (10, 10, "jre", 10), (19, None, "jre", 19), (266, 133, "hae", 133)),
    ],
)
def test_tags_are_told_from_keypoints_by_their_number(
    tmp_path: Path, maps: int, keypoints: int | None, system: str, count: int
) -> None:
    path = write(tmp_path / "a.pth", hrnet(head__final_layer__bias=maps))
    found = recognize(path, keypoints)
    assert (found.system, found.keypoints, found.source) == (system, count, "mmpose_1.x")
    assert found.options["host" if system == "hae" else "relation"] in ("plain", "none")


def test_backbones_alone_are_told(tmp_path: Path) -> None:
    found = recognize(write(tmp_path / "a.pth", hrnet("", classifier__bias=1000)))
    assert (found.source, found.system, found.keypoints) == ("timm", "", 0)
    assert found.options == {"backbone": "hrnet_w32"} and not found.skeletons
    blocks = dict(enumerate((3, 4, 6, 3), start=1))
    layers = ("conv1", "conv2", "conv3")
    shapes = {
        f"layer{n}.{block}.{layer}.weight": (64, 64, 3, 3)
        for n, count in blocks.items()
        for block in range(count)
        for layer in layers
    }
    shapes["conv1.weight"] = (64, 3, 7, 7)
    found = recognize(write(tmp_path / "b.pth", shapes | {"fc.bias": (1000,)}))
    assert (found.source, found.options) == ("torchvision", {"backbone": "resnet50"})
    assert "resnet50 alone" in found.family
    for name in ("layer1.0.se_layer.conv1.weight", "layer1.3.conv1.weight"):
        with pytest.raises(ValueError, match="another shape than ResNet's"):
            recognize(write(tmp_path / "c.pth", shapes | {name: (64, 64, 1, 1)}))


OTHERS = {
    "head.cls_x.weight": "RTMPose or SimCC",
    "head.mlp.1.weight": "RTMPose or SimCC",
    "backbone.blocks.0.attn.qkv.weight": "vision transformer",
    "backbone.layers.0.attn.w_msa.qkv.weight": "unknown network",
    "vit.encoder.layer.0.attention.attention.query.weight": "vision transformer",
    "backbone.stage2.0.branches.0.0.attn.q.weight": "HRFormer",
    "keypoint_head.gfd_module.conv.weight": "CID",
    "head.dcc.gau.uv.weight": "RTMO or YOLOX",
    "roi_heads.keypoint_predictor.kps_score_lowres.weight": "R-CNN",
    "roi_head.bbox_head.fc_cls.weight": "a detector of boxes",
    "model.0.conv.weight": "YOLO",
    "model.model.22.cv2.0.0.conv.weight": "YOLO",
    "class_embed.weight": "transformer that detects",
    "model0.conv1_1.weight": "unknown network",
    "model1_1.conv5_1_CPM_L1.weight": "OpenPose",
    "Mconv1_stage2_L1.weight": "OpenPose",
    "base_net.conv1.weight": "OpenPifPaf",
    "backbone.stage0.0.layers.0.cross_resolution_weighting.conv1.conv.weight": "Lite-HRNet",
    "backbone.multi_stage_mspn.0.downsample.layer1.0.conv1.conv.weight": "MSPN",
    "backbone.layer1.0.conv.0.conv.weight": "MobileNetV2",
    "pose_net.conv1.weight": "RPSTN",
    "head.fc.weight": "regression of coordinates",
    "text_model.encoder.weight": "texts or images",
    "pre.0.conv.weight": r"expect images in \[0, 1\]",
    "some.layer.weight": r"unknown network: some\.layer\.weight, \.\.\.",
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_families_are_refused_by_their_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"other\\.pth: .*{OTHERS[name]}"):
        recognize(write(tmp_path / "other.pth", {name: (3, 3)}))


def test_higher_hrnet_with_other_tags_is_refused(tmp_path: Path) -> None:
    head = {"final_layers__1__bias": 17, "deconv_layers__0__0__0__bias": 1}
    with pytest.raises(ValueError, match="other tags than"):
        recognize(write(tmp_path / "a.pth", hrnet(**head)))


@pytest.mark.parametrize("keypoints", [None, 17])
def test_three_maps_a_keypoint_are_offsets(tmp_path: Path, keypoints: int | None) -> None:
    path = write(tmp_path / "a.pth", hrnet(head__final_layer__bias=51))
    found = recognize(path, keypoints)
    assert (found.system, found.keypoints, found.options["offsets"]) == ("jre", 17, True)
    assert found.options["frame"] == "aligned"  # that of the only such file
    plain = recognize(write(tmp_path / "b.pth", hrnet(head__final_layer__bias=17)), keypoints)
    assert not plain.options.get("offsets")


def test_another_number_of_keypoints_and_another_width_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", hrnet(head__final_layer__bias=17))
    with pytest.raises(ValueError, match=r"a\.pth: .* for 17 keypoints, and 14 are wanted"):
        recognize(path, 14)
    wide = {"stage4.0.branches.0.0.conv1.weight": (40, 40, 3, 3)}
    with pytest.raises(ValueError, match="an HRNet of another shape, 40 channels wide"):
        recognize(write(tmp_path / "b.pth", wide))


def test_a_name_of_the_catalogue_is_not_believed_against_what_a_file_holds(tmp_path: Path) -> None:
    name = PUBLISHED["hrnet_w48_coco_256x192"].file
    path = write(tmp_path / name, hrnet(head__final_layer__bias=17))
    with pytest.raises(ValueError, match=r"has the name of hrnet_w48_coco_256x192 .* on hrnet_w32"):
        recognize(path)


def test_maps_of_further_keypoints_are_known_of_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / PUBLISHED["hrnet_w32_aic_combine_coco_256x192"].file
    found = recognize(write(path, hrnet(head__final_layer__bias=19)), 17)
    assert (found.keypoints, found.skeletons, found.unknown) == (17, ("coco",), ())
    with pytest.raises(ValueError, match="for 17 keypoints, and 19 are wanted"):
        recognize(path, 19)


def test_a_file_of_the_catalogue_is_told_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "renamed.pth", hrnet(head__final_layer__bias=17))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = replace(PUBLISHED["hrnet_w32_udp_coco_256x192"], sha256=digest[:8])
    monkeypatch.setattr(module, "PUBLISHED", {entry.name: entry})
    found = recognize(path)
    assert (found.published, found.verified) == (entry, True)
    assert found.options["frame"] == "aligned"


def test_what_is_saved_here_is_told(tmp_path: Path) -> None:
    system = poselib.build("dekr", "crowdpose", backbone="hrnet_tiny")
    save_system(tmp_path / "own.safetensors", system)
    found = recognize(tmp_path / "own.safetensors")
    assert (found.source, found.keypoints, found.system) == ("poselib", 14, "")


STAND_INS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS pointer",
    b"<!DOCTYPE html><html>Sign in</html>": "a web page",
    b"": "empty",
    b"plain text": "text: 'plain text'",
}


@pytest.mark.parametrize("content", STAND_INS)
def test_what_is_no_file_of_weights_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pth: .*{STAND_INS[content]}"):
        recognize(path)
    whole = write(tmp_path / "whole.pth", hrnet()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"weights\.pth: .*incomplete"):
        recognize(path)
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        recognize(tmp_path / "absent.pth")
