"""Regressed keypoints, moved to the nearest peak of the heatmaps (DEKR, Table 6)."""

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
    distance: float = 75.0,
    count: int = 30,
    subpixel: Subpixel = "parabola",
) -> Tensor:
    """Move each keypoint to the nearest peak of its type, if one is near enough.

    DEKR's code looks for peaks, the highest of 5 x 5 px, in maps enlarged to the image, and fits a
    Gaussian to the 13 x 13 px around each. Enlarged maps are bilinear: only cells can be their
    peaks. So here they are looked for among the cells of the finest maps, the highest of 3 x 3, and
    placed by ``subpixel``. For cells of 2 px that makes the same peaks. For cells of 4 px a cell
    may be published as one although another is higher across its corner: 4 of 1020 keypoints of
    drawn scenes went elsewhere. A parabola is exact for a Gaussian that stands alone, where the
    fit is up to 0.02 px off; heat with noise it places less exactly than the fit.

    Args:
        points: (n, K, 2), finite, px of the frame.
        images: (n,) int64, the image of each person.
        heatmaps: (B, K, h, w) of each scale; they are averaged.
        image_size: (H, W) of the network input, px.
        frame: in which ``points`` are and maps lie.
        distance: only a peak nearer than this many px absorbs a keypoint.
        count: of peaks per keypoint type, the highest.
        subpixel: how a peak is placed within its cell.

    Returns:
        (n, K, 2) float32, px of the frame.

    Raises:
        ValueError: the subpixel method is unknown.
    """
    maps = average_heatmaps(heatmaps, image_size, frame)
    kinds, height, width = maps.shape[1:]
    peaks = find_peaks(maps, count, kernel=3)
    places = cell_to_px(peaks.cells, image_size, (height, width), frame)  # (B, K, M, 2)
    apart = (places[images] - points[:, :, None]).norm(dim=-1)
    apart, nearest = apart.masked_fill(peaks.values[images] <= 0, torch.inf).min(dim=-1)
    cells = peaks.cells[images].take_along_dim(nearest[..., None, None], dim=2).squeeze(2)
    channels = images[:, None] * kinds + torch.arange(kinds, device=images.device)
    shift = subpixel_shift(
        maps.flatten(0, 1), channels.flatten(), cells.flatten(0, 1), subpixel
    ).view_as(points)
    peak = cell_to_px(cells + shift, image_size, (height, width), frame)
    return torch.where((apart < distance)[..., None], peak, points)
