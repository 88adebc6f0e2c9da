"""Target offsets of the positive cells: those in people's center regions (DEKR, Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poselib.ops.gaussians import keypoint_cells
from poselib.ops.map_coordinates import px_to_map
from poselib.structures import AffineTransform, RegressionTargets

PersonSize = Literal["diagonal", "area", "origin", "times_area"]


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
            ``"area"``: the square root of the person's area, as in LOGO-CAP's code; ``"origin"``:
            the diagonal of the box of the labeled keypoints and the corner (0, 0) of the image
            file, as in DEKR's code by a fault. Sizes below that of a cell are set to it.
            ``"times_area"``: weights are the person's area instead,
            px², as LOGO-CAP's Eq. (5) is printed.

    Raises:
        ValueError: the person size is unknown; and as ``squared_sizes``.
    """
    if person_size not in get_args(PersonSize):
        known = get_args(PersonSize)
        raise ValueError(f"person_size must be one of {known}, not {person_size!r}")
    height, width = targets.center_assignment.shape[-2:]
    stride = (targets.image_size[0] / height, targets.image_size[1] / width)
    owners = targets.center_assignment
    owners = owners[:, None] if owners.ndim == 3 else owners  # of all keypoint types, or of each
    images, rows, columns = (owners >= 0).any(dim=1).nonzero(as_tuple=True)
    people = owners[images, :, rows, columns]  # (M, 1) or (M, K)
    kinds = torch.arange(targets.keypoints.shape[2], device=people.device)
    rest = (images[:, None], people.clamp(min=0), kinds)
    _, counted = keypoint_cells(targets.keypoints, stride, (height, width), targets.frame)
    here = counted[rest] & (people >= 0)
    scales = _weights_of_people(targets, person_size, min(stride))[rest[:2]]

    centers = torch.stack([columns, rows], dim=-1) + 0.5
    points = px_to_map(targets.keypoints[rest][..., :2], stride, targets.frame)
    offsets = torch.where(here[..., None], centers[:, None] - points, 0)
    return PositiveCells(images, rows, columns, offsets, here * scales)


def _weights_of_people(targets: RegressionTargets, person_size: PersonSize, least: float) -> Tensor:
    """Return the weight of each person, (B, N); sizes are at least ``least`` px."""
    if person_size == "times_area":
        return targets.areas.clamp(min=0)
    squares = squared_sizes(targets.keypoints, targets.areas, person_size, targets.to_original)
    return 1 / squares.sqrt().clamp(min=least)


def squared_sizes(
    keypoints: Tensor,
    areas: Tensor,
    person_size: PersonSize = "diagonal",
    to_original: Sequence[AffineTransform] = (),
) -> Tensor:
    """Return the square of each person's size, (B, N) px²; see ``positive_cells``.

    Args:
        keypoints: (B, N, K, 3) float, px and visibility.
        areas: (B, N) float, px².
        person_size: ``"times_area"`` is as ``"area"``.
        to_original: B transforms to px of the files, for ``"origin"`` alone.

    Raises:
        ValueError: the origin is to be counted and it is not known where it is.
    """
    if person_size == "diagonal":
        return person_diagonals(keypoints, areas).square()
    if person_size != "origin":
        return areas
    if len(to_original) != len(keypoints):
        raise ValueError("person_size 'origin' needs to_original, where the files' corners are")
    warps = keypoints.new_tensor(np.stack([warp.matrix for warp in to_original]))
    scales = keypoints.new_tensor([warp.scale for warp in to_original])
    xy = torch.einsum("bnkc,bdc->bnkd", keypoints[..., :2], warps[..., :2])
    xy = xy + warps[:, None, None, :, 2]
    xy = torch.where(keypoints[..., 2:] > 0, xy, 0)  # also for the row of zeros beside them
    box = xy.amax(dim=-2).clamp(min=0) - xy.amin(dim=-2).clamp(max=0)
    return box.square().sum(dim=-1) / scales[:, None].square()


def person_diagonals(keypoints: Tensor, areas: Tensor) -> Tensor:
    """Return the diagonal of each person's bounding box (DEKR, Eq. 5: Z).

    The box is that of the labeled keypoints, as in the official code; the paper has the instance's.
    Where few are labeled or left by a crop, it is too small: the diagonal is at least the side of a
    square of the person's area, a lower bound for any box that contains the person. The official
    code also counts a center row that is still zero, so that its boxes extend to the origin of the
    image file; ``person_size="origin"`` of ``positive_cells`` repeats this fault.

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
