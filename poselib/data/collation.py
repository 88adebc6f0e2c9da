"""Batches of samples and clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from poselib.structures import Batch, Clip, Sample


def collate(items: Sequence[Sample] | Sequence[Clip], *, channels_last: bool = False) -> Batch:
    """Stack samples, or the frames of clips, into a batch; pad people with visibility 0.

    Args:
        items: samples of one size, or clips.
        channels_last: keep each pixel's three values together in memory, as images are read and
            resampled: the shape is the same, and nothing is reordered.

    Raises:
        ValueError: no samples, they differ in image size, number of keypoints or frames, or the
            keypoints or areas of one are not finite.
    """
    if not items:
        raise ValueError("a batch needs at least one sample")
    clips = [item.frames if isinstance(item, Clip) else (item,) for item in items]
    if len(counts := sorted({len(frames) for frames in clips})) > 1:
        raise ValueError(f"clips of one batch differ in frames: {counts}")
    samples = [sample for frames in clips for sample in frames]
    _check_alike(samples)
    people = max(len(sample.keypoints) for sample in samples)
    keypoints = np.zeros((len(samples), people, *samples[0].keypoints.shape[1:]), np.float32)
    areas = np.zeros((len(samples), people), np.float32)
    for b, sample in enumerate(samples):
        keypoints[b, : len(sample.keypoints)] = sample.keypoints
        areas[b, : len(sample.areas)] = sample.areas
    return Batch(
        images=_stack_images(samples, channels_last),
        keypoints=torch.from_numpy(keypoints),
        areas=torch.from_numpy(areas),
        ignore_mask=torch.from_numpy(np.stack([s.ignore_mask for s in samples])),
        image_ids=tuple(s.image_id for s in samples),
        to_original=tuple(s.to_original for s in samples),
        frames=counts[0],
    )


def _stack_images(samples: Sequence[Sample], channels_last: bool) -> Tensor:
    if channels_last:
        pixels = np.empty((len(samples), *samples[0].size, 3), np.uint8)
        np.stack([sample.image.transpose(1, 2, 0) for sample in samples], out=pixels)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return torch.from_numpy(np.stack([np.ascontiguousarray(s.image) for s in samples]))


def _check_alike(samples: Sequence[Sample]) -> None:
    first = samples[0]
    for sample in samples:
        for name, values in (("keypoints", sample.keypoints), ("areas", sample.areas)):
            if not np.isfinite(values).all():
                raise ValueError(f"image {sample.image_id}: its {name} are not finite")
        if sample.size != first.size:
            raise ValueError(
                f"images {first.image_id} and {sample.image_id} differ in size, {first.size} and "
                f"{sample.size}; bring them to one size or use batch_size=1"
            )
        if sample.keypoints.shape[1] != first.keypoints.shape[1]:
            raise ValueError(
                f"images {first.image_id} and {sample.image_id} differ in keypoints, "
                f"{first.keypoints.shape[1]} and {sample.keypoints.shape[1]}"
            )
