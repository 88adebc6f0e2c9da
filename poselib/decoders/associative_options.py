"""Options of associative embedding decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from poselib.decoders.grouping import GroupingOptions
from poselib.ops.peaks import check_kernel
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL, PeakSubpixel

TagFrame = Literal["center", "aligned"]


@dataclass(frozen=True)
class AssociativeOptions:
    """Options of associative decoding; the defaults are those of HAE's official configuration.

    Attributes:
        order: ``"progressive"`` (HAE, Algorithm 1), or all keypoint types in a fixed order, as
            ``keypoint_order`` returns it.
        grouping: thresholds and cost of the grouping.
        resolution: ``"image"`` upsamples all maps to the network input before decoding; ``"map"``
            decodes at the resolution of the finest map, faster and coarser.
        nms_kernel: odd side, in decoded cells, of the window in which a peak must be the maximum.
            None: 5 at image resolution, as published, and 3 at map resolution.
        subpixel, kernel: method of subpixel adjustment, see ``ops.taylor_peaks.peak_shift``.
        frame: what a cell of the maps stands for, see ``ops.map_coordinates``: ``"center"``, or
            ``"aligned"`` for weights of unbiased data processing (UDP).
        refine: whether keypoints that a person lacks are looked for.

    Raises:
        ValueError: an option is out of range or unknown.
    """

    order: Literal["progressive"] | Sequence[int] = "progressive"
    grouping: GroupingOptions = field(default_factory=GroupingOptions)
    resolution: Literal["image", "map"] = "image"
    nms_kernel: int | None = None
    subpixel: PeakSubpixel = "quarter"
    kernel: int = 3
    frame: TagFrame = "center"
    refine: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.order, str) and self.order != "progressive":
            raise ValueError(
                f"order must be 'progressive' or a sequence of keypoint types, not {self.order!r}"
            )
        if self.resolution not in ("image", "map"):
            raise ValueError(f"resolution must be 'image' or 'map', not {self.resolution!r}")
        if self.nms_kernel is not None:
            check_kernel(self.nms_kernel, "nms_kernel")
        if self.subpixel not in PEAK_SUBPIXEL:
            raise ValueError(f"unknown subpixel method {self.subpixel!r}; known: {PEAK_SUBPIXEL}")
        check_kernel(self.kernel)
        if self.frame not in get_args(TagFrame):
            raise ValueError(f"frame must be one of {get_args(TagFrame)}, not {self.frame!r}")

    @property
    def window(self) -> int:
        """Side of the NMS window of peaks, in decoded cells."""
        return self.nms_kernel or (5 if self.resolution == "image" else 3)
