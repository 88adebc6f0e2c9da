"""Benchmarks of video: PoseTrack's AP, and the network that propagates poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poselib.annotations import AnnotationTable
from poselib.benchmarks.references.plain_posetrack import evaluate_plainly
from poselib.benchmarks.references.plain_propagation import propagate_plainly
from poselib.benchmarks.run import Benchmark
from poselib.benchmarks.workloads import random_people
from poselib.metrics.posetrack import posetrack_ap
from poselib.models.folding import fold
from poselib.models.pose_propagation import PropagationConfig, PropagationNetwork
from poselib.models.propagator import PropagationState
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses, Size
from poselib.wording import people_label

CLIP = 5  # frames
KEYPOINTS = 13  # of Penn Action
_SIZE = (480, 640)  # px, of frames
_HEAD = 30.0  # px, the sides of head boxes


def posetrack(frames: int, seed: int) -> Benchmark:
    """PoseTrack's AP of all parts: eight people a frame, nine in ten found, some twice."""
    found, table = posetrack_workload(frames, seed)
    fast = partial(posetrack_ap, found, table, POSETRACK18)
    slow = partial(evaluate_plainly, found, table, POSETRACK18)
    return Benchmark(f"PoseTrack's AP, {frames} frames", "cpu", fast, slow, _same_numbers)


def posetrack_workload(
    frames: int, seed: int, people: int = 8
) -> tuple[list[Poses], AnnotationTable]:
    """Make annotated frames with people and detections of these, some px off."""
    rng, kinds = np.random.default_rng(seed), len(POSETRACK18)
    points = random_people(rng, frames, people, kinds, _SIZE).astype(np.float64)
    flat = points.reshape(-1, kinds, 3)
    boxes = np.concatenate([flat[..., :2].min(axis=1), np.ptp(flat[..., :2], axis=1)], axis=1)
    aside = np.zeros(len(flat), bool)
    table = AnnotationTable(
        image_ids=tuple(range(frames)),
        keypoints=flat,
        boxes=boxes,
        areas=boxes[:, 2:].prod(axis=1),
        images=np.repeat(np.arange(frames), people),
        crowds=aside,
        ignored=aside,
        categories=np.zeros(len(flat), np.int64),
        head_boxes=np.concatenate([boxes[:, :2], np.full((len(flat), 2), _HEAD)], axis=1),
    )
    return [_detections(rng, each) for each in points], table


def _detections(rng: np.random.Generator, people: np.ndarray) -> Poses:
    rows = rng.choice(len(people), rng.binomial(len(people), 0.9), replace=False)
    rows = np.concatenate([rows, rows[rng.random(len(rows)) < 0.2]])
    xy = people[rows, :, :2] + rng.normal(0, _HEAD / 4, (len(rows), people.shape[1], 2))
    scores = rng.uniform(0.05, 1, xy.shape[:2]) * (rng.random(xy.shape[:2]) < 0.95)
    return Poses(xy.astype(np.float32), scores.astype(np.float32), np.ones(len(rows), np.float32))


def propagation_network(backbone: str, seed: int, **options: Any) -> PropagationNetwork:
    """Return RPSTN's network for 13 keypoints, in evaluation mode, whose relations do something."""
    torch.manual_seed(seed)
    config = PropagationConfig(backbone, initializer_backbone=backbone, **options)
    network = PropagationNetwork(KEYPOINTS, config).eval().requires_grad_(False)
    for module in (network.relation, network.output_norm):
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.fill_(0.5)
    return network


def clips_and_streams(backbone: str, size: Size, seed: int, device: str) -> list[Benchmark]:
    """A clip of 5 frames, and the next frame of a stream, beside clips in the official order.

    The official code has no streams: for each new frame it computes a clip.
    """
    network = propagation_network(backbone, seed).to(device)
    clip = torch.randn(1, CLIP, 3, *size, device=device)
    folded, slow = fold(network), _quietly(propagate_plainly, network, clip)
    state = _state(folded, clip[:, :-1])
    name = f"{backbone}, {size[0]}x{size[1]} px"
    whole = _quietly(folded, clip)
    step = _quietly(folded.step, clip[:, -1], state)
    return [
        Benchmark(f"clip of {CLIP} frames, {name}", device, whole, slow, _same_clip),
        Benchmark(f"next frame, {name}", device, step, slow, _same_frame),
    ]


def parts_of_a_step(
    backbone: str, size: Size, seed: int, device: str, people: Sequence[int] = (1, 10)
) -> list[Benchmark]:
    """A step of streams of some people in one batch, and of its relations alone, without baseline.

    The share of relations and the growth with the people are told by ``run.growth_of_times``.
    """
    folded = fold(propagation_network(backbone, seed).to(device))
    maps = torch.rand(1, KEYPOINTS, size[0] // 4, size[1] // 4, device=device)
    relate = _quietly(folded.relation, maps)
    found = [Benchmark("relations of a frame", device, relate)]
    for count in people:
        images = torch.randn(count, 2, 3, *size, device=device)
        step = _quietly(folded.step, images[:, 1], _state(folded, images[:, :1]))
        found.append(Benchmark(f"next frame of {people_label(count)}", device, step))
    return found


def length_of_streams(
    backbone: str, size: Size, seed: int, device: str, frames: int = 900
) -> list[Benchmark]:
    """Step two streams in turns: one that begins, and one that has run for some frames."""
    folded = fold(propagation_network(backbone, seed).to(device))
    image = torch.randn(1, 3, *size, device=device)
    late = Stepping(folded, image)
    for _ in range(frames):
        late()
    begun = Stepping(folded, image)
    return [
        Benchmark("a frame from the 1st on", device, begun),
        Benchmark(f"a frame from the {frames + 1}st on", device, late),
    ]


class Stepping:
    """A stream that is given one more frame at each call."""

    def __init__(self, network: PropagationNetwork, image: Tensor) -> None:
        self.network, self.image = network, image
        self.state = _state(network, image[:, None])

    def __call__(self) -> None:
        with torch.no_grad():
            _, self.state = self.network.step(self.image, self.state)


def _state(network: PropagationNetwork, clip: Tensor) -> PropagationState:
    """Return the state of streams after the frames of clips."""
    with torch.no_grad():
        _, state = network.start(clip[:, 0])
        for image in clip.unbind(1)[1:]:
            _, state = network.step(image, state)
    return state


def _quietly(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return torch.no_grad()(partial(work, *arguments))


def _same_numbers(fast: Any, slow: Any) -> bool:
    return np.allclose(list(fast.as_dict().values()), slow, rtol=0, atol=1e-12)


def _same_clip(fast: Any, slow: Any) -> bool:
    return _close(fast.heatmaps, slow.flatten(0, 1))


def _same_frame(fast: Any, slow: Any) -> bool:
    return _close(fast[0].heatmaps, slow[:, -1])


def _close(fast: Tensor, slow: Tensor) -> bool:
    return bool((fast - slow).abs().max() < 1e-5 * slow.abs().max())
