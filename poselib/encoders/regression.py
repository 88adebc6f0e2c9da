"""Targets of center-based keypoint regression: heatmaps, a center heatmap and center regions."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poselib.encoders.heatmap import loss_mask
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
    foreground: Foreground = "per_map",
    min_area: float = 0.0,
    centers: Tensor | None = None,
) -> RegressionTargets:
    """Encode a batch as keypoint heatmaps, a center heatmap and center regions (DEKR, Sec. 4.1).

    The heatmaps are those of ``heatmap_targets``, with the people's centers as the last keypoint
    type. The mask of a heatmap is 1 in its foreground and ``background`` elsewhere (DEKR, Eq. 7).

    A person has a center if at least one keypoint is labeled, the center lies inside the image and
    the area is not too small. The keypoint heatmaps show every person.

    Args:
        batch: images and people of one size.
        stride: px per cell.
        sigma, center_sigma: standard deviations of the Gaussians of keypoints and of centers, in
            cells. The paper also says that the center heatmap is zero beyond the center region;
            the official code keeps the whole Gaussian, and so does this.
        radius: radius of a center region, in cells.
        region: shape of a center region. ``"disc"``: the cells whose middles lie within ``radius``
            of the center, as in the paper ("around the center point with the radius 4").
            ``"square"``: the cells within ``radius`` of it along both axes. These are as many as in
            the official code, whose square begins at the center's cell and reaches one cell further
            to the left and up than to the right and down.
        background: weight of cells outside the foreground, from 0 to 1. The equation squares it,
            the official code does not, and neither does this: it multiplies the squared error.
        foreground: which cells have weight 1. ``"per_map"``: the windows of the map's own
            Gaussians, three sigmas and one cell wide, as in the paper. ``"any"``: also those of
            keypoints of any type, so that a response for a left ankle on the right one costs as
            much as a missing response. ``"all"``: also those of centers; one foreground for all
            maps, as in LOGO-CAP, Eq. (4).
        min_area: people whose area is below this many px² of the image file have no center; 32² in
            the official code for COCO, whose evaluation leaves them out.
        centers: (B, N, 2) px; by default the means of the labeled keypoints.

    Returns:
        Targets on the batch's device, with heatmaps and masks (B, K + 1, h, w); the masks are 0 in
        ignored regions.

    Raises:
        ValueError: the image size is not a multiple of the stride, a number is out of range or a
            name is unknown.

    Example:
        >>> from poselib.structures import AffineTransform
        >>> batch = Batch(
        ...     torch.zeros(1, 3, 128, 128, dtype=torch.uint8), torch.full((1, 2, 17, 3), 40.0),
        ...     areas=torch.full((1, 2), 900.0),
        ...     ignore_mask=torch.zeros(1, 128, 128, dtype=torch.bool), image_ids=(0,),
        ...     to_original=(AffineTransform.identity(),),
        ... )
        >>> targets = regression_targets(batch)
        >>> tuple(targets.heatmaps[0].shape), tuple(targets.center_assignment.shape)
        ((1, 18, 32, 32), (1, 32, 32))
    """
    height, width = batch.size
    if height % stride or width % stride:
        raise ValueError(f"image size {height}x{width} is not a multiple of stride {stride}")
    if not 0 <= background <= 1:
        raise ValueError(f"background must be a weight from 0 to 1, not {background}")
    if not min_area >= 0:
        raise ValueError(f"min_area must be px², 0 or more, not {min_area}")
    if foreground not in get_args(Foreground):
        raise ValueError(f"foreground must be one of {get_args(Foreground)}, not {foreground!r}")
    size = (height // stride, width // stride)
    centers = _with_presence(batch, centers, min_area)
    points = torch.cat([batch.keypoints, centers[:, :, None]], dim=2)
    sigmas = [sigma] * batch.keypoints.shape[2] + [center_sigma]
    heatmaps = gaussian_heatmaps(points, batch.size, size, sigmas, window="point")
    counted = loss_mask(batch.ignore_mask, size)
    return RegressionTargets(
        heatmaps=(heatmaps,),
        masks=(_weighted_mask(heatmaps, counted, background, foreground),),
        keypoints=batch.keypoints,
        areas=batch.areas,
        image_size=batch.size,
        centers=centers,
        center_assignment=assign_centers(centers, batch.size, size, radius, region),
    )


def mean_positions(keypoints: Tensor) -> Tensor:
    """Return the mean (B, N, 2) of each person's labeled keypoints (B, N, K, 3); 0 without any.

    The paper's mean is over all K keypoints. Annotations lack some, so the mean is over the labeled
    ones, as in the official code.
    """
    labeled = (keypoints[..., 2] > 0)[..., None]
    total = torch.where(labeled, keypoints[..., :2], 0).sum(dim=-2)
    return total / labeled.sum(dim=-2).clamp(min=1)


def assign_centers(
    centers: Tensor, image_size: Size, size: Size, radius: float = 4.0, region: Region = "disc"
) -> Tensor:
    """Assign each cell in a center region to its person, the nearest of several (DEKR, Sec. 4.1).

    The paper's second footnote says the nearest; in the official code the smaller person wins
    instead, keypoint by keypoint.

    Args:
        centers: (B, N, 3) float, px of the network input, and above 0 where there is one.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the map, cells.
        radius, region: see ``regression_targets``.

    Returns:
        (B, h, w) int64, the index of the person or -1.

    Raises:
        ValueError: the radius is not a positive number or the region is unknown.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be a positive number of cells, not {radius}")
    if region not in get_args(Region):
        raise ValueError(f"region must be 'disc' or 'square', not {region!r}")
    batch, (height, width) = len(centers), size
    stride = centers.new_tensor([image_size[1] / width, image_size[0] / height])
    image, person = (centers[..., 2] > 0).nonzero(as_tuple=True)
    center = centers[image, person, :2] / stride
    reach = int(radius + 0.5)  # a center may lie half a cell from the middle of its own cell
    steps = torch.arange(-reach, reach + 1, device=centers.device)
    cells = center.floor().long()[..., None] + steps  # (M, 2, r)
    clamped = cells.clamp(cells.new_zeros(()), cells.new_tensor([[width - 1], [height - 1]]))
    # Cells beyond the map or the radius are infinitely far: writing them has no effect.
    squares = (cells + 0.5 - center[..., None]).square()
    outside = (cells != clamped) | (squares > radius**2)
    squares = torch.where(outside, torch.inf, squares)
    distance = squares[:, 1, :, None] + squares[:, 0, None]  # (M, r, r)
    if region == "disc":
        distance = torch.where(distance > radius**2, torch.inf, distance)
    rows = (image[:, None] * height + clamped[:, 1]) * width
    index = (rows[:, :, None] + clamped[:, 0, None]).flatten()

    distance = distance.flatten()
    nearest = distance.new_full((batch * height * width,), torch.inf)
    nearest.scatter_reduce_(0, index, distance, "amin")
    wins = (distance == nearest[index]) & (distance < torch.inf)
    people = torch.where(wins, person.repeat_interleave(len(steps) ** 2), -1)
    assignment = people.new_full((batch * height * width,), -1)
    # Of two centers at the same distance the later person wins, whatever the order of the writes.
    assignment.scatter_reduce_(0, index, people, "amax")
    return assignment.view(batch, height, width)


