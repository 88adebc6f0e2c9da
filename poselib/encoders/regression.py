"""Dense supervision of keypoint regression: heatmaps, a center map and center regions."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poselib.encoders.heatmap import counted_cells
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.structures import Batch, RegressionTargets, Size

Region = Literal["disc", "square"]
Foreground = Literal["per_map", "any", "all"]


def regression_targets(
    batch: Batch,
    stride: int = 4,
    sigma: float = 2.0,
    center_sigma: float = 4.0,
    radius: float = 4.0,
    region: Region = "disc",
    background: float = 0.1,
    weights: Foreground = "per_map",
    min_area: float = 0.0,
    centers: Tensor | None = None,
) -> RegressionTargets:
    """Encode a batch as keypoint heatmaps, a center map and center regions (DEKR, Sec. 4.1).

    A person has a center if a keypoint is labeled, the center lies inside the image and the area
    is not too small; its keypoints are drawn in any case.

    Args:
        batch: images and people of one size.
        stride: px a cell.
        sigma, center_sigma: standard deviations of the Gaussians of keypoints and of centers, in
            cells. The paper also says that heat beyond the center region is zero; the official
            code draws the whole Gaussian, and so does this.
        radius: of a center region, in cells.
        region: ``"disc"`` holds the cells whose middles lie within ``radius`` of the center, as
            "around the center point with the radius 4" says; ``"square"`` those within it along
            either axis, as many as in the official code, whose square reaches a cell further to
            the left and up than to the right and down and begins at the center's cell.
        background: weight of cells that are no foreground (DEKR, Eq. 7). The equation squares it,
            the official code does not: it is meant for the squared error.
        weights: ``"per_map"``: the foreground of a map is the windows of its own Gaussians, three
            sigmas and one cell wide, as in the paper; ``"any"``: also those of keypoints of any
            type, so that heat for a left ankle on the right one costs as much as missing heat;
            ``"all"``: also those of centers, one foreground for all maps, as LOGO-CAP has it.
        min_area: people whose area is below this many px² of the image file have no center;
            32² in the official code for COCO, which does not evaluate them.
        centers: (B, N, 2) px, if they are not to be the means of the labeled keypoints.

    Returns:
        Targets on the batch's device, whose weights are 0 in ignored regions.

    Raises:
        ValueError: the image size is not a multiple of the stride, a number is out of range or a
            name is unknown.
    """
    height, width = batch.size
    if height % stride or width % stride:
        raise ValueError(f"image size {height}x{width} is not a multiple of stride {stride}")
    if not 0 <= background <= 1:
        raise ValueError(f"background must be a weight from 0 to 1, not {background}")
    if not min_area >= 0:
        raise ValueError(f"min_area must be px², 0 or more, not {min_area}")
    if weights not in get_args(Foreground):
        raise ValueError(f"weights must be one of {get_args(Foreground)}, not {weights!r}")
    size = (height // stride, width // stride)
    places = _with_presence(batch, centers, min_area)
    drawn = torch.cat([batch.keypoints, places[:, :, None]], dim=2)
    sigmas = [sigma] * batch.keypoints.shape[2] + [center_sigma]
    heatmaps = gaussian_heatmaps(drawn, batch.size, size, sigmas, window="point")
    return RegressionTargets(
        heatmaps=(heatmaps,),
        weights=(_weights(heatmaps, counted_cells(batch.ignore, size), background, weights),),
        keypoints=batch.keypoints,
        areas=batch.areas,
        image_size=batch.size,
        centers=places,
        owners=center_regions(places, batch.size, size, radius, region),
    )


def mean_positions(keypoints: Tensor) -> Tensor:
    """Return the mean (B, N, 2) of each person's labeled keypoints (B, N, K, 3); 0 without any.

    The paper's mean is over all K; annotations lack some, and the official code divides by those
    that it has.
    """
    labeled = (keypoints[..., 2] > 0)[..., None]
    total = torch.where(labeled, keypoints[..., :2], 0).sum(dim=-2)
    return total / labeled.sum(dim=-2).clamp(min=1)


def center_regions(
    centers: Tensor, image_size: Size, size: Size, radius: float = 4.0, region: Region = "disc"
) -> Tensor:
    """Return whose center region each cell is in; of several people the nearest (DEKR, Sec. 4.1).

    The official code lets the smaller person win instead, keypoint by keypoint; the paper's second
    footnote says the nearest.

    Args:
        centers: (B, N, 3) float, px of the network input, and above 0 where there is one.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the map, cells.
        radius, region: see ``regression_targets``.

    Returns:
        (B, h, w) int64, the number of the person or -1.

    Raises:
        ValueError: the radius is not a positive number or the region is unknown.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be a positive number of cells, not {radius}")
    if region not in get_args(Region):
        raise ValueError(f"region must be 'disc' or 'square', not {region!r}")
    batch, (height, width) = len(centers), size
    step = centers.new_tensor([image_size[1] / width, image_size[0] / height])
    image, person = (centers[..., 2] > 0).nonzero(as_tuple=True)
    middle = centers[image, person, :2] / step
    reach = int(radius + 0.5)  # a center may lie half a cell from the middle of its own cell
    steps = torch.arange(-reach, reach + 1, device=centers.device)
    near = middle.floor().long()[..., None] + steps  # (M, 2, r)
    clamped = near.clamp(near.new_zeros(()), near.new_tensor([[width - 1], [height - 1]]))
    # Beyond the map or the radius is infinitely far: such cells are written too, without effect.
    square = (near + 0.5 - middle[..., None]).square()
    far = (near != clamped) | (square > radius**2)
    square = torch.where(far, torch.inf, square)
    distance = square[:, 1, :, None] + square[:, 0, None]  # (M, r, r)
    if region == "disc":
        distance = torch.where(distance > radius**2, torch.inf, distance)
    rows = (image[:, None] * height + clamped[:, 1]) * width
    index = (rows[:, :, None] + clamped[:, 0, None]).flatten()

    distance = distance.flatten()
    nearest = distance.new_full((batch * height * width,), torch.inf)
    nearest.scatter_reduce_(0, index, distance, "amin")
    wins = (distance == nearest[index]) & (distance < torch.inf)
    people = torch.where(wins, person.repeat_interleave(len(steps) ** 2), -1)
    owners = people.new_full((batch * height * width,), -1)
    # Of two centers as near as each other the later person's, whatever the order of the writes.
    owners.scatter_reduce_(0, index, people, "amax")
    return owners.view(batch, height, width)


