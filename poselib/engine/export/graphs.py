"""The graphs of a system: modules from tensors to tensors, with names and axes of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from poselib.engine.export.tensors import ATTRACTION, SCORER, STEP, Tensors, to_tensors
from poselib.models.folding import fold
from poselib.models.propagator import LEAST_CELLS, PropagationState, distinct_size
from poselib.ops.normalization import normalize
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.systems import System


@dataclass(frozen=True)
class Graph:
    """A graph to be exported.

    Attributes:
        part: what it is called among several of a system; "" for that of images.
        module: from tensors to a tuple of tensors.
        inputs: an example of each, by name.
        axes: of each input, those that may have any size, with their ``torch.export.Dim``.
        outputs: their names.
    """

    part: str
    module: nn.Module
    inputs: Tensors
    axes: tuple[dict[int, Any], ...]
    outputs: tuple[str, ...]


@torch.no_grad()
def graphs_of(system: System, *, pixels: bool = False) -> list[Graph]:
    """Return the graphs of a system, that of its images first.

    Images may be of any number and, of multiples of the network's ``multiple``, of any size.

    Args:
        system: stays as it is; its network is prepared for inference.
        pixels: whether the graphs take (B, H, W, 3) uint8 images, as files have them, instead of
            normalized ones (B, 3, H, W).
    """
    model: Any = fold(system.model).cpu()
    multiple, batch = int(model.multiple), Dim("batch")
    size, least = (2 * multiple, 3 * multiple), 0
    if kernel_cell := getattr(model, "kernel_cell", 0):
        size = distinct_size(kernel_cell, multiple)
        least = ceil(LEAST_CELLS * kernel_cell / multiple)
    steps = Dim("h", min=least), Dim("w", min=least)
    sides = {2: multiple * steps[0], 3: multiple * steps[1]}
    images = torch.zeros((2, 3, *size))
    if pixels:
        images = torch.zeros((2, *size, 3), dtype=torch.uint8)
        sides = {axis - 1: dim for axis, dim in sides.items()}
    axes: dict[int, Any] = {0: batch, **sides}
    main = _Traced(model, _start if system.clips else _run)
    tensors, outputs = main.named({"images": images})
    found = [Graph("", main, {"images": images}, (axes,), tuple(tensors))]
    if system.clips:
        found.append(_step_graph(model, found[0], tensors, (batch, *steps)))
    if isinstance(outputs, LocalGlobalOutputs):
        channels = outputs.embedding.shape[1] * outputs.heatmaps.shape[1]
        window = system.decode_options.expansion.local_window
        context = torch.zeros((2, channels, window, window))
        network = _Traced(model.joints_mlp, lambda network, context: {"maps": network(context)})
        found.append(Graph(ATTRACTION, network, {"context": context}, ({0: Dim("n")},), ("maps",)))
    elif isinstance(outputs, RegressionOutputs) and outputs.scorer is not None:
        found.append(_scorer_graph(outputs.scorer, outputs.heatmaps.shape[1]))
    return found


def _step_graph(model: Any, start: Graph, before: Tensors, dims: tuple[Any, ...]) -> Graph:
    """Return the graph of a next frame, given that of a first one and what it returns."""
    ((images, axes),) = zip(start.inputs.values(), start.axes, strict=True)
    cells, spatial = before["heatmaps"].shape[2:], sorted(axes)[1:]
    each_step = [
        int(model.multiple) * count // images.shape[axis]
        for count, axis in zip(cells, spatial, strict=True)
    ]

    def axes_of(value: Tensor) -> dict[int, Any]:
        # layers that are not padded leave out cells at the border
        missing = [count - length for count, length in zip(cells, value.shape[2:], strict=True)]
        sides = [
            n * step - less for n, step, less in zip(each_step, dims[1:], missing, strict=True)
        ]
        return dict(zip((0, 2, 3), (dims[0], *sides), strict=True))

    inputs = {**start.inputs, **{f"previous_{name}": value for name, value in before.items()}}
    state = map(axes_of, before.values())
    return Graph(STEP, _Traced(model, _step), inputs, (axes, *state), start.outputs)


def _scorer_graph(scorer: Any, keypoints: int) -> Graph:
    scoring = _Traced(scorer, lambda net, poses, scores: {"factors": net(poses, scores)})
    inputs = {"poses": torch.zeros((2, keypoints, 2)), "scores": torch.zeros((2, keypoints))}
    people: dict[int, Any] = {0: Dim("n")}
    return Graph(SCORER, scoring, inputs, (people, people), ("factors",))


class _Traced(nn.Module):
    """A module called in one of several ways, which returns tensors alone."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call
        self.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.call(self.model, *inputs)
        return tuple((found if isinstance(found, dict) else found[0]).values())

    def named(self, inputs: Tensors) -> tuple[Tensors, Any]:
        """Return the tensors by name, and the outputs that they are of."""
        found: tuple[Tensors, Any] = self.call(self.model, *inputs.values())
        return found


def _run(model: Any, images: Tensor) -> tuple[Tensors, Any]:
    outputs = model(_normalized(images))
    return to_tensors(outputs), outputs


def _start(model: Any, images: Tensor) -> tuple[Tensors, Any]:
    outputs, state = model.start(_normalized(images))
    return {**to_tensors(outputs), "features": state.features}, outputs


def _step(model: Any, images: Tensor, heatmaps: Tensor, features: Tensor) -> tuple[Tensors, Any]:
    before = PropagationState(heatmaps, features)
    outputs, state = model.step(_normalized(images), before)
    return {**to_tensors(outputs), "features": state.features}, outputs


def _normalized(images: Tensor) -> Tensor:
    return normalize(images.permute(0, 3, 1, 2)) if images.dtype == torch.uint8 else images
