r"""Gaussian heatmaps of keypoints.

.. math::
    H_k(x) = \max_n \exp\left( -\frac{\lVert x - x_{nk} \rVert^2}{2 \sigma^2} \right)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poselib.ops.map_coordinates import CropFrame, cell_stride, half_pixel, px_to_map
from poselib.structures import Size

Overlap = Literal["max", "sum"]
Window = Literal["cell", "point"]


def keypoint_cells(
    keypoints: Tensor, stride: tuple[float, float], size: Size, frame: CropFrame = "center"
) -> tuple[Tensor, Tensor]:
    """Return the cell that contains each keypoint, and whether it is labeled and inside the map.

    In frame ``"index"`` that is the cell whose pixels, by index, contain it, as in DEKR's code.

    Args:
        keypoints: (..., 3) float, px of the network input and visibility.
        stride: px a cell, (y, x).
        size: (h, w) of the map.
        frame: what a cell of the map stands for.

    Returns:
        (..., 2) int64 cells as (x, y), clamped to the map, and (...) bool.
    """
    step = torch.tensor([stride[1], stride[0]], dtype=keypoints.dtype, device=keypoints.device)
    cells = (keypoints[..., :2] - half_pixel(frame)) / step
    cells = torch.nan_to_num(cells, nan=-1.0, posinf=-1.0, neginf=-1.0).floor()
    limit = torch.tensor([size[1], size[0]], dtype=keypoints.dtype, device=keypoints.device)
    nearest = cells.clamp(torch.zeros_like(limit), limit - 1)
    inside = (nearest == cells).all(dim=-1) & (keypoints[..., 2] > 0)
    return nearest.long(), inside


def gaussian_heatmaps(
    keypoints: Tensor,
    image_size: Size,
    size: Size,
    sigma: float | Sequence[float],
    subpixel: bool = True,
    overlap: Overlap = "max",
    window: Window = "cell",
    frame: CropFrame = "center",
) -> Tensor:
    """Render the Gaussians of each keypoint type into one map (HAE, Eq. 4).

    Each Gaussian is rendered in a window of three sigmas and one cell to each side, so that the
    cost grows with the keypoints and not with the map.

    Args:
        keypoints: (B, N, K, 3) float, px of the network input and visibility; unlabeled
            keypoints and those outside the image are left out.
        image_size: (H, W) of the network input, px.
        size: (h, w) of the maps, cells.
        sigma: standard deviation in cells, one for all types or one each.
        subpixel: center the Gaussian on the keypoint, as in Eq. (4); false centers it on the cell
            that contains the keypoint, as in the official code.
        overlap: how the Gaussians of two people are combined. Eq. (4) is a sum, but a sum of two
            near neighbors peaks between them and above 1; the official code takes the maximum.
        window: the center of the window: ``"cell"``, the cell that contains the keypoint, as in
            HigherHRNet's code; ``"point"``, the keypoint itself, extended to whole cells, as in
            DEKR's.
        frame: what a cell of the maps stands for; see ``ops.map_coordinates``.

    Returns:
        (B, K, h, w) float32 heatmaps; above 0 in the windows and 0 elsewhere.

    Raises:
        ValueError: a sigma is not a positive number, there is not one per type, or ``overlap`` or
            ``window`` is unknown.

    Example:
        >>> keypoints = torch.tensor([[[[10.0, 6.0, 2.0]]]])  # in the center of cell (2, 1)
        >>> gaussian_heatmaps(keypoints, (16, 16), (4, 4), sigma=1.0)[0, 0, 1].round(decimals=2)
        tensor([0.1400, 0.6100, 1.0000, 0.6100])
    """
    batch, _, kinds, _ = keypoints.shape
    sigmas = _sigma_per_type(sigma, kinds)
    _check_known(overlap=(overlap, Overlap), window=(window, Window))
    height, width = size
    stride = cell_stride(image_size, size, frame)
    _, inside = keypoint_cells(keypoints, stride, size, frame)
    reduce = "amax" if overlap == "max" else "sum"
    maps = _zeros(batch * kinds * height * width, keypoints.device)
    distinct = sorted(set(sigmas))
    for one in distinct:
        rendered = inside
        if len(distinct) > 1:
            rendered = inside & inside.new_tensor([each == one for each in sigmas])
        image, person, kind = rendered.nonzero(as_tuple=True)  # without padding and unlabeled
        points = px_to_map(keypoints[image, person, kind, :2], stride, frame)
        indices, profile = _windows(points, size, one, subpixel, window)
        rows = ((image * kinds + kind) * height)[:, None] + indices[:, 1]
        index = (rows * width)[:, :, None] + indices[:, 0, None]
        patches = (profile[:, 1, :, None] * profile[:, 0, None]).float()
        maps.scatter_reduce_(0, index.flatten(), patches.flatten(), reduce=reduce)
    return maps.view(batch, kinds, height, width)


def _sigma_per_type(sigma: float | Sequence[float], kinds: int) -> list[float]:
    """Return the standard deviation of each keypoint type."""
    sigmas = [float(each) for each in (sigma if isinstance(sigma, Sequence) else [sigma])]
    for each in sigmas:
        if not 0 < each < math.inf:
            raise ValueError(f"sigma must be a positive number of cells, not {each}")
    if isinstance(sigma, Sequence) and len(sigmas) != kinds:
        raise ValueError(f"sigma must be one number or {kinds}, not {len(sigmas)}")
    return sigmas if isinstance(sigma, Sequence) else sigmas * kinds


def _check_known(**choices: tuple[str, object]) -> None:
    for name, (value, literal) in choices.items():
        known = get_args(literal)
        if value not in known:
            raise ValueError(f"{name} must be {known[0]!r} or {known[1]!r}, not {value!r}")


def _zeros(count: int, device: torch.device) -> Tensor:
    """Return float32 zeros (count,)."""
    if device.type != "cpu" or torch.compiler.is_exporting():  # to a graph of any size
        return torch.zeros(count, device=device)
    # Large maps cost most at their first access, page by page. NumPy requests huge pages from the
    # system, PyTorch does not: a third of the time for a batch of 32.
    return torch.from_numpy(np.zeros(count, np.float32))


def _windows(
    points: Tensor, size: Size, sigma: float, subpixel: bool, window: Window
) -> tuple[Tensor, Tensor]:
    """Return the columns and rows of the windows around points, and the Gaussian along each axis.

    A 2D Gaussian is the product of one along each axis, so that nothing else is computed, or
    clipped to the border, for every cell of a window.

    Args:
        points: (M, 2) float (x, y) in cells, inside the map or within a cell of it.
        size: (h, w) of the map.
        sigma, subpixel, window: see ``gaussian_heatmaps``.

    Returns:
        (M, 2, r) int64 columns and rows, clamped to the map, and (M, 2, r) values, 0 beyond it.
    """
    cells = points.floor()
    # The point relative to the center of its cell.
    shift = points - cells - 0.5 if subpixel else torch.zeros_like(points)
    extent = 3 * sigma + 1
    if window == "cell":
        radius = int(extent)
        offsets = torch.arange(-radius, radius + 1, device=points.device)
    else:  # every cell that the window covers or touches
        steps = torch.arange(math.ceil(2 * extent) + 2, device=points.device)
        offsets = (shift - extent).floor().long()[..., None] + steps
    indices = cells.long()[..., None] + offsets
    last = torch.tensor([[size[1] - 1], [size[0] - 1]], device=points.device)
    clamped = indices.clamp(indices.new_zeros(()), last)
    distance = offsets - shift[..., None]
    profile = torch.exp(distance.square() / (-2 * sigma**2))
    inside = clamped == indices
    if window == "point":
        inside &= distance.abs() < extent + 1
    return clamped, profile * inside
