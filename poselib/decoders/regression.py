r"""Center-offset decoding: from center maps, heatmaps and offsets to poses (DEKR, Sec. 3.3).

.. math::
    x_{nk} = c_n - o_k(c_n), \qquad s_n = C(c_n) \cdot \frac{1}{K} \sum_k H_k(x_{nk})

Centers ``c_n`` are the peaks of the center map. Each keypoint is regressed from the offset in the
cell of its center and scored by its heatmap; duplicates are removed by pose NMS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from poselib.decoders.center_options import CenterOptions
from poselib.decoders.peak_matching import snap_to_peaks
from poselib.decoders.pose_nms import batched_pose_nms, to_poses
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel, sample_heatmaps
from poselib.ops.peaks import SUBPIXEL, Subpixel
from poselib.outputs import RegressionOutputs
from poselib.structures import Poses, Size

# ((N, K, 2) keypoints in px, (N, K) their heatmap values times the center score) -> (N,) factors of
# the person scores
Scorer = Callable[[Tensor, Tensor], Tensor]

# (mean of a center map's height and width above which it applies, NMS window), cells, as published.
_WINDOWS = ((300, 7), (200, 5))


@dataclass(frozen=True, kw_only=True)
class RegressionOptions(CenterOptions):
    """Options of regression decoding; the defaults are those of DEKR's official code for COCO.

    Attributes:
        frame: what a cell of a map stands for: ``"center"``, as trained here, the center of the
            square that it covers; ``"index"``, as in DEKR's published weights, its first pixel.
            See ``ops.map_coordinates``.
        match: whether keypoints are moved to the nearest heatmap peak (DEKR, Table 6).
        match_distance: maximum distance of that peak, exclusive, px of the network input.
        subpixel: method of placing peaks, one of ``poselib.ops.peaks.SUBPIXEL``.

    Raises:
        ValueError: an option is out of range or unknown.
    """

    frame: Frame = "center"
    match: bool = False
    match_distance: float = 75.0
    subpixel: Subpixel = "parabola"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frame not in FRAMES:
            raise ValueError(f"frame must be one of {FRAMES}, not {self.frame!r}")
        if not 0 <= self.match_distance < math.inf:
            raise ValueError(
                f"match_distance must be a finite number, not negative: {self.match_distance}"
            )
        if self.subpixel not in SUBPIXEL:
            raise ValueError(f"unknown subpixel method {self.subpixel!r}; known: {SUBPIXEL}")

    def window(self, size: Size) -> int:
        """Return the side of the NMS window of centers in a map of (h, w) cells."""
        if self.nms_kernel is not None:
            return self.nms_kernel
        mean = (size[0] + size[1]) / 2
        return next((side for limit, side in _WINDOWS if mean > limit), 3)

    def distance_of(self, scales: int) -> float:
        """Return the distance of pose NMS for outputs of so many scales."""
        if self.nms_distance is not None:
            return self.nms_distance
        return 0.15 if scales > 1 else 0.05


@torch.no_grad()
def decode_regression(
    outputs: RegressionOutputs,
    options: RegressionOptions | None = None,
    score: Scorer | None = None,
) -> list[Poses]:
    """Decode center maps, heatmaps and offsets of a batch into poses (DEKR, Sec. 3.3).

    A keypoint's score is its heatmap value. A person's score is the mean of these, times the center
    score and the factor of ``score``. The official code multiplies keypoint scores by the center
    score too, so that they no longer rate the keypoint alone; its person scores are the same. All
    keypoints of a detection are present: those with no heatmap value get the smallest positive
    score. Poses that are not finite are dropped, and map values that are not finite count as 0.
    Only candidate and finished poses are transferred from a GPU.

    Args:
        outputs: of one or more scales, any values.
        options: defaults to ``RegressionOptions()``.
        score: returns a factor for the score of each person, from the keypoints of all people of
            the batch as they will be returned, and their heatmap values times the center score,
            which may be negative, on the device of the outputs. NaN counts as 0. It is not called
            without people. Defaults to that of the outputs.

    Returns:
        One ``Poses`` per image, in px of the network input.

    Raises:
        ValueError: ``score`` does not return one number for each person.

    Example:
        >>> heatmaps, centers = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)
        >>> offsets = torch.zeros(1, 2, 2, 8, 8)
        >>> heatmaps[0, 0, 2, 4], heatmaps[0, 1, 6, 4], centers[0, 0, 4, 4] = 0.8, 0.6, 0.5
        >>> offsets[0, :, 1, 4, 4] = torch.tensor([2.0, -2.0])  # center minus keypoint, in cells
        >>> (poses,) = decode_regression(RegressionOutputs(heatmaps, centers, offsets, (32, 32)))
        >>> poses.keypoints.tolist()
        [[[18.0, 10.0], [18.0, 26.0]]]
        >>> print(f"{poses.person_scores[0]:.2f}")  # (0.8 + 0.6) / 2 * 0.5
        0.35
    """
    options, score = options or RegressionOptions(), score or outputs.scorer
    people, scores = propose_poses(outputs, options)
    kept = nms_rows(people, scores, options, 1 + len(outputs.other_scales))
    people, scores = people[kept], scores[kept]
    points = matched_keypoints(outputs, people, options) + half_pixel(options.frame)
    people = replace(people, points=points)
    weighted = people.centers[:, None] * scores
    person_scores = weighted.mean(dim=1)
    if score is not None and len(scores):
        person_scores = person_scores * _factors(score, people.points, weighted)
    return to_poses(people, scores, person_scores, len(outputs.centers))


def propose_poses(
    outputs: RegressionOutputs, options: RegressionOptions
) -> tuple[CenterPoses, Tensor]:
    """Return the poses regressed at the detected centers, and (n, K) heatmap values of theirs."""
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
    return people, keypoint_values(outputs, people, options)


def keypoint_values(
    outputs: RegressionOutputs, people: CenterPoses, options: RegressionOptions
) -> Tensor:
    """Return the heatmap values (n, K) at the keypoints of n poses, the mean over all scales."""
    values = [
        sample_heatmaps(s.heatmaps, people.images, people.points, outputs.image_size, options.frame)
        for s in (outputs, *outputs.other_scales)
    ]
    return torch.stack(values).mean(dim=0)


def nms_rows(
    people: CenterPoses, scores: Tensor, options: RegressionOptions, scales: int
) -> Tensor:
    """Return the indices (m,) int64 of the poses kept by pose NMS, of outputs of so many scales."""
    return batched_pose_nms(
        people,
        scores.mean(dim=1),
        distance=options.distance_of(scales),
        fraction=options.nms_fraction,
        max_people=options.max_people,
    )


def matched_keypoints(
    outputs: RegressionOutputs, people: CenterPoses, options: RegressionOptions
) -> Tensor:
    """Return keypoints (n, K, 2), px of the frame, moved to heatmap peaks if the options say so."""
    if not options.match:
        return people.points
    return snap_to_peaks(
        people.points,
        people.images,
        [s.heatmaps for s in (outputs, *outputs.other_scales)],
        outputs.image_size,
        options.frame,
        max_distance=options.match_distance,
        max_peaks=options.max_people,
        subpixel=options.subpixel,
    )


def _factors(score: Scorer, points: Tensor, weighted: Tensor) -> Tensor:
    factors = score(points, weighted)
    if factors.shape != weighted.shape[:1]:
        raise ValueError(
            f"score must return {len(weighted)} numbers, one a person, not {tuple(factors.shape)}"
        )
    return torch.where(factors.isnan(), 0.0, factors)
