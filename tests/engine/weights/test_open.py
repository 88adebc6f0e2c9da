"""Published weights by name: files in their layouts, served on the loopback address."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import poselib
from poselib.cli import main
from poselib.engine.weights import open as module
from poselib.engine.weights.open import (
    fetch,
    load_model,
    load_published,
    provenance_of,
    warn_of_photographs,
)
from poselib.models.toolbox_layouts import to_toolbox
from poselib.systems import build
from poselib.systems.published import PUBLISHED, PublishedWeights
from tests.engine.weights.factories import (
    published_file,
    random_system,
    served,
    small,
    stored,
)
from tests.engine.weights.servers import Behavior, serving
from tests.models.official import official_weights, relative
from tests.models.test_toolbox_layouts import NETWORKS, digest, grouped

ROWS = [row for row in PUBLISHED.values() if not row.unsupported]
TOOLBOX = [row for row in ROWS if row.layout != "official"]
# One of each network: those of 384 px, and of other recipes, differ in numbers alone.
KINDS = {
    (row.system, row.skeleton, row.maps, *map(small(row).options.get, ("backbone", "host"))): row
    for row in TOOLBOX
    if row.options.get("backbone") not in ("resnet101", "resnet152")
}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[pytest.mark.slow] * (row.options.get("backbone") == "resnet50"))
        for row in KINDS.values()
    ],
    ids=lambda row: row.name,
)
def test_an_entry_is_downloaded_and_loaded(tmp_path: Path, row: PublishedWeights) -> None:
    tiny = small(row)
    expected = random_system(tiny)
    content = published_file(tiny, expected.model)
    with serving(Behavior(content)) as address, warnings.catch_warnings():
        warnings.simplefilter("error")
        system = load_published(served(tiny, address, content), folder=tmp_path, progress=False)
    weights = system.model.state_dict()
    for name, value in expected.model.state_dict().items():
        assert torch.allclose(value, weights[name], atol=1e-6), name
    assert not system.model.training
    assert (system.input_size, system.crop) == (row.input_size, row.crop)
    assert row.crop or (system.multiple, system.frame) == (row.multiple, row.frame)
    closed = served(tiny, "http://127.0.0.1:1/closed.pth", content)  # nothing listens there
    assert load_published(closed, folder=tmp_path).options == system.options


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.slow
def test_every_entry_has_the_network_of_its_file() -> None:
    """Names and shapes of the catalogue's networks are those that mmpose builds."""
    seen = set()
    for row in TOOLBOX:
        kind = (row.system, row.skeleton, row.options.get("backbone"), row.options.get("host"))
        if kind in seen or row.maps:
            continue
        seen.add(kind)
        # the order of a scoring net's features is read from it
        with torch.device("cpu" if row.options.get("scoring") else "meta"):
            model = build(row.system, row.skeleton, **row.options).model
        version = row.layout.removeprefix("mmpose_")
        assert (version, digest(to_toolbox(model.state_dict(), model, version))) in NETWORKS, row


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("name", ["dekr_w32_coco", "dekr_w32_crowdpose", "dekr_w32_coco_official"])
def test_golden_outputs_come_out_of_an_entry(golden_dir: Path, tmp_path: Path, name: str) -> None:
    row = PUBLISHED[name]
    keypoints = 14 if "crowd" in name else 17
    weights = official_weights(golden_dir, f"dekr_w32_k{keypoints}")
    if row.address:
        weights = grouped(weights, keypoints, "1.x")
        row = replace(row, options={**row.options, "scoring": False})
    content = stored({"state_dict": weights})
    with serving(Behavior(content)) as address:
        system = load_published(served(row, address, content), folder=tmp_path, progress=False)
    with np.load(golden_dir / f"dekr_w32_k{keypoints}.npz") as arrays, torch.no_grad():
        outputs = system.model(torch.from_numpy(arrays["input"]))
        assert relative(outputs.offsets.flatten(1, 2), arrays["offset"]) < 1e-5
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["heatmap"]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.parametrize("name", ["higherhrnet_w32_coco_512", "higherhrnet_w32_coco_512_official"])
def test_golden_heatmaps_and_tags_come_out_of_an_entry(
    golden_dir: Path, tmp_path: Path, name: str
) -> None:
    weights = official_weights(golden_dir, "higherhrnet_w32_k17")
    heads = ("final_layers.", "deconv_layers.")
    if PUBLISHED[name].address:
        weights = {
            ("keypoint_head." if key.startswith(heads) else "backbone.") + key: value
            for key, value in weights.items()
        }
    content = stored({"state_dict": weights})
    with serving(Behavior(content)) as address:
        row = served(PUBLISHED[name], address, content)
        system = load_published(row, folder=tmp_path, progress=False)
    with np.load(golden_dir / "higherhrnet_w32_k17.npz") as arrays, torch.no_grad():
        outputs = system.model(torch.from_numpy(arrays["input"]))
        both = torch.cat([outputs.heatmaps[0], outputs.tags.flatten(1, 2)], dim=1)
        assert relative(both, arrays["out0"]) < 1e-5
        assert relative(outputs.heatmaps[1], arrays["out1"]) < 1e-5


