"""What a prediction is computed with: precision, folding, order of memory, compilation, threads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor, nn

from poselib.engine.compiled import CompiledNetwork
from poselib.engine.export.network import ExportedNetwork
from poselib.engine.precision import Precision, autocast, resolve_precision
from poselib.models.folding import fold
from poselib.outputs import LocalGlobalOutputs
from poselib.systems import System

Forward = Callable[..., Any]  # from normalized images, or clips, to outputs

# Input sizes that are captured, each of which keeps its memory; others run as they are.
_CAPTURED = 4
_BEFORE_CAPTURE = 3  # calls in which libraries choose their algorithms and take their memory


@dataclass(frozen=True)
class SpeedOptions:
    """What a prediction is computed with; the defaults change no digit of the results.

    Outputs are float32 in any case, and so is all decoding but the message passing of LOGO-CAP.
    All options but ``workers`` make a copy of the network, or share its weights, when it is first
    used: weights that are changed later need not show.

    Attributes:
        precision: of the network, under autocast: ``"float32"``, ``"bfloat16"``, ``"float16"``, or
            ``"auto"``, bfloat16 where the device is faster in it. Half precision moves keypoints by
            fractions of a px.
        fold: batch normalizations are folded into convolutions; results differ by rounding.
        channels_last: order of images and weights in memory, in which GPUs are faster in half
            precision, and CPUs, where ``fold`` has this order too; results differ by rounding.
        compile: the network runs through ``torch.compile``; it is compiled at its first call, once
            more for a second input size, and runs as it is, after a warning, where that fails.
            Not so the step of a video network.
        cuda_graph: the network is captured for each of the first four input sizes, batch included,
            and replayed without the overhead of its launches, which are most of the time of small
            batches; so is the step of a video network. Of a GPU; not with ``compile``.
        workers: threads that read and resize images while the network runs; 0 for none. One thread
            reads a dataset in order, and never from two places at a time; more are for datasets
            that allow it, as image files do.

    Raises:
        ValueError: an option is out of range or unknown, or one excludes the other.
    """

    precision: Precision = "float32"
    fold: bool = False
    channels_last: bool = False
    compile: bool = False
    cuda_graph: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ValueError(f"precision must be one of {known}, not {self.precision!r}")
        if not (isinstance(self.workers, int) and self.workers >= 0):
            raise ValueError(f"workers must be 0 or more and whole, not {self.workers!r}")
        if self.compile and self.cuda_graph:
            raise ValueError("compile and cuda_graph are given: one of them runs the network")

    @property
    def of_network(self) -> SpeedOptions:
        """The options without those of threads."""
        return replace(self, workers=SpeedOptions.workers)


class FastNetwork(nn.Module):
    """A network as it is run by options; its attributes are those of the network.

    Args:
        network: in evaluation mode, on its device; it stays as it is.
        speed: see ``SpeedOptions``.

    Raises:
        ValueError: an option is not for the device, or the network runs in onnxruntime.
    """

    def __init__(self, network: nn.Module, speed: SpeedOptions) -> None:
        super().__init__()
        if isinstance(network, ExportedNetwork):
            raise ValueError(f"{network.path} runs in onnxruntime, as it was exported: no {speed}")
        device = next((each.device for each in network.parameters()), torch.device("cpu"))
        if speed.cuda_graph and device.type != "cuda":
            raise ValueError(f"cuda_graph is for a GPU; the network is on {device}")
        self.speed, self.device = speed, device
        self.precision = resolve_precision(speed.precision, device)
        if speed.fold:
            network = fold(network)
        elif speed.channels_last:
            network = copy.deepcopy(network)
        if speed.channels_last:
            network = network.to(memory_format=torch.channels_last)
        self.network = CompiledNetwork(network) if speed.compile else network
        self._graphs: dict[tuple[str | int, ...], Forward] = {}
        self.eval()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, images: Tensor) -> Any:
        """Return the outputs for normalized images (B, 3, H, W), or clips, in float32."""
        if self.speed.channels_last and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return self._replayed("", self.network, images)

    def start(self, images: Tensor) -> Any:
        """Return what a video network returns for first frames."""
        network: Any = self.network
        return self._run(network.start, images)

    def step(self, images: Tensor, state: Any) -> Any:
        """Return what a video network returns for next frames and the state of their streams."""
        network: Any = self.network
        kind, parts = type(state), [getattr(state, each.name) for each in fields(state)]

        def step(images: Tensor, *parts: Tensor) -> Any:
            return network.step(images, kind(*parts))

        return self._replayed("step", step, images, *parts)

    def _replayed(self, name: str, call: Callable[..., Any], *inputs: Tensor) -> Any:
        """Run a part of the network as a graph, if graphs are wanted and not too many."""
        if not self.speed.cuda_graph:
            return self._run(call, *inputs)
        shape = (name, *inputs[0].shape)
        graph = self._graphs.get(shape)
        if graph is None and len(self._graphs) < _CAPTURED:
            graph = self._graphs[shape] = captured(partial(self._run, call))
        if graph is None:
            return self._run(call, *inputs)
        return map_outputs(graph(*inputs), Tensor.clone)  # the next call overwrites them

    def _run(self, call: Callable[..., Any], *inputs: Any) -> Any:
        # Weights that were cast in one graph are not there in the next.
        with autocast(self.precision, self.device, cache=not self.speed.cuda_graph):
            outputs = call(*inputs)
        outputs = in_float32(outputs)
        if isinstance(outputs, LocalGlobalOutputs) and self.precision != "float32":
            outputs = replace(outputs, attraction_network=self._cast(outputs.attraction_network))
        return outputs

    def _cast(self, network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(context: Tensor) -> Tensor:
            with autocast(self.precision, self.device):
                return network(context).float()

        return run


def fast_systems(systems: Sequence[System], speed: SpeedOptions) -> Sequence[System]:
    """Return systems that share one network with the network as options run it.

    By default, and if it is run so already, they are returned as they are.
    """
    model, wanted = systems[0].model, speed.of_network
    if wanted == SpeedOptions() or (isinstance(model, FastNetwork) and model.speed == wanted):
        return systems
    network = FastNetwork(model, wanted)
    return [replace(system, model=network) for system in systems]


def captured(forward: Forward) -> Forward:
    """Return a network on a GPU that is captured as a CUDA graph when it is first called.

    Each call overwrites what the last one returned, and takes tensors of the same shapes.
    """
    kept: list[Any] = []

    def replay(*inputs: Tensor) -> Any:
        if not kept:
            kept.extend(_capture(forward, inputs))
        graph, given, outputs = kept
        for mine, other in zip(given, inputs, strict=True):
            mine.copy_(other)
        graph.replay()
        return outputs

    return replay


def _capture(
    forward: Forward, inputs: Sequence[Tensor]
) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Any]:
    given, aside = [each.clone() for each in inputs], torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_BEFORE_CAPTURE):
            forward(*given)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = forward(*given)
    return graph, given, outputs


def map_outputs(outputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return outputs of a network, or a tuple of them, with each of their tensors changed."""
    if isinstance(outputs, Tensor):
        return change(outputs)
    if isinstance(outputs, tuple):
        return tuple(map_outputs(each, change) for each in outputs)
    if not is_dataclass(outputs) or isinstance(outputs, type):
        return outputs
    names = [each.name for each in fields(outputs)]
    return replace(outputs, **{n: map_outputs(getattr(outputs, n), change) for n in names})


def in_float32(outputs: Any) -> Any:
    """Return outputs of a network, or a tuple of them, with their tensors in float32."""
    return map_outputs(outputs, lambda each: each.float() if each.is_floating_point() else each)
