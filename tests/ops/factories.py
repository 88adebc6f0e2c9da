"""Plain counterparts of operations on maps."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from poselib.ops.map_coordinates import Frame
from poselib.ops.offsets import PersonSize, positive_cells
from poselib.structures import RegressionTargets


def upsampled(maps: torch.Tensor, size: tuple[int, int], frame: Frame) -> torch.Tensor:
    """Enlarge whole maps; in frame "index" keep the first and last cell, and repeat the last."""
    if frame == "center":
        return F.interpolate(maps, size, mode="bilinear", align_corners=False)
    steps = [n // m for n, m in zip(size, maps.shape[-2:], strict=True)]
    inner = [n - step + 1 for n, step in zip(size, steps, strict=True)]
    grown = F.interpolate(maps, inner, mode="bilinear", align_corners=True)
    return F.pad(grown, (0, steps[1] - 1, 0, steps[0] - 1), mode="replicate")


def offset_maps(
    targets: RegressionTargets, person_size: PersonSize = "diagonal"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the target offsets as dense maps; training needs none.

    Returns:
        Offsets (B, K, 2, h, w) in cells and weights (B, K, h, w), as of ``PositiveCells``; both 0
        in all other cells.
    """
    positive = positive_cells(targets, person_size)
    cells = (positive.images, positive.rows, positive.columns)
    batch, _, kinds, _ = targets.keypoints.shape
    height, width = targets.center_assignment.shape[-2:]
    offsets = positive.offsets.new_zeros(batch, height, width, kinds, 2)
    weights = positive.weights.new_zeros(batch, height, width, kinds)
    offsets[cells], weights[cells] = positive.offsets, positive.weights
    return offsets.permute(0, 3, 4, 1, 2), weights.permute(0, 3, 1, 2)
