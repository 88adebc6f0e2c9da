"""Matching of regressed keypoints to the nearest peak of the heatmaps (DEKR, Table 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from poselib.ops.map_coordinates import Frame, average_heatmaps, cell_to_px
from poselib.ops.peaks import Subpixel, find_peaks, subpixel_shift
from poselib.structures import Size


def snap_to_peaks(
    points: Tensor,
    images: Tensor,
    heatmaps: Sequence[Tensor],
    image_size: Size,
    frame: Frame,
    *,
    max_distance: float = 75.0,
    max_peaks: int = 30,
    subpixel: Subpixel = "parabola",
) -> Tensor:
    """Move each keypoint to the nearest peak of its heatmap, if one is near enough.

    DEKR's code detects peaks, the maxima of 5 x 5 px, in maps upsampled to the image, and fits a
    Gaussian to the 13 x 13 px around each. Upsampled maps are bilinear: their peaks are always at
    cells. So here peaks are detected among the cells of the finest maps, the maxima of 3 x 3, and
    placed by ``subpixel``. For cells of 2 px the peaks are the same. For cells of 4 px the official
    code may take a cell although one diagonal to it is higher. A parabola is exact for an isolated
    Gaussian, as the fit nearly is; with noise it is less exact than the fit.

    Args:
        points: (n, K, 2), finite, px of the frame.
        images: (n,) int64, the image of each person.
        heatmaps: (B, K, h, w) of each scale; they are averaged.
        image_size: (H, W) of the network input, px.
        frame: of ``points`` and maps.
        max_distance: maximum distance, exclusive, of keypoint and peak, px.
        max_peaks: number of peaks per keypoint type, the highest.
        subpixel: method of placing peaks.

    Returns:
        (n, K, 2) float32, px of the frame.

    Raises:
        ValueError: the subpixel method is unknown.

    Example:
        >>> heatmap, image = torch.zeros(1, 1, 8, 8), torch.tensor([0])
        >>> heatmap[0, 0, 2, 3] = 1.0  # its center is at (14, 10) px
        >>> points = torch.tensor([[[12.0, 9.0]]])
        >>> snap_to_peaks(points, image, [heatmap], (32, 32), "center", subpixel="none")
        tensor([[[14., 10.]]])
    """
    maps = average_heatmaps(heatmaps, image_size, frame)
    kinds, height, width = maps.shape[1:]
    peaks = find_peaks(maps, max_peaks, kernel=3)
    peak_points = cell_to_px(peaks.cells, image_size, (height, width), frame)  # (B, K, M, 2)
    distances = (peak_points[images] - points[:, :, None]).norm(dim=-1)
    distances, nearest = distances.masked_fill(peaks.values[images] <= 0, torch.inf).min(dim=-1)
    cells = peaks.cells[images].take_along_dim(nearest[..., None, None], dim=2).squeeze(2)
    channels = images[:, None] * kinds + torch.arange(kinds, device=images.device)
    shift = subpixel_shift(
        maps.flatten(0, 1), channels.flatten(), cells.flatten(0, 1), subpixel
    ).view_as(points)
    peak = cell_to_px(cells + shift, image_size, (height, width), frame)
    return torch.where((distances < max_distance)[..., None], peak, points)
