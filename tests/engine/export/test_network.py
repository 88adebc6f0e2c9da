"""Files that are refused, each in a sentence, and what an exported network cannot do."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import poselib
from poselib.engine.checkpoints import load_checkpoint, save_system, stored_keypoints
from poselib.engine.export.write import export_system
from poselib.engine.train import train
from poselib.skeletons import COCO
from tests.engine.export.micro_systems import micro_system
from tests.engine.factories import RECIPE, scenes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds ``model.onnx`` and ``model.attraction.onnx``."""
    folder = tmp_path_factory.mktemp("exported")
    export_system(micro_system("logocap"), folder, provenance={"seed": 7})
    return folder


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> Path:
    """The file of a copy of them."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model.onnx"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def as_page(path: Path) -> None:
    path.write_text("<!doctype html><p>Quota exceeded")


def as_foreign(path: Path) -> None:
    shown = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [shown], [given])
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, producer_name="a toolbox", opset_imports=opsets, ir_version=10)
    onnx.save(made, path)


def of_the_future(path: Path) -> None:
    made = onnx.load(path)
    made.opset_import[0].version = 99
    onnx.save(made, path)


def without_weights(path: Path) -> None:
    data = {"save_as_external_data": True, "location": "weights.data", "size_threshold": 0}
    onnx.save(onnx.load(path), path, **data)
    (path.parent / "weights.data").unlink()


def without_part(path: Path) -> None:
    (path.parent / "model.attraction.onnx").unlink()


def with_part_of_another(path: Path) -> None:
    part = path.parent / "model.attraction.onnx"
    made = onnx.load(part)
    (described,) = made.metadata_props
    description = json.loads(described.value)
    assert len(description["exported"]["id"]) == 16
    description["exported"]["id"] = "0" * 16
    described.value = json.dumps(description)
    onnx.save(made, part)


def described(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Return what changes the description of an export in its file."""

    def spoil(path: Path) -> None:
        made = onnx.load(path)
        (stored,) = made.metadata_props
        description = json.loads(stored.value)
        change(description)
        stored.value = json.dumps(description)
        onnx.save(made, path)

    return spoil


def with_weights_not_finite(path: Path) -> None:
    made = onnx.load(path)
    for weight in made.graph.initializer:
        if len(weight.dims) == 4:
            array = onnx.numpy_helper.to_array(weight)
            weight.CopyFrom(onnx.numpy_helper.from_array(array * np.float32("nan"), weight.name))
    onnx.save(made, path)


def with_other_names(path: Path) -> None:
    made = onnx.load(path)
    for node in made.graph.node:
        node.output[:] = ["maps" if name == "heatmaps" else name for name in node.output]
        node.input[:] = ["maps" if name == "heatmaps" else name for name in node.input]
    (first,) = (each for each in made.graph.output if each.name == "heatmaps")
    first.name = "maps"
    onnx.save(made, path)


def with_another_part(path: Path) -> None:
    part = path.parent / "model.attraction.onnx"
    made = onnx.load(part)
    (maps,) = made.graph.output
    last = made.graph.node[-1]
    last.output[:] = ["once"]
    made.graph.node.append(helper.make_node("Concat", ["once", "once"], [maps.name], axis=1))
    maps.type.tensor_type.shape.dim[1].dim_value *= 2
    onnx.save(made, part)


