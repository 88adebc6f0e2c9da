"""Center-offset regression: the poses at the peaks of center maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.map_coordinates import Frame, cell_to_px
from poselib.ops.peaks import Peaks, find_peaks
from poselib.outputs import RegressionOutputs
from poselib.structures import Size


@dataclass(frozen=True)
class CenterPoses:
    """Poses regressed at the centers of several images, one row each, image by image.

    Attributes:
        images: (n,) int64, image index of each pose.
        centers: (n,) float32, center scores.
        points: (n, K, 2) float32, finite, px of the frame.
        cells: (n, 2) int64, column and row of the cell whose offsets gave each pose, in the maps of
            its scale; None if it was not regressed.
    """

    images: Tensor
    centers: Tensor
    points: Tensor
    cells: Tensor | None = None

    def __getitem__(self, rows: Tensor | slice) -> CenterPoses:
        """Return the poses of ``rows``: indices (m,), a mask (n,) or a slice."""
        cells = None if self.cells is None else self.cells[rows]
        return CenterPoses(self.images[rows], self.centers[rows], self.points[rows], cells)

    def __len__(self) -> int:
        return len(self.images)


def poses_at_centers(
    scales: Sequence[RegressionOutputs],
    image_size: Size,
    *,
    max_people: int,
    nms_kernel: Callable[[Size], int],
    center_threshold: float,
    scale_decrease: float = 1.0,
    frame: Frame = "center",
    enlarge: bool = False,
) -> CenterPoses:
    """Detect the centers of each scale and regress the pose of each: finer scales and higher first.

    Poses that are not finite are dropped.

    Args:
        scales: outputs for the same images at several scales; the first is the main one.
        image_size: (H, W) of the network input that all of them cover, px.
        max_people: maximum number of centers of each scale.
        nms_kernel: returns the odd side of the window in which a center must be the maximum, for a
            map of (h, w) cells: in cells, or in px with ``enlarge``.
        center_threshold: minimum score of a center, exclusive.
        scale_decrease: factor of the center scores of all scales but the first, after they were
            scaled to the same maximum.
        frame: of the result.
        enlarge: detect centers in maps upsampled to the image, as LOGO-CAP's official code does.
            The offset of a pose is then read in a cell but subtracted from the pixel of the center.

    Returns:
        The poses of all scales, image by image.
    """
    peaks = [
        _peaks(scale, image_size, max_people, nms_kernel, center_threshold, enlarge)
        for scale in scales
    ]
    maxima = (of_scale.values[:, 0, :1] for of_scale in peaks)
    highest = [torch.where(each > 0, each, 1.0) for each in maxima]  # 0 in a map without peaks
    found = []
    for index in sorted(range(len(scales)), key=lambda i: scales[i].centers.numel(), reverse=True):
        scale, values = scales[index], peaks[index].values[:, 0]
        centers: Tensor = peaks[index].cells[:, 0]
        if index > 0:
            values = values / highest[index] * highest[0] * scale_decrease
        size = _size(scale)
        if enlarge:
            # Not an integer at other scales, whose sides are rounded to multiples of their own.
            stride = torch.tensor([image_size[1] / size[1], image_size[0] / size[0]])
            centers = centers / stride.to(centers.device)
            cells = centers.floor().long()
        else:
            cells = centers
        images = torch.arange(len(values), device=values.device)[:, None].expand(values.shape)
        offsets = scale.offsets[images, :, :, cells[..., 1], cells[..., 0]].float()
        points = cell_to_px(centers[:, :, None] - offsets, image_size, size, frame)
        found.append((images, values, points, cells, peaks[index].values[:, 0] > 0))
    images, values, points, cells, kept = (
        torch.cat(each, dim=1) for each in zip(*found, strict=True)
    )
    # The only place where a GPU is waited for, besides the search of peaks.
    rows = (kept & points.isfinite().flatten(2).all(dim=2)).flatten().nonzero().squeeze(1)
    columns = (each.flatten(0, 1)[rows] for each in (images, values, points, cells))
    return CenterPoses(*columns)


def _peaks(
    scale: RegressionOutputs,
    image_size: Size,
    max_people: int,
    nms_kernel: Callable[[Size], int],
    center_threshold: float,
    enlarge: bool,
) -> Peaks:
    maps = scale.centers
    if enlarge:
        maps = F.interpolate(maps.float(), size=image_size, mode="bilinear", align_corners=False)
    return find_peaks(maps, max_people, nms_kernel(_size(scale)), center_threshold)


def _size(scale: RegressionOutputs) -> Size:
    height, width = scale.centers.shape[-2:]
    return height, width
