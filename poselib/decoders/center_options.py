"""Options that all center-based decoders share: detection of centers and pose NMS."""

from __future__ import annotations

import math
from dataclasses import dataclass

from poselib.ops.peaks import check_kernel


@dataclass(frozen=True, kw_only=True)
class CenterOptions:
    """Options of center detection and pose NMS.

    Attributes:
        nms_kernel: odd side, in cells, of the window in which a center must be the maximum. None:
            by the size of the map, see ``decoders.regression.RegressionOptions.window``.
        center_threshold: minimum score of a center, exclusive.
        max_people: maximum number of centers per scale, and of detections per image.
        nms_distance: keypoints of two poses coincide if they are nearer than this, in units of the
            diagonal of the pose. None: as in DEKR's code, 0.05 for one scale and 0.15 for several.
        nms_fraction: poses of which more than this fraction of keypoints coincides are duplicates:
            a half for both COCO (more than 8) and CrowdPose (more than 7).
        scale_decrease: factor of the center scores of all scales but the first, after they were
            scaled to the same maximum; 0.9 for COCO and 0.8 for CrowdPose in DEKR's code.

    Raises:
        ValueError: an option is out of range.
    """

    nms_kernel: int | None = None
    center_threshold: float = 0.01
    max_people: int = 30
    nms_distance: float | None = None
    nms_fraction: float = 0.5
    scale_decrease: float = 0.9

    def __post_init__(self) -> None:
        if self.nms_kernel is not None:
            check_kernel(self.nms_kernel, "nms_kernel")
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, not {self.max_people}")
        for name in ("center_threshold", "nms_distance", "scale_decrease"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number, not negative: {value}")
        if not 0 <= self.nms_fraction < 1:
            raise ValueError(
                f"nms_fraction must be at least 0 and below 1, not {self.nms_fraction}"
            )
