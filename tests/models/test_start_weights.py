"""First weights: classifiers by name, networks of heatmaps from files, heads by keypoint names."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import poselib
from poselib.engine.checkpoints import save_system, stored_keypoints
from poselib.experiments.training import init_system
from poselib.models.heatmap import HeatmapNetwork
from poselib.models.pose_propagation import PropagationConfig, PropagationNetwork
from poselib.models.pose_refinement import PoseRefinementNetwork
from poselib.models.pretrained import load_official, read_weights
from poselib.models.start_weights import backbones_of, load_backbones
from poselib.ops.normalization import MEAN, STD
from poselib.papers.presets import get_preset
from poselib.skeletons import MPII, PENN_ACTION
from poselib.systems import build
from tests.models.official import official_weights, relative

pytestmark = pytest.mark.usefixtures("undrawn_weights")

CONFIG = PropagationConfig(backbone="resnet18", initializer_backbone="resnet18")


def of_part(weights: dict[str, Tensor], part: nn.Module) -> bool:
    """Whether a backbone has all the weights that have its names."""
    own = part.state_dict()
    return all(torch.equal(own[name], value) for name, value in weights.items() if name in own)


@pytest.fixture
def classifiers(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Tensor]]:
    """Weights that are downloaded, by the names that were asked for."""
    given: dict[str, dict[str, Tensor]] = {}

    def stored(name: str) -> SimpleNamespace:
        torch.manual_seed(len(given))
        kind = name.removesuffix("_Weights.IMAGENET1K_V1").lower()
        given[kind] = getattr(torchvision.models, kind)(weights=None).state_dict()
        return SimpleNamespace(get_state_dict=lambda **_: given[kind], url="")

    monkeypatch.setattr(torchvision.models, "get_weight", stored)
    return given


def test_a_classifier_by_name(classifiers: dict[str, dict[str, Tensor]]) -> None:
    model = HeatmapNetwork("resnet18", 4, relation="joint")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_backbones(model, "resnet18")
    assert list(classifiers) == ["resnet18"] and of_part(classifiers["resnet18"], model.features)
    after = model.state_dict()
    above = [name for name in after if "deconv" in name or not name.startswith("features")]
    assert len(above) > 20 and all(torch.equal(after[name], before[name]) for name in above)


def test_imagenet_is_the_classifier_of_each_backbone(
    classifiers: dict[str, dict[str, Tensor]],
) -> None:
    config = replace(CONFIG, initializer_backbone="resnet34")
    model = PropagationNetwork(4, config)
    load_backbones(model, "imagenet")
    parts = backbones_of(model)
    assert list(parts) == ["extractor", "initializer.features"]
    assert of_part(classifiers["resnet18"], parts["extractor"])
    assert of_part(classifiers["resnet34"], parts["initializer.features"])


def test_a_preset_names_imagenet_for_hosts_that_have_classifiers(
    classifiers: dict[str, dict[str, Tensor]],
) -> None:
    preset = replace(get_preset("smoke", "synthetic", "hae"), options={}, pretrained="imagenet")
    init_system(preset, PENN_ACTION, 0, "jre", backbone="vipnas_resnet50")
    init_system(preset, PENN_ACTION, 0, "jre", backbone="resnet18", pretrained="")
    assert not classifiers
    model = init_system(preset, PENN_ACTION, 0, "jre", backbone="resnet18").model
    assert of_part(classifiers["resnet18"], model.features)
    assert get_preset("paper", "coco", "jre").pretrained == "imagenet"


def test_further_channels_of_images_keep_their_weights(
    classifiers: dict[str, dict[str, Tensor]],
) -> None:
    model = PoseRefinementNetwork(3, depth=18)
    drawn = model.features.conv1.weight.detach().clone()
    load_backbones(model, "imagenet")
    got = model.features.conv1.weight
    assert torch.equal(got[:, :3], classifiers["resnet18"]["conv1.weight"])
    assert torch.equal(got[:, 3:], drawn[:, 3:])


def test_weights_of_mpii_start_the_video_network(tmp_path: Path) -> None:
    """The recipe: ``jre`` with ``relation="none"`` on MPII, then ``rpstn`` on another dataset."""
    file = tmp_path / "mpii.safetensors"
    torch.manual_seed(5)
    host = build("jre", MPII, backbone="resnet18", relation="none")
    nn.init.normal_(host.model.final_layer.bias)  # type: ignore[arg-type, union-attr]
    save_system(file, host)
    assert stored_keypoints(file) == MPII.keypoints
    preset = get_preset("smoke", "synthetic", "hae")
    options = {"backbone": "resnet18", "initializer_backbone": "resnet18"}
    plain = replace(preset, options={})
    model, drawn = (
        init_system(plain, PENN_ACTION, 0, "rpstn", pretrained=source, **options).model
        for source in (str(file), "")
    )
    weights = host.model.features.state_dict()  # type: ignore[union-attr]
    for part in backbones_of(model).values():
        assert of_part(weights, part) and any("deconv" in name for name in weights)
    head, source, before = (
        m.final_layer.bias for m in (model.initializer, host.model, drawn.initializer)
    )
    shared = set(MPII.keypoints) & set(PENN_ACTION.keypoints)
    assert len(shared) == 12
    for k, name in enumerate(PENN_ACTION.keypoints):
        expected = source[MPII.index(name)] if name in shared else before[k]
        assert head[k] == expected, name
    assert torch.equal(model.propagator.fusion.weight, drawn.propagator.fusion.weight)


def test_weights_of_one_depth_leave_the_other_backbone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for depth in (18, 34):
        torch.save(HeatmapNetwork(f"resnet{depth}", 13).state_dict(), tmp_path / f"{depth}.pth")
    model = PropagationNetwork(13, replace(CONFIG, initializer_backbone="resnet34"))
    assert load_backbones(model, tmp_path / "18.pth") == {"extractor"}
    with pytest.raises(ValueError, match=r"18\.pth fits no backbone of HeatmapNetwork: features: "):
        load_backbones(HeatmapNetwork("resnet50", 4), tmp_path / "18.pth")
    preset = replace(get_preset("smoke", "synthetic", "hae"), options={})
    options = {"backbone": "resnet18", "initializer_backbone": "resnet34"}
    one, two = str(tmp_path / "18.pth"), f"{tmp_path / '18.pth'},{tmp_path / '34.pth'}"
    init_system(preset, PENN_ACTION, 0, "rpstn", pretrained=one, **options)
    assert "18.pth: fits not initializer.features: random weights stay" in caplog.text
    caplog.clear()
    system = init_system(preset, PENN_ACTION, 0, "rpstn", pretrained=two, **options)
    assert not caplog.text
    head = torch.load(tmp_path / "34.pth", weights_only=True)["final_layer.weight"]
    assert torch.equal(system.model.initializer.final_layer.weight, head)


def test_what_cannot_be_loaded_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Linear has no backbone for weights: 'imagenet'"):
        load_backbones(nn.Linear(1, 1), "imagenet")
    with pytest.raises(ValueError, match="no ImageNet weights of SearchedResNet: give a file"):
        load_backbones(HeatmapNetwork("vipnas_resnet50", 4), "imagenet")
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        load_backbones(HeatmapNetwork("resnet18", 4), "absent.pth")

    def unreachable(**_: object) -> None:
        raise ConnectionError("no route to host")

    stored = SimpleNamespace(get_state_dict=unreachable, url="https://there/resnet18.pth")
    monkeypatch.setattr(torchvision.models, "get_weight", lambda name: stored)
    with pytest.raises(FileNotFoundError, match=r"no route to host.*https://there/resnet18\.pth"):
        load_backbones(HeatmapNetwork("resnet18", 4), "resnet18")


@pytest.mark.slow
@pytest.mark.golden
def test_official_weights_start_the_video_network(golden_dir: Path, tmp_path: Path) -> None:
    """SimpleBaseline's own names, wrapped as its training script does."""
    named = official_weights(golden_dir, "rpstn_resnet18_penn13")
    host = {k.removeprefix("pose_net."): v for k, v in named.items() if k.startswith("pose_net.")}
    torch.save({"state_dict": {f"module.{k}": v for k, v in host.items()}}, tmp_path / "a.pth")
    model = PropagationNetwork(13, CONFIG).double().eval()
    with warnings.catch_warnings(action="error"):
        load_backbones(model, tmp_path / "a.pth")
    assert all(
        of_part({k: v.double() for k, v in host.items()}, p) for p in backbones_of(model).values()
    )
    with np.load(golden_dir / "rpstn_resnet18_penn13.npz") as golden, torch.no_grad():
        image = torch.from_numpy(golden["input_small"][:, 0]).double()
        image = image.repeat_interleave(8, 2).repeat_interleave(8, 3)
        assert model.initializer is not None
        first = model.initializer(image).heatmaps
        assert relative(first, golden["pose_net_frame0"]) < 1e-4


