"""Regression of keypoints from the centers of people."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.offsets import PersonSize, positive_cells
from poselib.structures import RegressionTargets

BETA = 1 / 9  # of the official code; the paper names the smooth L1 loss and gives none


def offset_loss(
    predicted: Tensor,
    targets: RegressionTargets,
    beta: float = BETA,
    size: PersonSize = "diagonal",
) -> Tensor:
    """Return the regression loss of a batch, divided by the size of each person (DEKR, Eq. 5).

    Only cells of center regions are read. Offsets are in cells and the size is in px of the
    network input, as in the official code: the published λ of 0.03 belongs to this pair of units.

    Args:
        predicted: (B, K, 2, h, w) float, in cells, (x, y): the cell minus the keypoint.
        targets: of the same batch.
        beta: errors below this many cells are squared.
        size: of a person; see ``ops.offsets.positive_cells``.

    Returns:
        The mean over the coordinates of labeled keypoints inside the image, of all owned cells
        of the batch, as in the official code, where Eq. (5) has a sum; 0 if there are none.

    Raises:
        ValueError: the shape is not that of the targets, beta is not positive, or the size is
            unknown.
    """
    batch, height, width = targets.center_assignment.shape
    expected = (batch, targets.keypoints.shape[2], 2, height, width)
    if tuple(predicted.shape) != expected:
        raise ValueError(f"predicted offsets {tuple(predicted.shape)} differ from {expected}")
    owned = positive_cells(targets, size)
    where = (owned.images, owned.rows, owned.columns)
    error = predicted.permute(0, 3, 4, 1, 2)[where] - owned.offsets
    return weighted_smooth_l1(error, owned.weights[..., None], beta)


def weighted_smooth_l1(error: Tensor, weight: Tensor, beta: float = BETA) -> Tensor:
    """Return the mean of ``weight * smooth_l1(error)`` over the errors whose weight is not 0.

    Args:
        error: (...) float.
        weight: float, not negative, of a shape that broadcasts to that of ``error``.
        beta: below it the loss is quadratic, above it linear.

    Raises:
        ValueError: beta is not positive.
    """
    if not beta > 0:
        raise ValueError(f"beta must be positive, not {beta}")
    loss = F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none") * weight
    return loss.sum() / (weight > 0).expand_as(error).sum().clamp(min=1)
