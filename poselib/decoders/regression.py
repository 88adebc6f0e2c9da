"""From center maps, heatmaps and offset maps to poses: the whole decoding of regression outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from poselib.decoders.peak_matching import snap_to_peaks
from poselib.decoders.pose_nms import batched_pose_nms, to_poses
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel, sample_heatmaps
from poselib.ops.peaks import SUBPIXEL, Subpixel
from poselib.outputs import RegressionOutputs
from poselib.structures import Poses, Size

# ((N, K, 2) keypoints in px, (N, K) their heats times the center's) -> (N,) factors of the
# persons' scores
Scorer = Callable[[Tensor, Tensor], Tensor]

# Mean of a center map's height and width, cells, above which its window is larger, as published.
_WINDOWS = ((300, 7), (200, 5))


@dataclass(frozen=True)
class RegressionOptions:
    """How regression outputs become poses; the defaults are those of DEKR's code for COCO.

    Attributes:
        frame: what a cell stands for: ``"center"``, as trained here, the middle of the square that
            it covers; ``"index"``, as in DEKR's published weights, its first pixel, whose center
            is at its index.
        nms_kernel: odd side, in cells, of the window in which a center is the highest. None: 7, 5
            or 3 by the size of the map, as published.
        center_threshold: a center must exceed this.
        max_people: centers of each scale, and people in the end, at most.
        distance: keypoints of two poses are the same where they are nearer than this, in sizes of
            the pose. None: as published, 0.05 for one scale and 0.15 for several.
        share: more than this part of all keypoints is the same in poses of the same person; a half
            for both COCO (more than 8) and CrowdPose (more than 7).
        scale_decrease: factor of the centers of all scales but the first, after their highest was
            made as high as the first one's; 0.9 for COCO and 0.8 for CrowdPose.
        match: whether keypoints are moved to the nearest peak of the heatmaps (DEKR, Table 6).
        match_distance: px of the network input from which on a peak is too far.
        subpixel: how peaks are placed within their cell, one of ``poselib.ops.peaks.SUBPIXEL``.

    Raises:
        ValueError: an option is none of those above.
    """

    frame: Frame = "center"
    nms_kernel: int | None = None
    center_threshold: float = 0.01
    max_people: int = 30
    nms_distance: float | None = None
    nms_fraction: float = 0.5
    scale_decrease: float = 0.9
    match: bool = False
    match_distance: float = 75.0
    subpixel: Subpixel = "parabola"

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise ValueError(f"frame must be one of {FRAMES}, not {self.frame!r}")
        if self.nms_kernel is not None and (self.nms_kernel < 1 or self.nms_kernel % 2 == 0):
            raise ValueError(
                f"nms_kernel must be an odd positive number of cells, not {self.nms_kernel}"
            )
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, not {self.max_people}")
        for name in ("center_threshold", "nms_distance", "scale_decrease", "match_distance"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number, not negative: {value}")
        if not 0 <= self.nms_fraction < 1:
            raise ValueError(
                f"nms_fraction must be at least 0 and below 1, not {self.nms_fraction}"
            )
        if self.subpixel not in SUBPIXEL:
            raise ValueError(f"unknown subpixel method {self.subpixel!r}; known: {SUBPIXEL}")

    def window(self, size: Size) -> int:
        """Side of the window of a center in a map of (h, w) cells."""
        if self.nms_kernel is not None:
            return self.nms_kernel
        mean = (size[0] + size[1]) / 2
        return next((side for limit, side in _WINDOWS if mean > limit), 3)


@torch.no_grad()
def decode_regression(
    outputs: RegressionOutputs,
    options: RegressionOptions | None = None,
    score: Scorer | None = None,
) -> list[Poses]:
    """Find the people in each image of a batch (DEKR, Sec. 3.3).

    A keypoint's score is its heat; a person's is the mean of the heats times the center's, times
    what ``score`` says. The official code multiplies each keypoint's with the center's too, so that
    it no longer says how sure the keypoint is; its scores of persons are the same. All keypoints of
    a person are present, those of no heat with a score just above 0. A pose that is not finite is
    nobody's, and heat that is not finite counts as 0.

    Maps on a GPU stay there: what leaves it are the poses at the centers, and the finished ones.

    Args:
        outputs: of one or more scales; any values.
        options: defaults to ``RegressionOptions()``.
        score: given the keypoints of all people of the batch, as they will be returned, and their
            heats times the center's, which may be negative, on the device of the outputs, says what
            to multiply the persons' scores with; NaN counts as 0. It is not called if there are
            none. Defaults to that of the outputs.

    Returns:
        One ``Poses`` an image, in px of the network input.

    Raises:
        ValueError: ``score`` returns no number for each person.
    """
    options, score = options or RegressionOptions(), score or outputs.scorer
    scales = (outputs, *outputs.other_scales)
    people = poses_at_centers(
        scales,
        outputs.image_size,
        max_people=options.max_people,
        nms_kernel=options.window,
        center_threshold=options.center_threshold,
        scale_decrease=options.scale_decrease,
        frame=options.frame,
    )
    read = [
        sample_heatmaps(s.heatmaps, people.images, people.points, outputs.image_size, options.frame)
        for s in scales
    ]
    heat = torch.stack(read).mean(dim=0)
    kept = _kept(people, heat, options, several=len(scales) > 1)
    points, images, values = people.points[kept], people.images[kept], heat[kept]
    if options.match:
        points = snap_to_peaks(
            points,
            images,
            [s.heatmaps for s in scales],
            outputs.image_size,
            options.frame,
            distance=options.match_distance,
            count=options.max_people,
            subpixel=options.subpixel,
        )
    found = CenterPoses(images, people.centers[kept], points + half_pixel(options.frame))
    return _poses(found, values, len(outputs.centers), score)


def _kept(people: CenterPoses, heat: Tensor, options: RegressionOptions, several: bool) -> Tensor:
    """Return the rows of people to keep, of each image one after another."""
    distance = options.nms_distance
    if distance is None:
        distance = 0.15 if several else 0.05
    return batched_pose_nms(
        people,
        heat.mean(dim=1),
        distance=distance,
        fraction=options.nms_fraction,
        max_people=options.max_people,
    )


def _poses(people: CenterPoses, heat: Tensor, count: int, score: Scorer | None) -> list[Poses]:
    weighted = people.centers[:, None] * heat
    person_scores = weighted.mean(dim=1)
    if score is not None and len(heat):
        person_scores = person_scores * _factors(score, people.points, weighted)
    return to_poses(people, heat, person_scores, count)


def _factors(score: Scorer, points: Tensor, heats: Tensor) -> Tensor:
    factors = score(points, heats)
    if factors.shape != heats.shape[:1]:
        raise ValueError(
            f"score must return {len(heats)} numbers, one a person, not {tuple(factors.shape)}"
        )
    return torch.where(factors.isnan(), 0.0, factors)
