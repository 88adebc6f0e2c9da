"""How images are presented to a network, and its outputs for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poselib.data.collation import collate
from poselib.data.transforms import in_frame, letterbox, letterbox_size, warp_sample
from poselib.ops.map_coordinates import cell_stride
from poselib.ops.normalization import normalize
from poselib.structures import AffineTransform, Sample, Size
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
        batch_size: images of one size predicted together; videos side by side.
        renew: frames after which a video network forgets what it has seen and starts anew; None
            for never. Those of a window are shown in one region, as in training; in a stream, which
            does not know the boxes to come, the region follows the person all the same. Networks of
            images have no use for it.

    Raises:
        ValueError: a number is not positive or ``scales`` lacks 1.
    """

    size: int | None = None
    multiple: int | None = None
    flip: bool = True
    scales: tuple[float, ...] = (1.0,)
    batch_size: int = 1
    renew: int | None = None

    def __post_init__(self) -> None:
        names = ("size", "multiple", "batch_size", "renew")
        check_whole(self, *(name for name in names if getattr(self, name) is not None))
        if 1.0 not in self.scales or not all(0 < s < math.inf for s in self.scales):
            raise ValueError(f"scales must be positive and include 1, not {self.scales}")

    def for_system(self, system: System) -> PredictOptions:
        """Return the options without ``renew`` for a system of images, one of several methods."""
        return self if system.clips else replace(self, renew=None)

    def check_renew(self, system: System) -> None:
        """Raise ValueError if ``renew`` is given for a system that keeps no state."""
        if self.renew is not None and not system.clips:
            raise ValueError(
                f"renew={self.renew} is for video networks; {system.name!r} sees each image by "
                "itself"
            )

    def size_for(self, system: System) -> int:
        """Return the short side, px, at which a system is shown images."""
        return self.size or system.input_size or _SIZE

    def input_for(self, system: System) -> str:
        """Return in words what a system is shown, such as ``"network input 512 px"``."""
        if system.crop is not None:
            return f"crops of {system.crop[0]}x{system.crop[1]} px"
        return f"network input {self.size_for(system)} px"

    def multiple_for(self, system: System) -> int:
        """Return the px to a multiple of which images are padded for a system."""
        return self.multiple or system.multiple


def check_whole(options: object, *names: str) -> None:
    """Raise ValueError if one of these options is no whole number from 1 on."""
    for name in names:
        value = getattr(options, name)
        if not (isinstance(value, int | np.integer) and value >= 1):
            raise ValueError(f"{name} must be 1 or more and whole, not {value!r}")


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
            other = system.model(mirrored(images, system.flip_shift))
            outputs = outputs.merge_flipped(other.flip(system.skeleton))
        scales.append(outputs)
    aligned = {"aligned": True} if system.frame == "aligned" else {}  # of maps of tags alone
    return scales[0].merge_scales(scales[1:], **aligned)


def mirrored(images: Tensor, shift: int) -> Tensor:
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


def check_image_sizes(
    system: System, options: PredictOptions, paths: Sequence[Path], sizes: Sequence[Size]
) -> None:
    """Raise ValueError if an image file of (H, W) px cannot be presented to the network."""
    if system.crop is not None:
        return
    for path, size in zip(paths, sizes, strict=True):
        try:
            input_sizes(system, size, options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


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
    height, width = cell_stride(size, base.size, system.frame)
    stretch = np.diag([width, height, 1.0])[:2]
    # The factor applies to px of the network's frame: by stride * cell, of every scale, a decoder
    # then finds the same places.
    warp = in_frame(AffineTransform(stretch), system.frame)
    from_sample = sample.to_original.then(base.to_original.inverse())
    return warp_sample(sample, from_sample.then(warp), size, antialias=system.frame == "center")
