"""From center maps and offset maps to the poses at the centers of people."""

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
    """The poses at the centers of several images, one row each, images one after another.

    Attributes:
        images: (n,) int64, the image of each.
        centers: (n,) float32, how likely each center is one.
        points: (n, K, 2) float32, finite, px of the frame.
    """

    images: Tensor
    centers: Tensor
    points: Tensor

    def __getitem__(self, rows: Tensor | slice) -> CenterPoses:
        """Return some of them: ``rows`` are numbers (m,), a mask (n,) or a slice."""
        return CenterPoses(self.images[rows], self.centers[rows], self.points[rows])

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
    """Find the centers of each scale and the poses there: finer scales first, higher ones first.

    Poses that are not finite are left out.

    Args:
        scales: of the same images; the first is the main one.
        image_size: (H, W) of the network input that all of them cover, px.
        max_people: centers of each scale at most.
        nms_kernel: odd side of the window in which a center is the highest, in cells of a map of
            (h, w) cells, or px with ``enlarge``.
        center_threshold: a center must exceed this.
        scale_decrease: factor of the centers of all scales but the first, after their highest was
            made as high as the first one's.
        frame: of the result.
        enlarge: look for centers in maps enlarged to the image, as LOGO-CAP's published code does.
            A pose then begins at the pixel of its center, though its offset is read in a cell.
    """
    found = [
        _peaks(s, image_size, max_people, nms_kernel, center_threshold, enlarge) for s in scales
    ]
    highest = [_or_one(peaks.values[:, 0, :1]) for peaks in found]
    people = []
    for which in sorted(range(len(scales)), key=lambda i: scales[i].centers.numel(), reverse=True):
        scale, values = scales[which], found[which].values[:, 0]
        images, entries = (values > 0).nonzero(as_tuple=True)
        places: Tensor = found[which].cells[images, 0, entries]
        if which > 0:
            values = values / highest[which] * highest[0] * scale_decrease
        size = _size(scale)
        if enlarge:
            # No whole number at other scales, whose sides are rounded to multiples of their own.
            step = torch.tensor([image_size[1] / size[1], image_size[0] / size[0]])
            places = places / step.to(places.device)
            cells = places.floor().long()
        else:
            cells = places
        offsets = scale.offsets[images, :, :, cells[:, 1], cells[:, 0]].float()
        points = cell_to_px(places[:, None] - offsets, image_size, size, frame)
        people.append((images, values[images, entries], points))
    images, centers, points = (torch.cat(column) for column in zip(*people, strict=True))
    order = images.sort(stable=True).indices
    order = order[points[order].isfinite().flatten(1).all(dim=1)]
    return CenterPoses(images[order], centers[order], points[order])


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


def _or_one(highest: Tensor) -> Tensor:
    """Replace 0, the value of a map without peaks."""
    return torch.where(highest > 0, highest, 1.0)
