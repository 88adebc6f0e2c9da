"""Systems written as ONNX files, which hold their description as checkpoints do."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from poselib.engine.checkpoints import description_of
from poselib.engine.export.graphs import Graph, graphs_of
from poselib.engine.export.network import KEY, ExportedNetwork, Session, part_file
from poselib.ops.io import atomic_write, check_output
from poselib.systems import System

OPSET = 18
NAME = "model.onnx"  # of a file in a folder
_SYMBOL = re.compile(r"\bs\d+\b")  # what PyTorch calls lengths of any size


@dataclass(frozen=True)
class Exported:
    """A file that was written, and compared with the network.

    Attributes:
        path: the file.
        inputs, outputs: names and axes, such as ``"images (batch, 3, 32*h, 32*w)"``.
        difference: the largest between its outputs and those of PyTorch, as a fraction of the
            largest value of an output.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


def export_system(
    system: System,
    out: str | Path,
    uint8: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> list[Exported]:
    """Write a system as ONNX files, run them and compare the outputs with PyTorch's.

    A system whose decoder or state needs a network of its own gets a further file for it:
    ``model.attraction.onnx`` (context of poses to attraction maps), ``model.scorer.onnx`` (poses
    and scores to factors) or ``model.step.onnx`` (the next frame of a clip), beside ``model.onnx``.

    Args:
        system: any but an exported one.
        out: ends in ``.onnx``, or is a folder, which receives ``model.onnx``.
        uint8: whether the images are (B, H, W, 3) uint8 RGB, as files have them, which the graph
            normalizes; otherwise they are normalized, (B, 3, H, W) float32.
        provenance: anything that JSON can hold.

    Returns:
        What was written, the file for images first.

    Raises:
        ValueError: no such file can be written, the system is an exported one, a package of the
            extra ``export`` is missing, or the outputs differ from PyTorch's by more than 1e-3.
    """
    path = _checked_target(Path(out))
    if isinstance(system.model, ExportedNetwork):
        raise ValueError(f"{path}: the system is exported already, in {system.model.path}")
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        raise ValueError(
            f"{path}: an export needs {' and '.join(missing)}: "
            "pip install 'poselib-research[export]'"
        )
    graphs = graphs_of(system, pixels=uint8)
    description = description_of(system, str(path), dict(provenance or {}))
    facts = {
        "id": _fingerprint(system),
        "multiple": int(getattr(system.model, "multiple", system.multiple)),
        "parts": [graph.part for graph in graphs if graph.part],
        "kernel_cell": int(getattr(system.model, "kernel_cell", 0)),
    }
    written = []
    for graph in graphs:
        target = part_file(path, graph.part)
        stored = {**description, "exported": {**facts, "part": graph.part}}
        with atomic_write(target) as temporary:
            _write(graph, temporary, json.dumps(stored))
            written.append(_compared(graph, temporary, target))
    return written


def _checked_target(path: Path) -> Path:
    """Return the file for images; raise ValueError if it cannot be written."""
    if path.is_dir() or not path.suffix:
        path /= NAME
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: a system is exported as .onnx, or into a folder")
    check_output(path.parent, folder=True)
    check_output(path) if path.parent.is_dir() else None
    return path


def _write(graph: Graph, path: Path, description: str) -> None:
    with _quiet():
        program = torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(graph.axes,),  # of *inputs, which are one argument
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            verbose=False,
        )
    assert program is not None
    _name_axes(program)
    program.model.metadata_props[KEY] = description
    program.save(path, external_data=False)


def _name_axes(program: torch.onnx.ONNXProgram) -> None:
    """Give the axes of the outputs the names that those of the inputs have: h and not s39."""
    exported: Any = program.exported_program
    names: dict[str, str] = {}
    graph: Any = program.model.graph
    nodes = [n for n in exported.graph.nodes if n.name in exported.graph_signature.user_inputs]
    for node, graph_input in zip(nodes, graph.inputs, strict=True):
        for length, axis in zip(node.meta["val"].shape, graph_input.shape, strict=True):
            for symbol in _SYMBOL.findall(str(length)):
                names[symbol] = str(axis).split("*")[-1]
    for output in graph.outputs:
        for axis, length in enumerate(output.shape):
            if not isinstance(length, int):
                output.shape[axis] = _SYMBOL.sub(lambda found: names[found[0]], str(length))


def _compared(graph: Graph, path: Path, target: Path) -> Exported:
    """Return what was written, after a comparison on noise."""
    generator = torch.Generator().manual_seed(0)
    inputs = [_noise(each, generator) for each in graph.inputs.values()]
    session = Session(path)
    with torch.no_grad():
        pairs = zip(graph.module(*inputs), session(*inputs).values(), strict=True)
        differences = [float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in pairs]
    difference = max(differences)
    if not difference < 1e-3:
        raise ValueError(f"{target}: the graph's outputs differ from PyTorch's by {difference:.1e}")
    return Exported(target, *session.signature, difference)


def _noise(example: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if example.dtype == torch.uint8:
        return torch.randint(256, example.shape, generator=generator).to(example)
    return torch.randn(example.shape, generator=generator)


def _fingerprint(system: System) -> str:
    """Return what tells the files of one export from those of another."""
    digest = hashlib.sha256(json.dumps(dict(system.options)).encode())
    for name, value in system.model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on what it does not do from the terminal."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "torch.utils._sympy.interp")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
