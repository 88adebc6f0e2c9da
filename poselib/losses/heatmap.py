"""Regression of heatmaps."""

from __future__ import annotations

import torch
from torch import Tensor


def heatmap_mse(
    predicted: Tensor, target: Tensor, weight: Tensor, background: float = 1.0
) -> Tensor:
    """Return the masked mean squared error of each image's heatmaps.

    Args:
        predicted: (B, K, h, w) float.
        target: (B, K, h, w) float, Gaussian heatmaps.
        weight: (B, 1, h, w) or (B, K, h, w) float; 0 where the loss must not count. The mean is
            over all cells, as in the official code, so ignored cells count as solved.
        background: weight of cells near no keypoint of any type (all targets below 1% of a peak).
            Below 1 the few other cells are heard sooner, which short trainings need. Near any
            keypoint every type counts fully, or a map would hardly pay for its heat on keypoints
            of the other side.

    Returns:
        (B,) loss of each image.

    Raises:
        ValueError: the shapes of prediction and target differ.
    """
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted heatmaps {tuple(predicted.shape)} differ from targets {tuple(target.shape)}"
        )
    if background != 1.0:
        near = target.amax(dim=1, keepdim=True) > 0.01
        weight = weight * torch.where(near, 1.0, background)
    return ((predicted - target).square() * weight).mean(dim=(1, 2, 3))
