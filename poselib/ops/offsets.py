"""What the offsets of the cells in people's center regions are (DEKR, Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.ops.gaussians import keypoint_cells
from poselib.structures import RegressionTargets

PersonSize = Literal["diagonal", "area"]


@dataclass(frozen=True)
class PositiveCells:
    """The M cells that lie in a person's center region, and what they are to regress.

    Attributes:
        images, rows, columns: (M,) int64, where each cell is in maps (B, ..., h, w).
        offsets: (M, K, 2) float, in cells, (x, y): the cell's middle minus the keypoint; 0 where
            the keypoint does not count.
        weights: (M, K) float, 1 over the person's size in px where the keypoint is labeled and
            inside the image, 0 elsewhere (DEKR, Eq. 5).
    """

    images: Tensor
    rows: Tensor
    columns: Tensor
    offsets: Tensor
    weights: Tensor


def positive_cells(targets: RegressionTargets, size: PersonSize = "diagonal") -> PositiveCells:
    """Return the cells of all center regions with their true offsets and weights.

    Args:
        targets: of a batch.
        size: of a person. ``"diagonal"``: ``person_sizes``, which DEKR divides by; ``"area"``: the
            root of the person's area, with which LOGO-CAP's code replaces it. Whatever is smaller
            than a cell counts as a cell.

    Raises:
        ValueError: the size is unknown.
    """
    if size not in get_args(PersonSize):
        raise ValueError(f"size must be one of {get_args(PersonSize)}, not {size!r}")
    height, width = targets.center_assignment.shape[-2:]
    stride = (targets.image_size[0] / height, targets.image_size[1] / width)
    images, rows, columns = (targets.center_assignment >= 0).nonzero(as_tuple=True)
    people = targets.center_assignment[images, rows, columns]
    step = targets.keypoints.new_tensor([stride[1], stride[0]])
    _, counted = keypoint_cells(targets.keypoints, stride, (height, width))
    diagonal = size == "diagonal"
    sizes = person_sizes(targets.keypoints, targets.areas) if diagonal else targets.areas.sqrt()
    weights = counted / sizes.clamp(min=min(stride))[..., None]

    here = torch.stack([columns, rows], dim=-1) + 0.5
    offsets = here[:, None] - targets.keypoints[images, people, :, :2] / step
    offsets = torch.where(counted[images, people][..., None], offsets, 0)
    return PositiveCells(images, rows, columns, offsets, weights[images, people])


def person_sizes(keypoints: Tensor, areas: Tensor) -> Tensor:
    """Return the diagonal of each person's box (DEKR, Eq. 5: Z).

    The box is that of the labeled keypoints, as in the official code; the paper speaks of the
    instance's. Where few are labeled or a crop has left few, it says nothing of the person: the
    diagonal is at least the side of a square of the person's area, which no box that holds the
    person falls short of. The official code also counts a center row that is still zero, so that
    its boxes reach to the origin of the image file; that is not repeated.

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


def offset_maps(targets: RegressionTargets) -> tuple[Tensor, Tensor]:
    """Lay the true offsets out as maps, to be drawn or compared; training needs none.

    Returns:
        Offsets (B, K, 2, h, w) in cells and weights (B, K, h, w), as of ``PositiveCells``; both 0
        in cells that nobody owns.
    """
    owned = positive_cells(targets)
    where = (owned.images, owned.rows, owned.columns)
    batch, height, width = targets.center_assignment.shape
    kinds = targets.keypoints.shape[2]
    offsets = owned.offsets.new_zeros(batch, height, width, kinds, 2)
    weights = owned.weights.new_zeros(batch, height, width, kinds)
    offsets[where], weights[where] = owned.offsets, owned.weights
    return offsets.permute(0, 3, 4, 1, 2), weights.permute(0, 3, 1, 2)
