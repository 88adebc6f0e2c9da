"""Targets of center-based keypoint regression: heatmaps, a center heatmap and center regions."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poselib.encoders.heatmap import loss_mask
from poselib.ops.center_regions import (
    Owner,
    Region,
    assign_to_nearest,
    assign_to_smallest,
    center_regions,
)
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel
from poselib.ops.offsets import PersonSize, squared_sizes
from poselib.structures import Batch, RegressionTargets

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
    owner: Owner = "nearest",
    person_size: PersonSize = "diagonal",
    frame: Frame = "center",
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
            ``"square"``: the cells within ``radius`` of it along both axes. ``"window"``: as many
            cells, those of the official code: counted from the cell whose middle is the last one
            left of and above the center, ``radius`` to the left and up and one less to the right
            and down.
        background: weight of cells outside the foreground, from 0 to 1. The equation squares it,
            the official code does not, and neither does this: it multiplies the squared error.
        foreground: which cells have weight 1. ``"per_map"``: the windows of the map's own
            Gaussians, three sigmas and one cell wide, as in the paper. ``"any"``: also those of
            keypoints of any type, so that a response for a left ankle on the right one costs as
            much as a missing response. ``"all"``: also those of centers; one foreground for all
            maps, as in LOGO-CAP, Eq. (4).
        min_area: people whose area is below this many px² of the image file have no center; 32² in
            the official code for COCO, whose evaluation leaves them out.
        owner: whose cell one in several center regions is. ``"nearest"``: of the person with the
            nearest center, as in the paper's second footnote; ``"smallest"``: see
            ``ops.center_regions.assign_to_smallest``.
        person_size: by which people are compared for ``owner="smallest"``; see
            ``ops.offsets.positive_cells``.
        frame: what a cell of the maps stands for, as decoding must be told too; ``"index"`` is that
            of official weights. See ``ops.map_coordinates``.
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
    for name, value, known in (
        ("foreground", foreground, get_args(Foreground)),
        ("owner", owner, get_args(Owner)),
        ("frame", frame, FRAMES),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, not {value!r}")
    size = (height // stride, width // stride)
    # The official code rounds centers towards zero: those less than a cell left of or above the map
    # are in its first cell.
    least = -stride if region == "window" else 0
    centers = _with_presence(batch, centers, min_area, frame, least)
    points = torch.cat([batch.keypoints, centers[:, :, None]], dim=2)
    sigmas = [sigma] * batch.keypoints.shape[2] + [center_sigma]
    heatmaps = gaussian_heatmaps(points, batch.size, size, sigmas, window="point", frame=frame)
    counted = loss_mask(batch.ignore_mask, size)
    regions = center_regions(centers, batch.size, size, radius, region, frame)
    if owner == "nearest":
        assignment = assign_to_nearest(regions, len(centers), size)
    else:
        squares = squared_sizes(batch.keypoints, batch.areas, person_size, batch.to_original)
        assignment = assign_to_smallest(regions, batch.keypoints, squares, batch.size, size, frame)
    return RegressionTargets(
        heatmaps=(heatmaps,),
        masks=(_weighted_mask(heatmaps, counted, background, foreground),),
        keypoints=batch.keypoints,
        areas=batch.areas,
        image_size=batch.size,
        centers=centers,
        center_assignment=assignment,
        frame=frame,
        to_original=batch.to_original,
    )


def mean_positions(keypoints: Tensor) -> Tensor:
    """Return the mean (B, N, 2) of each person's labeled keypoints (B, N, K, 3); 0 without any.

    The paper's mean is over all K keypoints. Annotations lack some, so the mean is over the labeled
    ones, as in the official code.
    """
    labeled = (keypoints[..., 2] > 0)[..., None]
    total = torch.where(labeled, keypoints[..., :2], 0).sum(dim=-2)
    return total / labeled.sum(dim=-2).clamp(min=1)


def _with_presence(
    batch: Batch, centers: Tensor | None, min_area: float, frame: Frame, least: int
) -> Tensor:
    """Return centers (B, N, 3): x, y in px, and 1 for people who have one, else 0.

    Those at 0 or above ``least``, px of the frame, have one.
    """
    points = mean_positions(batch.keypoints) if centers is None else centers.to(batch.keypoints)
    limit = points.new_tensor([batch.size[1], batch.size[0]])
    present = (batch.keypoints[..., 2] > 0).any(dim=-1)
    px = points - half_pixel(frame)
    present &= (((px >= 0) | (px > least)) & (px < limit)).all(dim=-1)
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
