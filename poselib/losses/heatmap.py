"""Mean squared error of heatmaps."""

from __future__ import annotations

import torch
from torch import Tensor


def heatmap_mse(
    predicted: Tensor, target: Tensor, weight: Tensor, background: float = 1.0
) -> Tensor:
    r"""Compute the weighted mean squared error of each image's heatmaps.

    .. math::
        \ell = \frac{1}{K h w} \sum_{k, x} w_k(x) \left( H_k(x) - H_k^*(x) \right)^2

    Args:
        predicted: (B, K, h, w) float.
        target: (B, K, h, w) float, Gaussian heatmaps.
        weight: (B, 1, h, w) or (B, K, h, w) float; 0 where the loss must not count. As in the
            official implementations the mean is over all cells: ignored cells count as solved.
        background: weight of cells near no keypoint of any type (all targets below 1% of a peak).
            Values below 1 down-weight the background, which speeds up short trainings. Cells near
            a keypoint of any type keep their full weight: otherwise a map would hardly be penalized
            for responding to the keypoint of the other side.

    Returns:
        (B,) loss of each image.

    Raises:
        ValueError: the shapes of prediction and target differ.

    Example:
        >>> predicted, target = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
        >>> target[0, 0, 0, 0] = 1.0
        >>> heatmap_mse(predicted, target, torch.ones(1, 1, 2, 2))
        tensor([0.2500])
    """
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted heatmaps {tuple(predicted.shape)} differ from targets {tuple(target.shape)}"
        )
    if background != 1.0:
        near = target.amax(dim=1, keepdim=True) > 0.01
        weight = weight * torch.where(near, 1.0, background)
    return ((predicted - target).square() * weight).mean(dim=(1, 2, 3))
