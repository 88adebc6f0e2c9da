"""Keypoints drawn as Gaussian heatmaps."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from poselib.structures import Size

Overlap = Literal["max", "sum"]


def cells_of(keypoints: Tensor, stride: tuple[float, float], size: Size) -> tuple[Tensor, Tensor]:
    """Return the map cell that contains each keypoint and whether it is labelled and inside.

    Args:
        keypoints: (..., 3) float, px of the network input and visibility.
        stride: px a cell, (y, x).
        size: (h, w) of the map.

    Returns:
        (..., 2) int64 cells as (x, y), clamped to the map, and (...) bool.
    """
    step = keypoints.new_tensor([stride[1], stride[0]])
    cells = torch.nan_to_num(keypoints[..., :2] / step, nan=-1.0, posinf=-1.0, neginf=-1.0).floor()
    limit = keypoints.new_tensor([size[1], size[0]])
    inside = ((cells >= 0) & (cells < limit)).all(dim=-1) & (keypoints[..., 2] > 0)
    return cells.clamp(keypoints.new_zeros(2), limit - 1).long(), inside


def gaussian_heatmaps(
    keypoints: Tensor,
    image_size: Size,
    size: Size,
    sigma: float,
    subpixel: bool = True,
    overlap: Overlap = "max",
) -> Tensor:
    """Draw each keypoint type's Gaussians into one map (HAE, Eq. 4).

    Each Gaussian is drawn in a window of three sigmas and one cell to each side, so the cost
    grows with the keypoints and not with the map.

    Args:
        keypoints: (B, N, K, 3) float, px of the network input and visibility; unlabelled
            keypoints and those outside the image are left out.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the maps, cells.
        sigma: standard deviation in cells.
        subpixel: centre the Gaussian on the keypoint, as Eq. (4) writes; false centres it on
            the cell that contains the keypoint, as the official code does.
        overlap: how two people's Gaussians meet. Eq. (4) is a sum, but a sum of two near
            neighbours peaks between them and above 1, and the official code takes the maximum.

    Returns:
        (B, K, h, w) float32 heatmaps.

    Raises:
        ValueError: sigma is not a positive number or ``overlap`` is neither of the two.
    """
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be a positive number of cells, not {sigma}")
    if overlap not in ("max", "sum"):
        raise ValueError(f"overlap must be 'max' or 'sum', not {overlap!r}")
    batch, people, kinds, _ = keypoints.shape
    height, width = size
    stride = (image_size[0] / height, image_size[1] / width)
    cells, inside = cells_of(keypoints, stride, size)
    radius = int(3 * sigma + 1)
    reach = torch.arange(-radius, radius + 1, device=keypoints.device)
    # The centre relative to the middle of its own cell, in cells: zero when quantised.
    step = keypoints.new_tensor([stride[1], stride[0]])
    shift = (keypoints[..., :2] / step - cells - 0.5) * (1.0 if subpixel else 0.0)
    profile = torch.exp(-((reach - shift[..., None]) ** 2) / (2 * sigma**2))  # (B, N, K, xy, r)
    patch = profile[..., 1, :, None] * profile[..., 0, None, :]
    x = cells[..., 0, None, None] + reach
    y = cells[..., 1, None, None] + reach[:, None]
    drawn = inside[..., None, None] & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    kind = torch.arange(kinds, device=keypoints.device)[:, None, None]
    first = torch.arange(batch, device=keypoints.device)[:, None, None, None, None] * kinds + kind
    index = (first * height + y.clamp(0, height - 1)) * width + x.clamp(0, width - 1)
    values = torch.where(drawn, patch, torch.zeros_like(patch)).float().reshape(-1)
    maps = torch.zeros(batch * kinds * height * width, device=keypoints.device)
    reduce = "amax" if overlap == "max" else "sum"
    maps.scatter_reduce_(0, index.expand_as(patch).reshape(-1), values, reduce=reduce)
    return maps.view(batch, kinds, height, width)
