"""Prediction with flip and multi-scale testing: from images to poses in image pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from poselib.data.loaders import SampleSource, collate
from poselib.data.transforms import in_frame, letterbox, letterbox_size, warp_sample
from poselib.ops.console import out_of_memory
from poselib.ops.normalization import normalize
from poselib.structures import AffineTransform, Poses, Sample, Size
from poselib.systems import System

Views = tuple[Sample, ...]
# How many times longer than the short side the long side of an image may be: a strip one px high
# would take more memory than there is.
_LONGEST = 32
# Pixels that an image may have in the network: a checkpoint or an option that states a size of a
# million would otherwise end the process.
_MOST_PIXELS = 2**26
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
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise ValueError(f"{name} must be 1 or more and whole, not {value!r}")
        if 1.0 not in self.scales or not all(0 < s < math.inf for s in self.scales):
            raise ValueError(f"scales must be positive and include 1, not {self.scales}")

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
        ValueError: there is no system, two of them have different networks, or an image cannot be
            presented.
        MemoryError: the memory does not suffice; the message says for what.
    """
    if not systems or any(system.model is not systems[0].model for system in systems):
        raise ValueError("predict: expected one system or more that share one network")
    first, options = systems[0], options or PredictOptions()
    first.model.to(device_of(first) if device is None else device).eval()
    found: list[dict[int, Poses]] = [{} for _ in systems]
    with tqdm(total=len(samples), disable=not progress, desc="predict") as bar:
        for indices, views in _same_sized(first, samples, options):
            with _memory_of(views, first):
                outputs = infer(first, views, options.flip)
                decoded = [system.decode(outputs) for system in systems]
            frames = [view[0].to_original for view in views]
            for system, mine, several in zip(systems, found, decoded, strict=True):
                for index, frame, poses in zip(indices, frames, several, strict=True):
                    # The only place where poses leave the network's frame.
                    mine[index] = replace(poses.warped(frame), skeleton=system.skeleton)
            bar.update(len(indices))
    return [[mine[i] for i in range(len(samples))] for mine in found]


@contextmanager
def _memory_of(views: Sequence[Views], system: System) -> Iterator[None]:
    """Say in one sentence what the memory does not suffice for."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        height, width = max((view.size for view in views[0]), key=math.prod)
        raise MemoryError(
            f"image {views[0][0].image_id}: {len(views)} of {width} x {height} px need more memory "
            f"than {device_of(system)} has: choose a smaller size or fewer, smaller scales"
        ) from error


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


def input_sizes(system: System, image: Size, options: PredictOptions) -> tuple[Size, ...]:
    """Return the sizes (H, W), px, at which an image (H, W) is presented, one for each scale.

    Raises:
        ValueError: the image is a strip, one side of which is far longer than the other, or would
            be too large for the memory.
    """
    height, width = image
    if max(image) > _LONGEST * min(image):
        raise ValueError(
            f"an image of {width} x {height} px is too narrow: one side may be at most {_LONGEST} "
            "times the other"
        )
    size, step = options.size_for(system), _step(system, options)
    base = letterbox_size(image, size, _padded_multiple(system, options))
    sizes = [base]
    for factor in options.scales:
        if factor != 1.0:
            rows, columns = (max(1, round(side * factor / step)) * step for side in base)
            sizes.append((rows, columns))
    largest = max(sizes, key=math.prod)
    if math.prod(largest) > _MOST_PIXELS:
        raise ValueError(
            f"an image of {width} x {height} px would become {largest[1]} x {largest[0]} px at "
            f"size {size} and scales {options.scales}: more than {_MOST_PIXELS} px in all"
        )
    return tuple(sizes)


def present(system: System, sample: Sample, options: PredictOptions) -> Views:
    """Return the network inputs of an image: resized and padded, then at each other scale.

    Those of other scales show the same canvas, padding included, so that their maps cover the same
    area as those of the first. The canvas is padded so far that each of its sides, times each
    factor, is one that the network takes: nothing is stretched. Only for a factor that would take
    more than four times the usual multiple (as 0.7 does) is the canvas stretched, to the nearest
    size that the network takes.

    Raises:
        ValueError: as ``input_sizes`` does; the message names the image.
    """
    try:
        _, *others = input_sizes(system, sample.size, options)
    except ValueError as error:
        raise ValueError(f"image {sample.image_id}: {error}") from error
    padded = _padded_multiple(system, options)
    base = letterbox(sample, options.size_for(system), padded, system.frame)
    return base, *(_on_canvas(system, sample, base, size) for size in others)


def _step(system: System, options: PredictOptions) -> int:
    """Return the px to a multiple of which the network takes images."""
    return int(getattr(system.model, "multiple", options.multiple_for(system)))


def _padded_multiple(system: System, options: PredictOptions) -> int:
    """Return the px to a multiple of which images are padded, so that no scale stretches them."""
    multiple, step = options.multiple_for(system), _step(system, options)
    return next(
        (
            several * multiple
            for several in range(1, 5)
            if all(_divides(step, several * multiple * factor) for factor in options.scales)
        ),
        multiple,
    )


def _divides(step: int, length: float) -> bool:
    return abs(length - step * round(length / step)) < 1e-6


def _on_canvas(system: System, sample: Sample, base: Sample, size: Size) -> Sample:
    """Return an image on the canvas of ``base`` at another size (H, W)."""
    height, width = size
    stretch = np.diag([width / base.size[1], height / base.size[0], 1.0])[:2]
    # The factor applies to px of the network's frame: by stride * cell, of every scale, a decoder
    # then finds the same places.
    warp = in_frame(AffineTransform(stretch), system.frame)
    from_sample = sample.to_original.then(base.to_original.inverse())
    return warp_sample(sample, from_sample.then(warp), size, antialias=system.frame == "center")


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
