"""Target offsets of the positive cells: those in people's center regions (DEKR, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.ops.gaussians import keypoint_cells
from poselib.structures import RegressionTargets

PersonSize = Literal["diagonal", "area", "times_area"]


@dataclass(frozen=True)
class PositiveCells:
    """The M cells in people's center regions, and their regression targets.

    Attributes:
        images, rows, columns: (M,) int64, indices of each cell in maps (B, ..., h, w).
        offsets: (M, K, 2) float, in cells, (x, y): the cell's center minus the keypoint; 0 where
            the weight is.
        weights: (M, K) float, 1 over the person's size in px where the keypoint is labeled and
            inside the image (DEKR, Eq. 5), or what ``person_size`` says; 0 elsewhere.
    """

    images: Tensor
    rows: Tensor
    columns: Tensor
    offsets: Tensor
    weights: Tensor


def positive_cells(
    targets: RegressionTargets, person_size: PersonSize = "diagonal"
) -> PositiveCells:
    """Return the cells of all center regions with their target offsets and weights.

    Args:
        targets: of a batch.
        person_size: what weights are divided by. ``"diagonal"``: ``person_diagonals``, as in DEKR;
            ``"area"``: the square root of the person's area, as in LOGO-CAP's code. Sizes below
            that of a cell are set to it. ``"times_area"``: weights are the person's area instead,
            px², as LOGO-CAP's Eq. (5) is printed.

    Raises:
        ValueError: the person size is unknown.
    """
    if person_size not in get_args(PersonSize):
        known = get_args(PersonSize)
        raise ValueError(f"person_size must be one of {known}, not {person_size!r}")
    height, width = targets.center_assignment.shape[-2:]
    stride = (targets.image_size[0] / height, targets.image_size[1] / width)
    images, rows, columns = (targets.center_assignment >= 0).nonzero(as_tuple=True)
    people = targets.center_assignment[images, rows, columns]
    step = targets.keypoints.new_tensor([stride[1], stride[0]])
    _, counted = keypoint_cells(targets.keypoints, stride, (height, width))
    if person_size == "times_area":
        scales = targets.areas.clamp(min=0)
    else:
        diagonal = person_size == "diagonal"
        sizes = (
            person_diagonals(targets.keypoints, targets.areas) if diagonal else targets.areas.sqrt()
        )
        scales = 1 / sizes.clamp(min=min(stride))
    weights = counted * scales[..., None]

    centers = torch.stack([columns, rows], dim=-1) + 0.5
    offsets = centers[:, None] - targets.keypoints[images, people, :, :2] / step
    offsets = torch.where(counted[images, people][..., None], offsets, 0)
    return PositiveCells(images, rows, columns, offsets, weights[images, people])


def person_diagonals(keypoints: Tensor, areas: Tensor) -> Tensor:
    """Return the diagonal of each person's bounding box (DEKR, Eq. 5: Z).

    The box is that of the labeled keypoints, as in the official code; the paper has the instance's.
    Where few are labeled or left by a crop, it is too small: the diagonal is at least the side of a
    square of the person's area, a lower bound for any box that contains the person. The official
    code also counts a center row that is still zero, so that its boxes extend to the origin of the
    image file; this fault is not repeated.

    Args:
        keypoints: (B, N, K, 3) float, px and visibility.
        areas: (B, N) float, px².

    Returns:
        (B, N) px; 0 for people without area and with fewer than two labeled keypoints.
    """
    labeled = (keypoints[..., 2] > 0)[..., None]
    xy = keypoints[..., :2]
    low = torch.where(labeled, xy, torch.inf).amin(dim=-2)
    high = torch.where(labeled, xy, -torch.inf).amax(dim=-2)
    box = torch.where(labeled.any(dim=-2), high - low, 0)
    return torch.maximum(box.norm(dim=-1), areas.to(xy).clamp(min=0).sqrt())
