"""Argmax decoding: the highest cell of each heatmap is the keypoint of the image's only person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame, cell_to_px, half_pixel
from poselib.ops.peaks import check_kernel, highest_cells, sample_cells, without_nonfinite
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL, PeakSubpixel, peak_shift, smoothed
from poselib.outputs import HeatmapOutputs, RegressionOutputs
from poselib.structures import Poses


@dataclass(frozen=True)
class ArgmaxOptions:
    """Options of argmax decoding.

    Attributes:
        frame: what a cell of a map stands for, see ``ops.map_coordinates``: ``"index"`` for
            official weights, ``"aligned"`` for those of unbiased data processing (UDP).
        subpixel: how a peak is placed within its cell: one of ``ops.peaks.SUBPIXEL``, or
            ``"taylor"`` (DARK) or ``"newton"`` (UDP); see ``ops.taylor_peaks.peak_shift``.
            ``"quarter"`` is that of SimpleBaseline's official code, ``"none"`` of RPSTN's.
        kernel: side, in cells, of the Gaussian that smooths maps for DARK and UDP; odd.

    Raises:
        ValueError: an option is unknown or out of range.
    """

    frame: CropFrame = "center"
    subpixel: PeakSubpixel = "parabola"
    kernel: int = 11

    def __post_init__(self) -> None:
        if self.frame not in CROP_FRAMES:
            raise ValueError(f"frame must be one of {CROP_FRAMES}, not {self.frame!r}")
        if self.subpixel not in PEAK_SUBPIXEL:
            raise ValueError(f"unknown subpixel method {self.subpixel!r}; known: {PEAK_SUBPIXEL}")
        check_kernel(self.kernel)


@torch.no_grad()
def decode_argmax(outputs: HeatmapOutputs, options: ArgmaxOptions | None = None) -> list[Poses]:
    """Decode the heatmaps of a batch into one pose for each image.

    A keypoint is at the highest cell of its map, the first of equal ones in the order of rows, and
    its score is the value there. One whose map has no value above 0 is missing. The person's score
    is the mean of those of all K keypoints.

    Args:
        outputs: heatmaps (B, K, h, w); values that are not finite are never highest.
        options: of the decoding.

    Returns:
        One ``Poses`` of one person per image, px of the network input.

    Example:
        >>> heatmaps = torch.zeros(1, 1, 4, 4)
        >>> heatmaps[0, 0, 1, 2] = 0.9
        >>> (poses,) = decode_argmax(HeatmapOutputs(heatmaps, (16, 16)))
        >>> poses.keypoints.tolist(), round(float(poses.scores[0, 0]), 2)
        ([[[10.0, 6.0]]], 0.9)
    """
    options = options or ArgmaxOptions()
    maps = without_nonfinite(outputs.heatmaps.detach())
    cells, values = highest_cells(maps)
    channels = torch.arange(len(maps) * maps.shape[1], device=maps.device)
    shift = peak_shift(
        maps.flatten(0, 1), channels, cells.flatten(0, 1), options.subpixel, options.kernel
    ).view_as(cells)
    return _poses(cells + shift, values, outputs, options)


@torch.no_grad()
def decode_offsets(outputs: RegressionOutputs, options: ArgmaxOptions | None = None) -> list[Poses]:
    """Decode heatmaps of discs and the offsets in them into one pose for each image (UDP, Sec. 4).

    A keypoint is at the highest cell of its map, smoothed by a Gaussian of ``2 * kernel + 1``
    cells (the map is reflected outside), less the offset there; scores are as those of
    ``decode_argmax``.

    Args:
        outputs: of one person each: heatmaps (B, K, h, w), and offsets (B, K, 2, h, w), (x, y) in
            cells, the cell minus the keypoint; what is not finite counts as 0.
        options: of the decoding; ``subpixel`` is not read.

    Returns:
        One ``Poses`` of one person per image, px of the network input.
    """
    options = options or ArgmaxOptions()
    maps, offsets = (
        torch.where(each.isfinite(), each.float(), 0.0)
        for each in (outputs.heatmaps.detach(), outputs.offsets.detach())
    )
    blurred = smoothed(maps.flatten(0, 1), 2 * options.kernel + 1, reflect=True)
    cells, values = highest_cells(blurred.view_as(maps))
    shift = sample_cells(offsets, cells[:, :, None])[:, :, 0]
    return _poses(cells - shift, values, outputs, options)


def _poses(
    cells: Tensor,
    values: Tensor,
    outputs: HeatmapOutputs | RegressionOutputs,
    options: ArgmaxOptions,
) -> list[Poses]:
    """Return the poses of cells (B, K, 2), integer or not, and values (B, K)."""
    size = (outputs.heatmaps.shape[-2], outputs.heatmaps.shape[-1])
    px = cell_to_px(cells, outputs.image_size, size, options.frame)
    found = (values > 0)[..., None]
    points = torch.where(found, px + half_pixel(options.frame), 0.0)
    table = torch.cat([points, values.clamp(min=0.0)[..., None]], dim=-1).cpu().numpy()
    means = table[..., 2].mean(axis=1, dtype=np.float64).astype(np.float32)
    return [
        Poses(row[None, :, :2], row[None, :, 2], means[n : n + 1]) for n, row in enumerate(table)
    ]