def _with_presence(batch: Batch, centers: Tensor | None, min_area: float) -> Tensor:
    """Return centers (B, N, 3): x, y in px, and 1 for people who have one, else 0."""
    points = mean_positions(batch.keypoints) if centers is None else centers.to(batch.keypoints)
    limit = points.new_tensor([batch.size[1], batch.size[0]])
    present = (batch.keypoints[..., 2] > 0).any(dim=-1)
    present &= ((points >= 0) & (points < limit)).all(dim=-1)
    if min_area:
        scales = np.array([transform.scale for transform in batch.to_original])
        factors = torch.as_tensor(scales**2, dtype=batch.areas.dtype, device=batch.areas.device)
        present &= batch.areas * factors[:, None] >= min_area
    return torch.cat([points, present[..., None]], dim=-1)


def _weighted_mask(
    heatmaps: Tensor, counted: Tensor, background: float, rule: Foreground
) -> Tensor:
    """Return the masks of heatmaps (B, K + 1, h, w); ``counted`` is the loss mask (B, 1, h, w)."""
    foreground = heatmaps.sign()  # 1 in the windows of the Gaussians, 0 elsewhere
    if rule != "per_map":
        shared = foreground if rule == "all" else foreground[:, :-1]
        foreground = torch.maximum(foreground, shared.amax(dim=1, keepdim=True))
    return foreground.clamp_(min=background).mul_(counted)
