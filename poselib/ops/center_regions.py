"""The cells around people's centers, and to which person each belongs (DEKR, Sec. 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.ops.gaussians import keypoint_cells
from poselib.ops.map_coordinates import Frame, px_to_map
from poselib.structures import Size

Region = Literal["disc", "square", "window"]
Owner = Literal["nearest", "smallest"]


@dataclass(frozen=True)
class CenterRegions:
    """The cells around M centers, image by image and person by person.

    Attributes:
        images, people: (M,) int64, whose center it is.
        cells: (M, r) int64, indices of cells of all maps, (B * h * w); clamped to the map.
        squares: (M, r) float, squared distance of each cell's middle from the center, in cells;
            infinite beyond the map or the region.
    """

    images: Tensor
    people: Tensor
    cells: Tensor
    squares: Tensor


def center_regions(
    centers: Tensor,
    image_size: Size,
    size: Size,
    radius: float = 4.0,
    region: Region = "disc",
    frame: Frame = "center",
) -> CenterRegions:
    """Return the cells of each person's center region (DEKR, Sec. 4.1).

    Args:
        centers: (B, N, 3) float, px of the network input, and above 0 where there is one.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the map, cells.
        radius, region, frame: see ``encoders.regression.regression_targets``.

    Raises:
        ValueError: the radius is not a positive number or the region is unknown.
    """
    if not 0 < radius < math.inf:
        raise ValueError(f"radius must be a positive number of cells, not {radius}")
    if region not in get_args(Region):
        raise ValueError(f"region must be one of {get_args(Region)}, not {region!r}")
    height, width = size
    image, person = (centers[..., 2] > 0).nonzero(as_tuple=True)
    stride = (image_size[0] / height, image_size[1] / width)
    center = px_to_map(centers[image, person, :2], stride, frame)
    if region == "window":
        first = (center - 0.5).trunc().long()  # also of a center left of the first cell's middle
        steps = torch.arange(-math.floor(radius), math.floor(radius), device=centers.device)
    else:
        first = center.floor().long()
        reach = int(radius + 0.5)  # a center may lie half a cell from the middle of its own cell
        steps = torch.arange(-reach, reach + 1, device=centers.device)
    cells = first[..., None] + steps  # (M, 2, r)
    clamped = cells.clamp(cells.new_zeros(()), cells.new_tensor([[width - 1], [height - 1]]))
    squares = (cells + 0.5 - center[..., None]).square()
    outside = cells != clamped
    if region == "square":
        outside |= squares > radius**2
    squares = torch.where(outside, torch.inf, squares)
    distance = squares[:, 1, :, None] + squares[:, 0, None]  # (M, r, r)
    if region == "disc":
        distance = torch.where(distance > radius**2, torch.inf, distance)
    rows = (image[:, None] * height + clamped[:, 1]) * width
    index = rows[:, :, None] + clamped[:, 0, None]
    return CenterRegions(image, person, index.flatten(1), distance.flatten(1))


def assign_to_nearest(regions: CenterRegions, batch: int, size: Size) -> Tensor:
    """Assign each cell in a center region to its person, the nearest of several (DEKR, Sec. 4.1).

    Args:
        regions: of all people.
        batch: B, number of images.
        size: (h, w) of the map, cells.

    Returns:
        (B, h, w) int64, the index of the person or -1.
    """
    # Cells beyond the map or the region are infinitely far: writing them has no effect.
    index, distance = regions.cells.flatten(), regions.squares.flatten()
    nearest = distance.new_full((batch * size[0] * size[1],), torch.inf)
    nearest.scatter_reduce_(0, index, distance, "amin")
    wins = (distance == nearest[index]) & (distance < torch.inf)
    people = torch.where(wins, regions.people.repeat_interleave(regions.cells.shape[1]), -1)
    assignment = people.new_full((len(nearest),), -1)
    # Of two centers at the same distance the later person wins, whatever the order of the writes.
    assignment.scatter_reduce_(0, index, people, "amax")
    return assignment.view(batch, *size)


def assign_to_smallest(
    regions: CenterRegions,
    keypoints: Tensor,
    squares: Tensor,
    image_size: Size,
    size: Size,
    frame: Frame = "center",
) -> Tensor:
    """Assign each cell to a person for each keypoint type, as DEKR's official code does.

    People are gone through in their order. One takes a cell for a labeled keypoint inside the image
    if no one has it, or if not smaller than the one who has it there is the one who took the cell
    last, for whichever keypoint: sizes are kept by cell. So mostly, but not always, the smaller
    person wins. A cell whose offset is zero counts as one that no one has.

    Args:
        regions: of all people.
        keypoints: (B, N, K, 3) float, px and visibility.
        squares: (B, N) float, sizes of the people, squared.
        image_size, size, frame: see ``center_regions``.

    Returns:
        (B, K, h, w) int64, the index of the person or -1.
    """
    kinds, width = keypoints.shape[2], size[1]
    stride = (image_size[0] / size[0], image_size[1] / width)
    points = px_to_map(keypoints[..., :2], stride, frame)
    _, inside = keypoint_cells(keypoints, stride, size, frame)
    cells = len(keypoints) * size[0] * width
    owners = torch.full((kinds, cells), -1, device=keypoints.device)
    taken = torch.zeros(kinds, cells, dtype=torch.bool, device=keypoints.device)
    last = torch.zeros(cells, device=keypoints.device)
    for m, (image, person) in enumerate(zip(regions.images, regions.people, strict=True)):
        here = regions.cells[m][regions.squares[m] < torch.inf]
        own, square = inside[image, person, :, None], squares[image, person].double()
        free = own & (~taken[:, here] | (last[here].double() >= square))
        # From the first keypoint on one has taken the cell last oneself. Sizes are kept in float32:
        # one may be larger than oneself.
        since = free.cumsum(dim=0) > free.int()
        free = torch.where(since, own & (~taken[:, here] | (square.float() >= square)), free)
        middles = torch.stack([here % width, here // width % size[0]], dim=-1) + 0.5
        offsets = middles - points[image, person, :, None]  # (K, n, 2)
        owners[:, here] = torch.where(free, person, owners[:, here])
        taken[:, here] = torch.where(free, (offsets != 0).any(dim=-1), taken[:, here])
        last[here] = torch.where(free.any(dim=0), square.float(), last[here])
    return owners.view(kinds, len(keypoints), *size).transpose(0, 1)
