"""Smooth L1 loss of the offsets regressed around people's centers, normalized by person size."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.map_coordinates import CropFrame, cell_stride, px_to_map
from poselib.ops.offsets import PersonSize, positive_cells
from poselib.ops.processes import Count, shared_count
from poselib.structures import RegressionTargets, Size

Reduction = Literal["mean", "sum"]

BETA = 1 / 9  # of the official code; the paper names the smooth L1 loss and gives none


def offset_loss(
    predicted: Tensor,
    targets: RegressionTargets,
    beta: float = BETA,
    person_size: PersonSize = "diagonal",
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Compute the offset regression loss of a batch (DEKR, Eq. 5).

    .. math::
        \ell_p = \frac{1}{|C|} \sum_{i \in C} \frac{1}{Z_i} \mathrm{smooth}_{L_1}(o_i - o_i^*)

    Only cells of center regions, the positive cells :math:`C`, are read. Offsets are in cells and
    the person size :math:`Z` in px of the network input, as in the official code: the published
    λ of 0.03 belongs to this pair of units.

    Args:
        predicted: (B, K, 2, h, w) float, in cells, (x, y): the cell minus the keypoint.
        targets: of the same batch.
        beta: errors below this many cells are squared.
        person_size: what normalizes the error; see ``ops.offsets.positive_cells``.
        reduction: ``"mean"`` over all coordinates of labeled keypoints inside the image, as in the
            official implementations; ``"sum"`` over the coordinates of a cell, in the mean over the
            positive cells, as the papers have it (DEKR, Eq. 5; LOGO-CAP, Eq. 6).

    Returns:
        Scalar; 0 if no cell is positive or no keypoint of theirs is labeled and inside the image.

    Raises:
        ValueError: the shape is not that of the targets, beta is not positive, or the person size
            or the reduction is unknown.

    Example:
        >>> targets = RegressionTargets(
        ...     heatmaps=(torch.zeros(1, 2, 4, 4),), masks=(torch.ones(1, 2, 4, 4),),
        ...     keypoints=torch.tensor([[[[6.0, 6.0, 2.0]]]]), areas=torch.tensor([[16.0]]),
        ...     image_size=(16, 16), centers=torch.tensor([[[6.0, 6.0, 1.0]]]),
        ...     center_assignment=torch.full((1, 4, 4), -1),
        ... )
        >>> targets.center_assignment[0, 1, 1] = 0  # a positive cell centered on the keypoint
        >>> offset_loss(torch.ones(1, 1, 2, 4, 4), targets, beta=1.0)  # 0.5 cells² / 4 px
        tensor(0.1250)
    """
    height, width = targets.center_assignment.shape[-2:]
    expected = (len(targets.keypoints), targets.keypoints.shape[2], 2, height, width)
    if tuple(predicted.shape) != expected:
        raise ValueError(f"predicted offsets {tuple(predicted.shape)} differ from {expected}")
    check_reduction(reduction)
    positive = positive_cells(targets, person_size)
    cells = (positive.images, positive.rows, positive.columns)
    error = predicted.permute(0, 3, 4, 1, 2)[cells] - positive.offsets
    count = None if reduction == "mean" else shared_count(len(error), error.device)
    return weighted_smooth_l1(error, positive.weights[..., None], beta, count)


def check_reduction(reduction: str) -> None:
    """Raise ``ValueError`` for an unknown reduction."""
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be one of {get_args(Reduction)}, not {reduction!r}")


def weighted_smooth_l1(
    error: Tensor, weight: Tensor, beta: float = BETA, count: Count | None = None
) -> Tensor:
    """Compute the mean of ``weight * smooth_l1(error)`` over the errors whose weight is not 0.

    Args:
        error: (...) float.
        weight: float, not negative, of a shape that broadcasts to that of ``error``.
        beta: below it the loss is quadratic, above it linear.
        count: what to divide the sum by instead; see ``ops.processes.shared_count``.

    Returns:
        Scalar; 0 if all weights are.

    Raises:
        ValueError: beta is not positive.

    Example:
        >>> weighted_smooth_l1(torch.tensor([0.5, 3.0]), torch.tensor([1.0, 0.0]), beta=1.0)
        tensor(0.1250)
    """
    if not beta > 0:
        raise ValueError(f"beta must be positive, not {beta}")
    loss = F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none") * weight
    if count is None:
        count = shared_count((weight > 0).expand_as(error).sum())
    return loss.sum() / count


def keypoint_offset_mse(
    predicted: Tensor,
    keypoints: Tensor,
    weight: Tensor,
    image_size: Size,
    frame: CropFrame = "center",
    unit: float = 1.0,
) -> Tensor:
    r"""Compute the squared error of the offsets of each keypoint of one person, x plus y.

    .. math::
        \ell = \frac{1}{K h w} \sum_{k, c} w_k(c)
            \left\lVert \frac{o_k(c) - (c - p_k)}{u} \right\rVert^2

    with cells c, predicted offsets o, weights w, keypoints p in cells and the unit u.

    Args:
        predicted: (B, K, 2, h, w) float, in cells, (x, y): the cell minus the keypoint.
        keypoints: (B, K, 3), px of the network input and visibility.
        weight: (B, K, h, w), 0 where the loss does not count; the mean is over all cells.
        image_size: (H, W) of the network input, px.
        frame: what a cell stands for.
        unit: cells by which errors are divided.

    Returns:
        (B,) loss of each image.

    Example:
        >>> keypoints = torch.tensor([[[6.0, 2.0, 2.0]]])  # a cell right of the middle of the cell
        >>> zeros, weight = torch.zeros(1, 1, 2, 1, 1), torch.ones(1, 1, 1, 1)
        >>> keypoint_offset_mse(zeros, keypoints, weight, (4, 4))
        tensor([1.])
    """
    height, width = predicted.shape[-2:]
    stride = cell_stride(image_size, (height, width), frame)
    points = px_to_map(keypoints[..., :2], stride, frame) - 0.5
    y, x = (torch.arange(n, device=predicted.device) for n in (height, width))
    cells = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # (2, h, w)
    errors = (predicted - cells + points[..., None, None]) / unit
    return (errors.square() * weight[:, :, None]).mean(dim=(1, 3, 4)).sum(dim=1)
