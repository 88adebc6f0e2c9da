"""Plain counterparts of operations on maps."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from poselib.ops.map_coordinates import Frame


def upsampled(maps: torch.Tensor, size: tuple[int, int], frame: Frame) -> torch.Tensor:
    """Enlarge whole maps; in frame "index" keep the first and last cell, and repeat the last."""
    if frame == "center":
        return F.interpolate(maps, size, mode="bilinear", align_corners=False)
    steps = [n // m for n, m in zip(size, maps.shape[-2:], strict=True)]
    inner = [n - step + 1 for n, step in zip(size, steps, strict=True)]
    grown = F.interpolate(maps, inner, mode="bilinear", align_corners=True)
    return F.pad(grown, (0, steps[1] - 1, 0, steps[0] - 1), mode="replicate")