def _with_presence(batch: Batch, centers: Tensor | None, min_area: float) -> Tensor:
    """Return (B, N, 3) centers, px, and 1 for people who have one."""
    places = mean_positions(batch.keypoints) if centers is None else centers.to(batch.keypoints)
    limit = places.new_tensor([batch.size[1], batch.size[0]])
    present = (batch.keypoints[..., 2] > 0).any(dim=-1)
    present &= ((places >= 0) & (places < limit)).all(dim=-1)
    if min_area:
        scales = np.array([warp.scale for warp in batch.to_original])
        factors = torch.as_tensor(scales**2, dtype=batch.areas.dtype, device=batch.areas.device)
        present &= batch.areas * factors[:, None] >= min_area
    return torch.cat([places, present[..., None]], dim=-1)


def _weights(heatmaps: Tensor, counted: Tensor, background: float, rule: Foreground) -> Tensor:
    """Weigh the cells of maps (B, K + 1, h, w), counted (B, 1, h, w) or not."""
    foreground = heatmaps.sign()  # 1 in the windows, 0 elsewhere
    if rule != "per_map":
        shared = foreground if rule == "all" else foreground[:, :-1]
        foreground = torch.maximum(foreground, shared.amax(dim=1, keepdim=True))
    return foreground.clamp_(min=background).mul_(counted)
