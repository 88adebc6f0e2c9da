"""Every network of the catalogue, at its real size, is served, loaded by its name and compared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import poselib
from poselib.engine.export.tensors import to_tensors
from poselib.engine.weights.recognize import recognize
from poselib.models.toolbox_layouts import to_toolbox
from poselib.ops.weights_io import Weights
from poselib.systems import System
from poselib.systems.published import PUBLISHED, PublishedWeights
from tests.engine.weights.rule import context, image, poses, ruled, sampled
from tests.engine.weights.servers import Behavior, serving
from tests.models.official import official_weights, relative
from tests.models.test_pretrained import in_parts

torch.set_num_threads(1)

SUPPORTED = [row for row in PUBLISHED.values() if not row.unsupported]
OUTPUTS = json.loads((Path(__file__).parent / "published_outputs.json").read_text())
TRUNK = ("conv", "bn", "layer1.", "stage", *(f"transition{n}." for n in (1, 2, 3)))


pytestmark = pytest.mark.usefixtures("undrawn_weights")


def layout_of(row: PublishedWeights, weights: dict[str, Tensor], model: nn.Module) -> Weights:
    """Name and order the weights of a network as the file of an entry does."""
    if row.layout != "official":
        return to_toolbox(weights, model, "0.x" if row.layout == "mmpose_0.x" else "1.x")
    if row.system == "dekr":
        return in_parts(weights, len(weights["head_heatmap.1.bias"]) - 1)
    if row.system == "logocap":
        return {f"backbone.{k}" if k.startswith(TRUNK) else k: v for k, v in weights.items()}
    return weights


def kind_of(row: PublishedWeights) -> tuple[str, ...]:
    options = (row.options.get(name) for name in ("backbone", "host", "offsets"))
    return tuple(map(str, (row.system, row.skeleton, *options, row.layout, row.maps)))


FIRST = {kind_of(row): row for row in reversed(SUPPORTED)}  # entry of each network and layout
OTHERS = [row for row in SUPPORTED if FIRST[kind_of(row)] is not row]


@cache
def _published(*kind: str) -> tuple[Weights, bytes]:
    row = FIRST[kind]
    # scoring nets read the order of their features from tensors, decoders their rates
    numbers = row.options.get("scoring") or row.system == "logocap"
    with torch.device("cpu" if numbers else "meta"):
        model = poselib.build(row.system, row.skeleton, **row.options).model
    there = layout_of(row, model.state_dict(), model)
    shapes = {name: list(value.shape) for name, value in there.items()}
    if row.maps:  # those of other data follow
        for name in [name for name in there if "final_layer." in name]:
            shapes[name][0] = row.maps
    weights = {name: ruled(name, shape, there[name].dtype) for name, shape in shapes.items()}
    buffer = BytesIO()
    torch.save({"state_dict": weights, "meta": {"epoch": 210}}, buffer)
    return weights, buffer.getvalue()


def published(row: PublishedWeights) -> tuple[Weights, bytes]:
    """Weights by the rule as the file of an entry names them, and the file."""
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
@pytest.mark.parametrize("row", FIRST.values(), ids=lambda row: row.name)
def test_an_entry_loads_by_its_name_and_gives_what_the_public_code_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: PublishedWeights
) -> None:
    weights, content = published(row)
    predictor = load(row, content, tmp_path, monkeypatch)
    assert (predictor.name, predictor.provenance["published"]) == (row.name, row.name)
    system = predictor.system
    back = layout_of(row, system.model.state_dict(), system.model)
    assert back.keys() == weights.keys()
    for name, value in back.items():
        if not name.endswith("regular_matrix"):  # a constant
            expected = weights[name][: len(value)] if value.ndim else weights[name]
            assert torch.equal(value, expected) or torch.allclose(value, expected, atol=1e-6), name
    assert system.skeleton.name == row.skeleton
    assert row.options.items() <= system.options.items()
    found = recognize(tmp_path / "weights" / row.file)
    assert found.published is not None and found.published.name == row.name
    assert (found.source, found.keypoints) == (row.layout, len(system.skeleton))
    compare(sampled(outputs_of(system)), OUTPUTS[FIRST[kind_of(row)].name])


@pytest.mark.slow
@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row.name)
def test_an_entry_that_differs_in_sizes_or_decoding_has_the_network_of_another(
    row: PublishedWeights,
) -> None:
    first = FIRST[kind_of(row)]
    with torch.device("meta"):
        here, there = (poselib.build(it.system, it.skeleton, **it.options) for it in (row, first))
    assert shapes_of(here) == shapes_of(there)
    assert row.options.items() <= here.options.items()
    assert row.file != first.file


def shapes_of(system: System) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in system.model.state_dict().items()}


@torch.no_grad()
def outputs_of(system: System) -> dict[str, Tensor]:
    """Return what a network and those that its outputs carry give for the inputs of the rule."""
    multiple, keypoints = int(system.model.multiple), len(system.skeleton)  # type: ignore[arg-type]
    side = max(64, multiple)
    outputs = system.model(image((side, side + multiple)))
    found = to_tensors(outputs)
    if getattr(outputs, "scorer", None):
        found["scores"] = outputs.scorer(*poses(keypoints))
    if "embedding" in found:
        read = context(keypoints * found["embedding"].shape[1])
        found["attraction"] = outputs.attraction_network(read)
    return found


def compare(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert found.keys() == expected.keys()
    for name, (maximum, *values) in expected.items():
        np.testing.assert_allclose(found[name][1:], values, rtol=0, atol=1e-4 * maximum)
        assert found[name][0] == pytest.approx(maximum, rel=1e-4)


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
