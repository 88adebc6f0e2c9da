"""Normalization of images by the channel statistics of ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor

# Channel mean and deviation of ImageNet, with which every published backbone was trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Normalize images to zero mean and unit deviation by the statistics of ImageNet.

    Args:
        images: (B, 3, H, W) uint8, RGB.

    Returns:
        (B, 3, H, W) float32.

    Raises:
        ValueError: the images are not uint8 with three channels.
    """
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images must be uint8 (B, 3, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    mean = torch.tensor(MEAN, device=images.device).mul_(255).view(1, 3, 1, 1)
    scale = torch.tensor(STD, device=images.device).mul_(255).reciprocal_().view(1, 3, 1, 1)
    return images.float().sub_(mean).mul_(scale)


def pixels(images: Tensor) -> Tensor:
    """Return the images (B, 3, H, W) uint8 that ``normalize`` was given."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return images.mul(std).add_(mean).mul_(255).round_().clamp_(0, 255).to(torch.uint8)
