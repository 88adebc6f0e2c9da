"""Synthetic inputs of realistic size for benchmarks, made from a seed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from poselib.engine.timing import Device
from poselib.losses.associative import (
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import PullOptions
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.outputs import TagOutputs
from poselib.structures import AffineTransform, Batch, Size

# As published: options, and λ of Eq. (11).
FOCAL, HIGH_WEIGHT = PullOptions(alpha=2.0, per_keypoint=True), 1.5

_STRIDE = 2  # of a network's finest maps, which are enlarged before decoding
_SIGMA = 8.0  # of the Gaussians, px
_NOISE = 0.02  # background heat lies between 0 and this
_SPACING = 1.0  # between the tag of one person and the next
_SPREAD = 0.05  # of the tags of one person
_PATCH = 32  # cells over which the tags of the background change


def decode_inputs(
    people: int,
    size: Size = (512, 704),
    *,
    keypoints: int = 17,
    length: int = 2,
    images: int = 1,
    missing: float = 0.15,
    seed: int = 0,
    device: Device = "cpu",
) -> TagOutputs:
    """Make heatmaps and tags of scenes with people, at the resolution of the image.

    They are made at stride 2 and upsampled, like those of a network: Gaussians of 8 px with peaks
    of 0.5 to 1 over noise of up to 0.02. Tags of different people are 1 apart; the keypoints of a
    person share its tag with a standard deviation of 0.05. Between people, tags vary slowly over
    their range.

    Args:
        people, keypoints, images: N in each image, K and B.
        length: tags per keypoint, L; 2 after flip testing.
        missing: fraction of keypoints without a peak.

    Raises:
        ValueError: the size is not even.
    """
    if size[0] % _STRIDE or size[1] % _STRIDE:
        raise ValueError(f"size must be even numbers of px, not {size}")
    rng = np.random.default_rng(seed)
    points = random_people(rng, images, people, keypoints, size, missing)
    scenes = [_scene(rng, torch.from_numpy(each), length, size) for each in points]
    heat, tags = (
        _enlarged(torch.stack(maps), size).to(device) for maps in zip(*scenes, strict=True)
    )
    return TagOutputs((heat,), tags, size)


def random_people(
    rng: np.random.Generator,
    images: int,
    people: int,
    keypoints: int,
    size: Size,
    missing: float = 0.15,
) -> NDArray[np.float32]:
    """Scatter keypoints over boxes, half as wide as high, of a third to two thirds of the image.

    Returns:
        (B, N, K, 3) float32, px of an image of (H, W) = ``size`` and visibility, 0 or 2.
    """
    room = np.array([size[1], size[0]])
    height = size[0] * rng.uniform(1 / 3, 2 / 3, (images, people, 1, 1))
    extent = np.minimum(height * np.array([0.5, 1.0]), room)
    corner = rng.random((images, people, 1, 2)) * (room - extent)
    xy = corner + extent * rng.random((images, people, keypoints, 2))
    seen = 2 * (rng.random((images, people, keypoints, 1)) >= missing)
    return np.concatenate([xy, seen], axis=-1).astype(np.float32)


def loss_inputs(
    batch: int = 8,
    people: int = 10,
    size: Size = (512, 512),
    *,
    keypoints: int = 17,
    length: int = 1,
    stride: int = 4,
    seed: int = 0,
    device: Device = "cpu",
) -> tuple[Tensor, Tensor]:
    """Make tagmaps of noise and the labeled people of a training batch.

    Args:
        batch, people, keypoints, length: B, N, K, and tags per keypoint, L.
        size: (H, W) of the network input, px.
        stride: px per cell of the tagmaps.

    Returns:
        Tags (B, K, L, h, w) float32, which require a gradient, and keypoints (B, N, K, 3) float32,
        px and visibility.
    """
    rng = np.random.default_rng(seed)
    shape = (batch, keypoints, length, size[0] // stride, size[1] // stride)
    tags = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(device)
    points = random_people(rng, batch, people, keypoints, size)
    return tags.requires_grad_(), torch.from_numpy(points).to(device)


def associative_step(tags: Tensor, keypoints: Tensor, size: Size, groups: Tensor) -> Tensor:
    """Return the gradient of the hierarchical associative loss with respect to the tags.

    Forward and backward from tagmaps and keypoints, as in training with the published weights
    (HAE, Eq. 17).

    Args:
        tags, keypoints: of ``loss_inputs``.
        size: (H, W) of the network input, px.
        groups: (K,) int64, the group of each keypoint.
    """
    values, visible = tags_at_keypoints(tags, keypoints, size)
    low, high = hierarchical_pull(values, visible, groups, FOCAL)
    references = masked_mean(values, visible, dim=2)
    push = push_loss(references, visible.any(dim=-1))
    loss = push.mean() + low.mean() + HIGH_WEIGHT * high.mean()
    return torch.autograd.grad(loss, tags)[0]


def target_inputs(
    batch: int, people: int, size: Size, *, keypoints: int = 17, frames: int = 1, seed: int = 0
) -> Batch:
    """Make black images (H, W) = ``size`` px with labeled people, to be encoded.

    Args:
        batch: B images, of clips of ``frames``.
        people, keypoints: N in each image, and K.
    """
    rng = np.random.default_rng(seed)
    return Batch(
        images=torch.zeros((batch, 3, *size), dtype=torch.uint8),
        keypoints=torch.from_numpy(random_people(rng, batch, people, keypoints, size)),
        areas=torch.full((batch, people), size[0] * size[1] / 16),
        ignore_mask=torch.zeros((batch, *size), dtype=torch.bool),
        image_ids=tuple(range(batch)),
        to_original=(AffineTransform.identity(),) * batch,
        frames=frames,
    )


def _scene(
    rng: np.random.Generator, people: Tensor, length: int, size: Size
) -> tuple[Tensor, Tensor]:
    """Return one scene's heatmaps (K, h, w) and tags (K, L, h, w) at stride 2."""
    count, kinds, _ = people.shape
    maps = (size[0] // _STRIDE, size[1] // _STRIDE)
    base = _SPACING * (rng.permutation(count) - (count - 1) / 2)
    own = as_float32(base[:, None, None] + _SPREAD * rng.standard_normal((count, kinds, length)))
    heights = as_float32(rng.uniform(0.5, 1, (count, kinds, 1, 1)))
    heatmaps = torch.zeros(kinds, *maps)
    tags = _background(rng, (kinds, length, *maps), _SPACING * count / 2)
    noise = as_float32(_SPREAD * rng.standard_normal(tags.shape))
    for person, tag, height in zip(people, own, heights, strict=True):
        peaks = gaussian_heatmaps(person[None, None], size, maps, _SIGMA / _STRIDE)[0] * height
        nearest = (peaks > heatmaps) & (peaks > _NOISE)
        heatmaps = torch.maximum(heatmaps, peaks)
        tags = torch.where(nearest[:, None], tag[:, :, None, None], tags)
    return heatmaps + as_float32(rng.uniform(0, _NOISE, heatmaps.shape)), tags + noise


def _background(rng: np.random.Generator, shape: tuple[int, int, int, int], limit: float) -> Tensor:
    """Return (K, L, h, w) tags between -limit and limit that vary slowly over the map."""
    nodes = [max(2, side // _PATCH) for side in shape[2:]]
    return _enlarged(as_float32(rng.uniform(-limit, limit, (*shape[:2], *nodes))), shape[2:])


def as_float32(values: NDArray[np.float64]) -> Tensor:
    """Return an array as a tensor in single precision."""
    return torch.from_numpy(values.astype(np.float32))


def _enlarged(maps: Tensor, size: Size) -> Tensor:
    """Resize the last two axes."""
    flat = maps.flatten(0, -3)[None]
    large = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)[0]
    return large.unflatten(0, maps.shape[:-2])
