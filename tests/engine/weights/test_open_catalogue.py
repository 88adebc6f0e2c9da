"""Every entry of the catalogue, at its real size, is served, loaded by its name and found whole."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import poselib
from poselib.engine.weights.recognize import recognize
from poselib.models.toolbox_layouts import to_toolbox
from poselib.systems.published import PUBLISHED, PublishedWeights
from tests.engine.weights.servers import Behavior, serving
from tests.models.official import official_weights, relative
from tests.models.test_pretrained import in_parts

torch.set_num_threads(1)

SUPPORTED = [row for row in PUBLISHED.values() if not row.unsupported]
TRUNK = ("conv", "bn", "layer1.", "stage", *(f"transition{n}." for n in (1, 2, 3)))


@pytest.fixture(autouse=True)
def without_first_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave new networks as they lie in memory: drawing their weights takes most of the time."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


@cache
def _published(*kind: str) -> tuple[dict[str, Tensor], bytes]:
    """As ``published``, of the first entry that has a network and a layout."""
    row = next(row for row in SUPPORTED if kind_of(row) == kind)
    model = poselib.build(row.system, row.skeleton, **row.options).model
    state = enumerate(model.state_dict().items(), start=1)
    weights = {name: torch.tensor(n, dtype=v.dtype).expand(v.shape) for n, (name, v) in state}
    there = weights
    if row.layout != "official":
        there = to_toolbox(weights, model, "0.x" if row.layout == "mmpose_0.x" else "1.x")
    elif row.system == "dekr":
        there = in_parts(weights, len(weights["head_heatmap.1.bias"]) - 1)
    elif row.system == "logocap":
        there = {f"backbone.{k}" if k.startswith(TRUNK) else k: v for k, v in weights.items()}
    if row.maps:  # further keypoints behind those of the skeleton
        last = [name for name in there if "final_layer." in name]
        more = row.maps - len(there[last[0]])
        there |= {k: torch.cat([there[k], torch.zeros_like(there[k][:more])]) for k in last}
    buffer = BytesIO()
    torch.save({"state_dict": there, "meta": {"epoch": 210}}, buffer)
    return weights, buffer.getvalue()


def kind_of(row: PublishedWeights) -> tuple[str, ...]:
    options = (row.options.get(name) for name in ("backbone", "host", "offsets"))
    return tuple(map(str, (row.system, row.skeleton, *options, row.layout, row.maps)))


def published(row: PublishedWeights) -> tuple[dict[str, Tensor], bytes]:
    """The weights of an entry, in each tensor another number, and its file as it is published."""
    return _published(*kind_of(row))


def load(
    row: PublishedWeights, content: bytes, folder: Path, patch: pytest.MonkeyPatch
) -> poselib.Predictor:
    """Load an entry by its name from a server, or from where a person puts its file."""
    patch.setenv("POSELIB_CACHE", str(folder))
    with serving(Behavior(content)) as address:
        if row.address:
            digest = hashlib.sha256(content).hexdigest()[: len(row.sha256)]
            row = replace(row, address=address, sha256=digest)
        else:
            (folder / "weights").mkdir()
            (folder / "weights" / row.file).write_bytes(content)
        patch.setitem(PUBLISHED, row.name, row)
        return poselib.load(row.name, device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("row", SUPPORTED, ids=lambda row: row.name)
def test_an_entry_loads_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: PublishedWeights
) -> None:
    weights, content = published(row)
    predictor = load(row, content, tmp_path, monkeypatch)
    assert (predictor.name, predictor.provenance["published"]) == (row.name, row.name)
    state = predictor.system.model.state_dict()
    assert state.keys() == weights.keys()
    for name, value in state.items():
        assert torch.equal(value, weights[name]), name
    assert predictor.system.skeleton.name == row.skeleton
    assert row.options.items() <= predictor.system.options.items()
    found = recognize(tmp_path / "weights" / row.file)
    assert found.published is not None and found.published.name == row.name
    assert (found.source, found.keypoints) == (row.layout, len(predictor.system.skeleton))


@pytest.mark.slow
@pytest.mark.golden
def test_golden_maps_come_out_of_a_file_of_the_authors(
    golden_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = official_weights(golden_dir, "logocap_w32")
    buffer = BytesIO()
    torch.save({"model": {f"module.{name}": value for name, value in weights.items()}}, buffer)
    row = PUBLISHED["logocap_w32_coco_official"]
    model = load(row, buffer.getvalue(), tmp_path, monkeypatch).system.model
    with np.load(golden_dir / "logocap_w32.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        both = torch.cat([outputs.heatmaps, outputs.centers], dim=1)
        assert relative(both, arrays["heatmaps"]) < 1e-5
        assert relative(outputs.offsets.flatten(1, 2), arrays["offsets"]) < 1e-5
        assert relative(outputs.embedding[:, ::8], arrays["embedding_ch_step8"]) < 1e-5


@pytest.mark.slow
@pytest.mark.golden
def test_golden_heatmaps_of_crowds_come_out_of_an_entry(
    golden_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ("final_layers.", "deconv_layers.")
    weights = {
        f"keypoint_head.{k}" if k.startswith(heads) else f"backbone.{k}": v
        for k, v in official_weights(golden_dir, "higherhrnet_w32_k14").items()
    }
    buffer = BytesIO()
    torch.save({"state_dict": weights}, buffer)
    row = PUBLISHED["higherhrnet_w32_crowdpose_512"]
    model = load(row, buffer.getvalue(), tmp_path, monkeypatch).system.model
    with np.load(golden_dir / "higherhrnet_w32_k14.npz") as arrays, torch.no_grad():
        outputs = model(torch.from_numpy(arrays["input"]))
        both = torch.cat([outputs.heatmaps[0], outputs.tags.flatten(1, 2)], dim=1)
        assert relative(both, arrays["out0"]) < 1e-5
        assert relative(outputs.heatmaps[1], arrays["out1"]) < 1e-5