@pytest.mark.slow
@pytest.mark.golden
def test_an_official_checkpoint_becomes_a_model(golden_dir: Path, tmp_path: Path) -> None:
    """From the published file to what ``poselib.load`` takes, and the same heatmaps."""
    named = official_weights(golden_dir, "rpstn_resnet18_penn13")
    torch.save({f"module.{name}": value for name, value in named.items()}, tmp_path / "best.pth")
    options = {"backbone": "resnet18", "initializer_backbone": "resnet18"}
    system = build("rpstn", PENN_ACTION, official=True, frame="index", **options)
    load_official(system.model, tmp_path / "best.pth")
    save_system(tmp_path / "rpstn.safetensors", system)
    model = poselib.load(tmp_path / "rpstn.safetensors")
    assert model.system.options["official"] and model.system.options["frame"] == "index"
    with np.load(golden_dir / "rpstn_resnet18_penn13.npz") as golden, torch.no_grad():
        bgr = torch.from_numpy(golden["input_small"]).double()
        bgr = bgr.repeat_interleave(8, 3).repeat_interleave(8, 4)
        mean, deviation = (bgr.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        images = (bgr.flip(2) / 255 - mean) / deviation
        outputs = model.system.model.double()(images)
        assert relative(outputs.heatmaps[None], golden["out"]) < 1e-4


def test_official_weights_in_another_frame_are_warned_of(tmp_path: Path) -> None:
    torch.save(HeatmapNetwork("resnet18", 13).state_dict(), tmp_path / "a.pth")
    weights = {k.removeprefix("features."): v for k, v in read_weights(tmp_path / "a.pth").items()}
    torch.save(weights, tmp_path / "b.pth")
    for frame, warned in (("center", 1), ("index", 0), ("aligned", 0)):
        system = build("jre", PENN_ACTION, backbone="resnet18", relation="none", frame=frame)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            load_official(system.model, tmp_path / "b.pth")
        assert sum("cells of official weights" in str(each.message) for each in seen) == warned
