"""Prediction: the network, decoding, and both with copies from and to the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from poselib.benchmarks.hardware.bench import Bench, Case, Row
from poselib.benchmarks.hardware.setups import EAGER, Setup
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs, LocalGlobalOutputs


def time_prediction(bench: Bench, name: str, batch: int, setup: Setup) -> Iterator[Row]:
    """Time a batch of images: the network, then everything from the images to poses on the host.

    An untrained network finds no one or people everywhere, so that what is decoded are synthetic
    maps of ``bench.people`` people; the network's own are computed and dropped.
    """
    case = bench.case(name, batch)
    forward, inputs = setup.prepare(case.system.model), case.inputs()
    drawn = case.outputs(bench.people)
    about = {"task": "inference", **case.about, "setup": setup.name, "people": bench.people}
    with setup.in_use(), torch.inference_mode():
        taken = bench.time(lambda: forward(inputs))
        yield about | {"part": "network"} | _rated(len(case.images), taken)

        def predict() -> object:
            outputs = forward(case.inputs())
            maps = drawn
            if isinstance(drawn, LocalGlobalOutputs):  # message passing runs as the network does
                maps = replace(drawn, attraction_network=outputs.attraction_network)
            return case.system.decode(maps)

        yield about | {"part": "end to end"} | _rated(len(case.images), bench.time(predict))


def time_decoding(bench: Bench, name: str, batch: int, people: int) -> Iterator[Row]:
    """Time decoding, from maps on the device to poses on the host."""
    case = bench.case(name, batch)
    maps = case.outputs(people)
    with EAGER.in_use(), torch.inference_mode():
        taken = bench.time(lambda: case.system.decode(maps))
    about = {"task": "decoding", **case.about, "part": "decoding", "people": people}
    yield about | {"setup": ""} | _rated(len(case.images), taken)


def time_stream(bench: Bench, batch: int, setup: Setup) -> Iterator[Row]:
    """Time the next frame of video streams, from its crops on the host to poses on the host."""
    case = bench.case("rpstn", batch)
    streams = Streams(case, setup)
    about = {"task": "stream", **case.about, "setup": setup.name, "people": 1}
    with setup.in_use(), torch.inference_mode():
        frame = case.inputs()[:, 0]
        yield about | {"part": "network"} | _rated(batch, bench.time(lambda: streams.step(frame)))
        crops = case.images[:batch]

        def follow() -> object:
            images = normalize(crops.to(bench.device, non_blocking=True))
            return case.system.decode(streams.step(images))

        yield about | {"part": "end to end"} | _rated(batch, bench.time(follow))


class Streams:
    """Video streams side by side, whose state each frame replaces.

    Args:
        case: of a video network.
        setup: how its step is run.
    """

    def __init__(self, case: Case, setup: Setup) -> None:
        self._network = setup.prepare(case.system.model)
        with torch.inference_mode():
            _, self._state = self._network.start(case.inputs()[:, 0])

    def step(self, images: Tensor) -> HeatmapOutputs:
        """Return the outputs for the next frame of each stream, (B, 3, H, W), normalized."""
        outputs, self._state = self._network.step(images, self._state)
        assert isinstance(outputs, HeatmapOutputs)
        return outputs


def _rated(images: int, row: Row) -> Row:
    """Add the images a second; those of clips are their frames."""
    return row | {"images_per_second": round(1000 * images / row["ms"], 2)}
