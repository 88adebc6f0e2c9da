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
        background: weight of cells whose target is below 1% of a peak. Below 1 the few
            foreground cells are heard sooner, which short trainings need.

    Returns:
        (B,) loss of each image.

    Raises:
        ValueError: the shapes of prediction and target differ.
    """
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted heatmaps {tuple(predicted.shape)} differ from targets {tuple(target.shape)}"
        )
    error = (predicted - target).square() * weight
    if background != 1.0:
        error = error * torch.where(target > 0.01, 1.0, background)
    return error.mean(dim=(1, 2, 3))
