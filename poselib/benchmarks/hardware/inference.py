"""Prediction: the network, decoding, and both with copies from and to the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from poselib.benchmarks.hardware.bench import Bench, Case, Row
from poselib.benchmarks.hardware.setups import EAGER, Setup
from poselib.models.pose_propagation import PropagationNetwork
from poselib.models.propagator import PropagationState
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs


def time_prediction(bench: Bench, name: str, batch: int, setup: Setup) -> Iterator[Row]:
    """Time a batch of images: the network, then everything from the images to poses on the host.

    An untrained network finds no one or people everywhere, so that what is decoded are synthetic
    maps of ``bench.people`` people; the network's own are computed and dropped.
    """
    case = bench.case(name, batch)
    forward, inputs = setup.prepare(case.system.model), case.inputs()
    drawn = case.outputs(bench.people)
    about = {"task": "inference", **case.about, "setup": setup.name, "people": bench.people}
    with setup.flags(), torch.inference_mode():
        taken = bench.time(lambda: forward(inputs))
        yield about | {"part": "network"} | _rated(len(case.images), taken)

        def predict() -> object:
            forward(case.inputs())
            return case.system.decode(drawn)

        yield about | {"part": "end to end"} | _rated(len(case.images), bench.time(predict))


def time_decoding(bench: Bench, name: str, batch: int, people: int) -> Iterator[Row]:
    """Time decoding, from maps on the device to poses on the host."""
    case = bench.case(name, batch)
    maps = case.outputs(people)
    with EAGER.flags(), torch.inference_mode():
        taken = bench.time(lambda: case.system.decode(maps))
    about = {"task": "decoding", **case.about, "part": "decoding", "people": people}
    yield about | {"setup": ""} | _rated(len(case.images), taken)


def time_stream(bench: Bench, batch: int, setup: Setup) -> Iterator[Row]:
    """Time the next frame of video streams, from its crops on the host to poses on the host."""
    case = bench.case("rpstn", batch)
    streams = Streams(case, setup)
    about = {"task": "stream", **case.about, "setup": setup.name, "people": 1}
    with setup.flags(), torch.inference_mode():
        frame = case.inputs()[:, 0]
        yield about | {"part": "network"} | _rated(batch, bench.time(lambda: streams.step(frame)))
        crops = case.images[:batch]

        def follow() -> object:
            images = normalize(crops.to(bench.device, non_blocking=True))
            return case.system.decode(streams.step(images))

        yield about | {"part": "end to end"} | _rated(batch, bench.time(follow))


class _NextFrame(nn.Module):
    """From the next frame of streams and their state to its heatmaps and the new state."""

    def __init__(self, network: PropagationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, heatmaps: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        outputs, state = self.network.step(images, PropagationState(heatmaps, features))
        return outputs.heatmaps, state.features


class Streams:
    """Video streams side by side, whose state each frame replaces.

    Args:
        case: of a video network.
        setup: how its step is run.
    """

    @torch.inference_mode()
    def __init__(self, case: Case, setup: Setup) -> None:
        network = case.system.model
        assert isinstance(network, PropagationNetwork)
        outputs, state = network.start(case.inputs()[:, 0])
        self._outputs = replace(outputs, relations=None)
        self._state = (state.heatmaps, state.features)
        self._step = setup.prepare(_NextFrame(network))

    def step(self, images: Tensor) -> HeatmapOutputs:
        """Return the outputs for the next frame of each stream, (B, 3, H, W), normalized."""
        self._state = self._step(images, *self._state)
        return replace(self._outputs, heatmaps=self._state[0])


def _rated(images: int, row: Row) -> Row:
    """Add the images a second; those of clips are their frames."""
    return row | {"images_per_second": round(1000 * images / row["ms"], 2)}
