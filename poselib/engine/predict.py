"""Prediction with flip and multi-scale testing: from images to poses in image pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from poselib.data.loaders import SampleSource, collate
from poselib.data.transforms import in_frame, letterbox, warp_sample
from poselib.ops.normalization import normalize
from poselib.structures import AffineTransform, Poses, Sample, Size
from poselib.systems import System

Views = tuple[Sample, ...]
# How many times longer than the short side the long side of an image may be: a strip one px high
# would take more memory than there is.
_LONGEST = 32
# Short side, px, of images for a system that does not know its own (HAE, Sec. IV-B).
_SIZE = 512


@dataclass(frozen=True)
class PredictOptions:
    """How images are presented to the network.

    Attributes:
        size: px to which the short side is resized; None for the system's ``input_size``, or 512
            (HAE, Sec. IV-B) if it has none.
        multiple: the image is padded to a multiple of this many px, or to one of up to four times
            as many that suits all ``scales``; None for the system's own.
        flip: average with the outputs of the mirrored image.
        scales: factors of ``size`` whose outputs are combined; 1 must be among them, since tags
            are taken from it.
        batch_size: images of one size predicted together.

    Raises:
        ValueError: a number is not positive or ``scales`` lacks 1.
    """

    size: int | None = None
    multiple: int | None = None
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    batch_size: int = 1

    def __post_init__(self) -> None:
        for name in ("size", "multiple", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"predict: {name} must be 1 or more, not {value}")
        if 1.0 not in self.scales or not all(0 < s < math.inf for s in self.scales):
            raise ValueError(f"predict: scales must be positive and include 1, not {self.scales}")

    def size_for(self, system: System) -> int:
        """Return the short side, px, at which a system is shown images."""
        return self.size or system.input_size or _SIZE

    def multiple_for(self, system: System) -> int:
        """Return the px to a multiple of which images are padded for a system."""
        return self.multiple or system.multiple


def predict(
    system: System,
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> list[Poses]:
    """Find the people in each image.

    Args:
        system: its model is put into evaluation mode, and on the device if one is given.
        samples: images; their labels are not used.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Returns:
        The poses of each sample, in px of the file it was read from.
    """
    return predict_variants([system], samples, options, device=device, progress=progress)[0]


def predict_variants(
    systems: Sequence[System],
    samples: SampleSource | Sequence[Sample],
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> list[list[Poses]]:
    """Find the people in each image by several decoders, with one forward pass of the network.

    Args:
        systems: share one network and differ in how they decode it.
        samples, options, device, progress: as in ``predict``.

    Returns:
        For each system, what ``predict`` returns.

    Raises:
        ValueError: there is no system, or two of them have different networks.
    """
    if not systems or any(system.model is not systems[0].model for system in systems):
        raise ValueError("predict: expected one system or more that share one network")
    first, options = systems[0], options or PredictOptions()
    first.model.to(device_of(first) if device is None else device).eval()
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with tqdm(total=len(samples), disable=not progress, desc="predict") as bar:
        for indices, views in _same_sized(first, samples, options):
            outputs = infer(first, views, options.flip)
            frames = [view[0].to_original for view in views]
            for system, mine in zip(systems, found, strict=True):
                for index, frame, poses in zip(
                    indices, frames, system.decode(outputs), strict=True
                ):
                    # The only place where poses leave the network's frame.
                    mine[index] = replace(poses.warped(frame), skeleton=system.skeleton)
            bar.update(len(indices))
    return [[mine[i] for i in range(len(samples))] for mine in found]


@torch.no_grad()
def infer(system: System, views: Sequence[Views], flip: bool) -> Any:
    """Return the network's outputs for a batch, combined over scales and mirrored images.

    Args:
        system: its model is in evaluation mode.
        views: of each image, from ``present``; those of one scale have the same size.
        flip: combine with the outputs of the mirrored images.
    """
    device, scales = device_of(system), []
    for each in zip(*views, strict=True):
        images = normalize(collate(each).images.to(device))
        outputs = system.model(images)
        if flip:
            mirrored = system.model(_mirrored(images, system.flip_shift))
            outputs = outputs.merge_flipped(mirrored.flip(system.skeleton))
        scales.append(outputs)
    return scales[0].merge_scales(scales[1:])


def _mirrored(images: Tensor, shift: int) -> Tensor:
    """Mirror images and shift them to the left; the last columns stay, as in DEKR's code."""
    images = images.flip(-1)
    if shift:
        images[..., :-shift] = images[..., shift:].clone()
    return images


def device_of(system: System) -> torch.device:
    """Return the device of a system's weights; the CPU if it has none."""
    return next((p.device for p in system.model.parameters()), torch.device("cpu"))


def present(system: System, sample: Sample, options: PredictOptions) -> Views:
    """Return the network inputs of an image: resized and padded, then at each other scale.

    Those of other scales show the same canvas, padding included, so that their maps cover the same
    area as those of the first. The canvas is padded so far that each of its sides, times each
    factor, is one that the network takes: nothing is stretched. Only for a factor that would take
    more than four times the usual multiple (as 0.7 does) is the canvas stretched, to the nearest
    size that the network takes.

    Raises:
        ValueError: the image is a strip, one side of which is far longer than the other.
    """
    if max(sample.size) > _LONGEST * min(sample.size):
        height, width = sample.size
        raise ValueError(
            f"an image of {width} x {height} px is too narrow: one side may be at most {_LONGEST} "
            "times the other"
        )
    multiple = options.multiple_for(system)
    step = int(getattr(system.model, "multiple", multiple))
    padded = next(
        (
            several * multiple
            for several in range(1, 5)
            if all(_divides(step, several * multiple * factor) for factor in options.scales)
        ),
        multiple,
    )
    base = letterbox(sample, options.size_for(system), padded, system.frame)
    return base, *(
        _at_scale(system, sample, base, factor, step) for factor in options.scales if factor != 1.0
    )


def _divides(step: int, length: float) -> bool:
    return abs(length - step * round(length / step)) < 1e-6


def _at_scale(system: System, sample: Sample, base: Sample, factor: float, step: int) -> Sample:
    """Return an image on the canvas of ``base`` times ``factor``, in multiples of ``step`` px."""
    height, width = (max(1, round(side * factor / step)) * step for side in base.size)
    stretch = np.diag([width / base.size[1], height / base.size[0], 1.0])[:2]
    # The factor applies to px of the network's frame: by stride * cell, of every scale, a decoder
    # then finds the same places.
    warp = in_frame(AffineTransform(stretch), system.frame)
    from_sample = sample.to_original.then(base.to_original.inverse())
    return warp_sample(
        sample, from_sample.then(warp), (height, width), antialias=system.frame == "center"
    )


def _same_sized(
    system: System, samples: SampleSource | Sequence[Sample], options: PredictOptions
) -> Iterator[tuple[list[int], list[Views]]]:
    """Yield the images in batches of one input size, with their indices."""
    waiting: dict[Size, list[tuple[int, Views]]] = {}
    for index in range(len(samples)):
        views = present(system, samples[index], options)
        group = waiting.setdefault(views[0].size, [])
        group.append((index, views))
        if len(group) == options.batch_size:
            yield [i for i, _ in group], [v for _, v in group]
            group.clear()
    for group in waiting.values():
        if group:
            yield [i for i, _ in group], [v for _, v in group]
