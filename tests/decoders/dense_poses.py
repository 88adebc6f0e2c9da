"""Outputs of a network that is always right, drawn from the people that it should find."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.map_coordinates import Frame
from poselib.outputs import RegressionOutputs
from poselib.structures import Poses

RADIUS = 4  # cells around a center that know its person


def dense_outputs(
    people: np.ndarray,
    image_size: tuple[int, int],
    stride: int = 4,
    frame: Frame = "center",
) -> RegressionOutputs:
    """Draw (B, N, K, 2) px: Gaussians, and exact offsets around the centers, 0 elsewhere."""
    points = torch.tensor(people, dtype=torch.float32)
    if frame == "index":  # cell i then has its middle where pixel stride * i has it
        points = points + stride / 2 - 0.5
    centers = points.mean(dim=2, keepdim=True)
    size = image_size[0] // stride, image_size[1] // stride
    heat, center = (
        gaussian_heatmaps(torch.cat([p, torch.ones_like(p[..., :1])], dim=-1), image_size, size, s)
        for p, s in ((points, 2.0), (centers, 4.0))
    )
    return RegressionOutputs(heat, center, _offsets(points, centers, size, stride), image_size)


def _offsets(points: Tensor, centers: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    cells = torch.stack([x, y], dim=-1)  # (h, w, 2)
    offsets = torch.zeros(len(points), points.shape[2], 2, *size)
    if points.shape[1] == 0:
        return offsets
    apart = (cells[None, None] - centers[:, :, :, None] / stride).norm(dim=-1)  # (B, N, h, w)
    least, owner = apart.min(dim=1)
    for image, (own, near) in enumerate(zip(owner, least <= RADIUS, strict=True)):
        to_cell = cells[:, :, None] - points[image][own] / stride  # (h, w, K, 2)
        offsets[image] = (to_cell * near[..., None, None]).permute(2, 3, 0, 1)
    return offsets


def scattered(
    images: int,
    people: int,
    keypoints: int = 17,
    image_size: tuple[int, int] = (256, 320),
    seed: int = 0,
) -> np.ndarray:
    """(B, N, K, 2) px, 5 and more from the border, of people whose centers are told apart."""
    rng = np.random.default_rng(seed)
    side = 40
    rows, columns = (n // side for n in image_size)
    places = [rng.permutation(rows * columns)[:people] for _ in range(images)]
    corner = np.stack([np.stack([p % columns, p // columns], axis=-1) for p in places]) * side
    reach = rng.uniform(20, 60, (images, people, 1, 1))
    spread = rng.uniform(-1, 1, (images, people, keypoints, 2))
    spread -= spread.mean(axis=2, keepdims=True)
    centers = corner + side / 2 + rng.uniform(-6, 6, (images, people, 2))
    points = centers[:, :, None] + reach * spread
    # Pulled towards the center, not cut off at the border: the center stays where it is.
    away = points - centers[:, :, None]
    limit = np.where(away > 0, np.array([image_size[1], image_size[0]]) - 5.0, 5.0)
    fit = ((limit - centers[:, :, None]) / away).min(axis=(2, 3), keepdims=True).clip(max=1)
    return (centers[:, :, None] + fit * away).astype(np.float32)


def by_place(poses: Poses) -> np.ndarray:
    """(N, K, 2) keypoints, people from left to right by their first ones."""
    return poses.keypoints[np.argsort(poses.keypoints[:, 0, 0])]