def test_names_load_through_the_front_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(small(PUBLISHED["dekr_w32_coco"]), name="tiny", input_size=64)
    content = published_file(row, random_system(row).model)
    monkeypatch.setenv("POSELIB_CACHE", str(tmp_path))
    with serving(Behavior(content)) as address:
        monkeypatch.setitem(PUBLISHED, "tiny", served(row, address, content))
        model = poselib.load("tiny")
    assert (tmp_path / "weights" / row.file).is_file()
    assert model.name == "tiny"
    assert model.provenance == provenance_of(PUBLISHED["tiny"])
    image = np.zeros((64, 80, 3), np.uint8)
    (expected,) = poselib.load(load_model("tiny").system)([image])
    assert len(model(image)) == len(expected)


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    row = replace(PUBLISHED["vipnas_mbv3_coco_256x192"], unsupported="nothing here decodes it")
    with pytest.raises(ValueError, match=f"{row.name} cannot be loaded: nothing here decodes it"):
        load_published(row, folder=tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["dekr_w32_coco_official", "logocap_w48_coco_official"])
def test_a_file_without_an_address_is_put_there_by_hand(tmp_path: Path, name: str) -> None:
    row = PUBLISHED[name]
    with pytest.raises(FileNotFoundError) as caught:
        load_published(name, folder=tmp_path)
    for part in (row.page, row.file, str(tmp_path)):
        assert part in str(caught.value)
    (tmp_path / row.file).write_bytes(b"<html>sign in</html>")
    with pytest.raises(ValueError, match="a web page"):
        fetch(row, folder=tmp_path)
    (tmp_path / row.file).write_bytes(stored({"a": torch.ones(1)}))
    with pytest.raises(ValueError, match="does not fit"):
        load_published(name, folder=tmp_path)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    rows = [small(PUBLISHED[name]) for name in ("hrnet_w32_ae_coco", "hrnet_w32_ae_aic")]
    content = published_file(rows[1], random_system(rows[1]).model)
    with serving(Behavior(content)) as address, pytest.raises(ValueError, match="14 keypoints"):
        load_published(served(rows[0], address, content), folder=tmp_path, progress=False)


def test_unknown_names_are_told_with_near_ones() -> None:
    with pytest.raises(ValueError, match="did you mean dekr_w32_coco"):
        load_model("dekr-w32-coco")
    with pytest.raises(ValueError, match="poselib weights list"):
        load_published("nothing_like_it")


def test_photographs_are_warned_of_once(tmp_path: Path) -> None:
    module._warn_once.cache_clear()
    scenes = tmp_path / "scenes"
    assert main(["synthetic", str(scenes), "--count", "1", "--size", "64"]) == 0
    rendered = scenes / "images" / "000000.png"
    photograph = tmp_path / "photo.png"
    photograph.write_bytes(rendered.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_photographs("hae_tiny_synthetic", [rendered])
        warn_of_photographs("hae_tiny_synthetic", [])
        warn_of_photographs("dekr_w32_coco", [photograph])
        model = poselib.load()
        model(rendered)
        model(np.zeros((64, 64, 3), np.uint8))
    with pytest.warns(UserWarning, match="synthetic people alone.*dekr_w32_coco"):
        model(photograph)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(photograph)