def with_metadata_of_bytes(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"system"', b'"\xff\xfestem"', 1))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "an ONNX file that is incomplete or damaged"),
        (as_page, "a web page"),
        (as_foreign, r"not exported by poselib but another ONNX graph of a toolbox.* x \(n, 3\)"),
        (of_the_future, "onnxruntime cannot run here: .*opset"),
        (without_weights, "its weights are in another file, which is absent"),
        (without_part, "model.attraction.onnx, which belongs to it, is not there"),
        (with_part_of_another, "model.attraction.onnx: of another export than model.onnx"),
        (described(lambda d: d["exported"].update(multiple=[8])), "description is not complete"),
        (described(lambda d: d["exported"].update(parts=["../x"])), "description is not complete"),
        (described(lambda d: d["exported"].update(kernel_cell="4")), "description is not complete"),
        (described(lambda d: d["exported"].update(kernel_cell=999)), "is not that of the system"),
        (described(lambda d: d.update(exported=3)), "its description of a system is no JSON"),
        (described(lambda d: d["exported"].update(multiple=64)), "sides in multiples of 64 px"),
        (described(lambda d: d.update(system="hae", options={})), "sides in multiples of|not that"),
        (with_weights_not_finite, "its graph gives numbers that are not finite"),
        (with_other_names, "is not that of the system that it describes, 'logocap': KeyError"),
        (with_another_part, "17 maps a pose are wanted, not"),
        (with_metadata_of_bytes, "an ONNX file that is|damaged|cannot run"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    model: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(model)
    with pytest.raises((ValueError, FileNotFoundError), match=reason) as refused:
        poselib.load(model)
    assert str(model.parent) in str(refused.value) and "\n" not in str(refused.value)


def test_the_file_of_a_part_is_no_model(model: Path) -> None:
    with pytest.raises(ValueError, match="this is the part 'attraction' of a model"):
        poselib.load(model.with_name("model.attraction.onnx"))


def test_files_are_known_by_their_content_and_found_in_a_folder(model: Path) -> None:
    assert load_checkpoint(model.parent).provenance == {"seed": 7}
    assert stored_keypoints(model) == COCO.keypoints
    for path in list(model.parent.iterdir()):
        path.rename(path.with_name(path.name.replace("model", "net")))
    renamed = model.with_name("net.onnx")
    assert load_checkpoint(renamed).system.name == "logocap"
    other = shutil.copy(renamed, renamed.with_name("net.bin"))
    shutil.copy(renamed.with_name("net.attraction.onnx"), renamed.with_name("net.attraction.bin"))
    assert load_checkpoint(Path(other)).system.name == "logocap"


def test_onnxruntime_is_asked_for(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"pip install 'poselib-research\[export\]'"):
        poselib.load(model)


def test_it_is_neither_trained_nor_saved_nor_exported_again(model: Path) -> None:
    system = load_checkpoint(model).system
    with pytest.raises(ValueError, match="an exported network"):
        train(system, scenes(4), RECIPE, model.with_name("run"))
    with pytest.raises(ValueError, match="exported network stay in its files"):
        save_system(model.with_suffix(".safetensors"), system)
    with pytest.raises(ValueError, match="is exported already, in"):
        export_system(system, model.with_name("again.onnx"))


def test_where_a_system_cannot_be_exported_to_is_said_first(tmp_path: Path) -> None:
    system = micro_system("hae")
    with pytest.raises(ValueError, match=r"a system is exported as \.onnx, or into a folder"):
        export_system(system, tmp_path / "model.pt")
    (tmp_path / "a.onnx").write_text("")
    with pytest.raises(ValueError, match="is not a folder"):
        export_system(system, tmp_path / "a.onnx" / "model.onnx")


def test_copies_share_the_sessions_and_threads_have_their_own(model: Path) -> None:
    network = load_checkpoint(model).system.model
    images = torch.randn(1, 3, 16, 16)
    expected = network(images).heatmaps
    assert copy.deepcopy(network).sessions[""] is network.sessions[""]  # type: ignore[index, union-attr]
    torch.testing.assert_close(pickle.loads(pickle.dumps(network))(images).heatmaps, expected)
    torch.set_num_threads(2)
    try:
        torch.testing.assert_close(network(images).heatmaps, expected)
    finally:
        torch.set_num_threads(1)


def test_a_graph_of_a_fixed_size_says_which(model: Path) -> None:
    """Those of clip networks were, before their sizes became free."""
    made = onnx.load(model)
    sides = made.graph.input[0].type.tensor_type.shape.dim[2:]
    for side, length in zip(sides, (16, 24), strict=True):
        side.dim_value = length
    (stored,) = made.metadata_props
    description = json.loads(stored.value)
    assert description["exported"].pop("kernel_cell") == 0
    stored.value = json.dumps(description)
    onnx.save(made, model)
    network = load_checkpoint(model).system.model
    assert network(torch.zeros(1, 3, 16, 24)).heatmaps.shape[0] == 1
    with pytest.raises(ValueError, match=r"takes images of \[16, 24\] px, not of 24x24"):
        network(torch.zeros(1, 3, 24, 24))
