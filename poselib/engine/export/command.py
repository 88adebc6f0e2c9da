"""Options of the command that writes a system as ONNX files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

SUMMARY = "write a model as an ONNX file"
DESCRIPTION = """Write a model as an ONNX file, which onnxruntime and other programs run.

OUT ends in .onnx, or is a folder that receives model.onnx. A system whose decoder or state needs a
network of its own gets a further file for it beside the first, such as model.step.onnx. Batch,
height and width are free, multiples of the network's stride.

The file is a model like any other here: poselib predict --model model.onnx gives the same poses.
It is run once, and the largest difference from PyTorch is printed.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    explained = "name, file or folder of a model (default: the bundled one)"
    add("--model", "--checkpoint", metavar="NAME", help=explained)
    add("--out", required=True, metavar="OUT", help="the .onnx file, or a folder")
    explained = "images are (B, H, W, 3) uint8 RGB, which the graph normalizes"
    add("--uint8", action="store_true", help=explained)


def run(arguments: argparse.Namespace) -> str:
    """Export a model; say what each file takes and gives."""
    from poselib.engine.export.write import export_system
    from poselib.engine.weights.open import open_model

    loaded, _ = open_model(arguments.model)
    written = export_system(
        loaded.system, arguments.out, uint8=arguments.uint8, provenance=loaded.provenance
    )
    return "\n".join(
        f"{each.path}: from {', '.join(each.inputs)} to {', '.join(each.outputs)}; differs from "
        f"PyTorch by {each.difference:.1e} of the maximum"
        for each in written
    )
