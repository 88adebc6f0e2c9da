"""ONNX files: whole ones, others' and such whose description, graph or bytes are changed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import poselib
from poselib.engine.checkpoints import description_of
from poselib.engine.export.network import KEY
from tests.data.factories.images import images
from tests.fuzz.corpus import Rng
from tests.fuzz.json_values import mutate
from tests.fuzz.raw_bytes import damage
from tests.fuzz.weights import tiny_system


@cache
def parts() -> dict[str, onnx.ModelProto]:
    """Return the graphs of a regression of poses, its file for images and its scoring net."""
    rng, maps, nodes, kernels = np.random.default_rng(0), [], [], []
    for name, count in {"heatmaps": 17, "centers": 1, "x": 17, "y": 17}.items():
        kernel = rng.normal(0, 0.3, (count, 3, 4, 4)).astype(np.float32)
        kernels.append(numpy_helper.from_array(kernel, f"{name}.weight"))
        inputs = ["images", f"{name}.weight"]
        nodes.append(helper.make_node("Conv", inputs, [name], strides=[4, 4]))
        maps.append(_value(name, ["batch", count, "8*h", "8*w"]))
    kernels.append(numpy_helper.from_array(np.array([2]), "axis"))
    for name in ("x", "y"):
        nodes.append(helper.make_node("Unsqueeze", [name, "axis"], [f"{name}5"]))
    nodes.append(helper.make_node("Concat", ["x5", "y5"], ["offsets"], axis=2))
    maps[2:] = [_value("offsets", ["batch", 17, 2, "8*h", "8*w"])]
    images = _value("images", ["batch", 3, "32*h", "32*w"])
    mean = helper.make_node("ReduceMean", ["scores", "axes"], ["factors"], keepdims=0)
    axes = numpy_helper.from_array(np.array([1]), "axes")
    given = [_value("poses", ["n", 17, 2]), _value("scores", ["n", 17])]
    return {
        "": _model(nodes, [images], maps, kernels, ""),
        "scorer": _model([mean], given, [_value("factors", ["n"])], [axes], "scorer"),
    }


def _value(name: str, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(nodes: Any, inputs: Any, outputs: Any, weights: Any, part: str) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    system = replace(tiny_system(), input_size=64, multiple=32)
    facts = {"id": "0" * 16, "multiple": 32, "parts": ["scorer"], "part": part}
    description = {**description_of(system, "a"), "exported": facts}
    helper.set_model_props(made, {KEY: json.dumps(description)})
    return made


def prepare(folder: Path) -> None:
    images(folder, ["a.png"], (40, 64))


def write(rng: Rng, folder: Path) -> None:
    """Write both files, one of which may be changed and damaged."""
    changed = str(rng.choice([*parts()]))
    for part, whole in parts().items():
        made = onnx.ModelProto()
        made.CopyFrom(whole)
        kind = rng.choice(["none", "description", "graph", "both"], p=[0.1, 0.3, 0.4, 0.2])
        if part == changed and kind in ("description", "both"):
            (described,) = made.metadata_props
            described.value = json.dumps(mutate(rng, json.loads(described.value)))
        if part == changed and kind in ("graph", "both"):
            _change(rng, made)
        data = made.SerializeToString()
        damaged = part == changed and rng.random() < 0.3
        name = f"a.{part}.onnx" if part else "a.onnx"
        (folder / name).write_bytes(damage(rng, data) if damaged else data)


def _change(rng: Rng, made: onnx.ModelProto) -> None:
    """Change names, shapes, kinds, weights, nodes or versions."""
    graph = made.graph
    for _ in range(rng.integers(1, 3)):
        value = [*graph.input, *graph.output][rng.integers(len(graph.input) + len(graph.output))]
        tensor = value.type.tensor_type
        kind = rng.integers(9)
        if kind == 0:
            value.name = str(rng.choice(["tags", "x", "", "heatmaps", "embedding", "a" * 300]))
        elif kind == 1 and tensor.shape.dim:
            axis = tensor.shape.dim[rng.integers(len(tensor.shape.dim))]
            axis.dim_value = int(rng.choice([0, 1, 2, 7, -1, 2**40]))
        elif kind == 2:
            tensor.elem_type = int(rng.choice([0, 2, 7, 8, 11, 16, 99]))
        elif kind == 3 and (here := [w for w in graph.initializer if w.raw_data]):
            weight = here[rng.integers(len(here))]
            array = numpy_helper.to_array(weight)
            odd = [
                array[:-1],
                array[:, :1] if array.ndim > 1 else array + 7,
                array * np.nan,
                -array,
            ]
            array = odd[rng.integers(len(odd))].astype(array.dtype)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
        elif kind == 4 and graph.initializer:
            _outside(rng, graph.initializer[rng.integers(len(graph.initializer))])
        elif kind == 5 and graph.node:
            node = graph.node[rng.integers(len(graph.node))]
            node.op_type = str(rng.choice(["Relu", "Nothing", "Reshape", "Gather", "Loop", ""]))
        elif kind == 6:
            made.opset_import[0].version = int(rng.choice([0, 1, 7, 21, 99, 2**40]))
        elif kind == 7:
            made.ir_version = int(rng.choice([0, 1, 3, 12, 99]))
        elif graph.output:
            del graph.output[rng.integers(len(graph.output))]


def _outside(rng: Rng, weight: onnx.TensorProto) -> None:
    """Say that a weight lies in another file, which is absent or none of the model's."""
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", str(rng.choice(["/etc/hostname", "../../x", "a.onnx", "gone", ""]))),
        ("offset", str(rng.choice(["0", "-1", "x", "99999999999999999999"]))),
        ("length", str(rng.choice(["4", "-4", str(2**50)]))),
    ):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value


def read(folder: Path) -> None:
    """Find people in an image."""
    poses = poselib.load(folder / "a.onnx", device="cpu")(folder / "a.png")
    for values in (poses.keypoints, poses.scores, poses.person_scores):
        assert np.isfinite(values).all(), "poses that are not finite"
