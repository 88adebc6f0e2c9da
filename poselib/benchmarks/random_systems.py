"""Systems with random weights, and outputs of them that hold a given number of people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.workloads import decode_inputs
from poselib.engine.seed import seed_everything
from poselib.engine.timing import Device
from poselib.outputs import HeatmapOutputs, LocalGlobalOutputs, RegressionOutputs, TagOutputs
from poselib.skeletons import Skeleton
from poselib.systems import OptionValue, System, build

Network = tuple[str, str]  # key in ``poselib.systems.SYSTEMS``, and its backbone

_SCENES = 4  # different ones in a batch; more images repeat them


def random_system(
    network: Network, skeleton: Skeleton, seed: int, device: Device, **options: OptionValue
) -> System:
    """Return a system with random weights, ready to predict on a device."""
    seed_everything(seed)
    system = build(network[0], skeleton, backbone=network[1], **options)
    system.model.to(device).eval().requires_grad_(False)
    return system


def synthetic_outputs(
    system: System, image: Tensor, people: int, seed: int
) -> TagOutputs | RegressionOutputs | HeatmapOutputs:
    """Return synthetic outputs that contain ``people`` detections per image.

    They have the size, number and kind of the network's own outputs: an untrained network detects
    either no one or people everywhere. Message passing is the network's own. More than four images
    repeat the first four scenes. Of a network that is shown one person, whose decoding takes as
    long whatever the maps are, they are its own.

    Args:
        system: on the device of the image.
        image: (B, 3, H, W), of clips their frames.
        people: in each image.
    """
    with torch.no_grad():
        own = system.run(image, system.frames)
    if isinstance(own, HeatmapOutputs):
        return own
    size, scenes = own.image_size, min(len(image), _SCENES)
    shared: dict[str, Any] = {"keypoints": len(system.skeleton), "images": scenes}
    shared |= {"seed": seed, "device": image.device}
    if isinstance(own, TagOutputs):
        drawn = decode_inputs(people, size, length=own.tags.shape[2], **shared)
        tags = drawn.resized_tags((own.tags.shape[3], own.tags.shape[4]))
        drawn = replace(drawn.resize(own.resolution), tags=tags)
        heatmaps = tuple(_repeated(heat, len(image)) for heat in drawn.heatmaps)
        return replace(drawn, heatmaps=heatmaps, tags=_repeated(drawn.tags, len(image)))
    stride = size[0] // own.heatmaps.shape[-2]
    wide = own.embedding.shape[1] if isinstance(own, LocalGlobalOutputs) else 1
    made = adapt_inputs(people, size, embedding=wide, stride=stride, **shared)
    names = ("heatmaps", "centers", "offsets")
    maps: dict[str, Any] = {name: _repeated(getattr(made, name), len(image)) for name in names}
    if not isinstance(own, LocalGlobalOutputs):
        return RegressionOutputs(**maps, image_size=size)
    maps |= {"embedding": _repeated(made.embedding, len(image))}
    maps |= {"attraction_network": own.attraction_network}
    return LocalGlobalOutputs(**maps, image_size=size)


def _repeated(maps: Tensor, images: int) -> Tensor:
    """Repeat the maps of the first images, along the first axis."""
    return (
        maps[torch.arange(images, device=maps.device) % len(maps)] if images > len(maps) else maps
    )
