"""LOGO-CAP decoding: local-global contextual adaptation of regressed poses, then pose NMS.

.. math::
    \\tilde H_{nk} = K_{nk} * (G_\\sigma \\cdot H_k[x_{nk}]), \\qquad
    \\hat x_{nk} = x_{nk} + \\lambda d^{(1)}_{nk} + (1 - \\lambda) d^{(2)}_{nk}

The global window of heatmap ``H_k`` around a regressed keypoint ``x_nk`` is weighted by a Gaussian
(LOGO-CAP, Eq. 1) and convolved with the keypoint attraction map ``K_nk``, a kernel predicted from
the local context of the pose (Eq. 2). The refined keypoint is the mean of the two highest cells,
displaced by ``d`` from the center of the window, with the weight λ of the highest (Eq. 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.decoders.center_options import CenterOptions
from poselib.decoders.pose_nms import batched_pose_nms, to_poses
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.dynamic_convolution import Ties, convolve_each, highest_cell, soft_argmax_top2
from poselib.ops.keypoint_expansion import KeypointExpansion, global_context, local_context
from poselib.ops.map_coordinates import average_heatmaps, half_pixel
from poselib.ops.window_sampling import chunks, sample_windows
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.structures import Poses

Prior = Literal["both", "attraction", "expansion", "box"]


@dataclass(frozen=True)
class LocalGlobalOptions(CenterOptions):
    """Options of LOGO-CAP decoding; the defaults are those of the paper and its official code.

    In frame ``"index"`` the kernel of center detection is in px, since centers are detected in
    upsampled maps there.

    Attributes:
        expansion: the windows around keypoints in which context is read.
        adapt: whether keypoints are refined; without it they stay where they were regressed, the
            official code's adaptation level "none".
        prior: what refines them (Table 7): ``"both"``, global windows convolved with the attraction
            maps, level "full"; ``"attraction"``, the highest cell of the attraction map, level
            "partial". Two controls of our own: ``"expansion"``, global windows alone, and
            ``"box"``, these convolved with ones, which shows what a filter adds by smoothing.
        ties: of equal highest cells of an attraction map, many where it is cut off at 1:
            ``"first"`` of them, the upper left, as in the official code, or their ``"mean"``.
        top_weight: weight λ of the highest cell in the mean of the two highest, 0.5 to 1.
        nms_kernel, nms_distance, and others: see ``CenterOptions``.

    Raises:
        ValueError: an option is out of range or unknown.
    """

    expansion: KeypointExpansion
    _: KW_ONLY
    adapt: bool = True
    prior: Prior = "both"
    ties: Ties = "first"
    top_weight: float = 0.75
    nms_kernel: int = 3
    nms_distance: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("prior", get_args(Prior)), ("ties", get_args(Ties))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        if not 0.5 <= self.top_weight <= 1:
            raise ValueError(f"top_weight must be a weight from 0.5 to 1, not {self.top_weight}")


@dataclass(frozen=True)
class RefinedPoses:
    """Candidate poses after adaptation (or without it), before NMS.

    Attributes:
        people: n poses, px of the frame.
        scores: (n, K) heatmap score of each keypoint.
    """

    people: CenterPoses
    scores: Tensor

    @property
    def weighted(self) -> Tensor:
        """(n, K) keypoint scores multiplied by the center score (Eq. 3)."""
        return self.people.centers[:, None] * self.scores

    @property
    def person_scores(self) -> Tensor:
        """(n,) mean of the weighted keypoint scores."""
        return self.weighted.mean(dim=1)

    def __getitem__(self, rows: Tensor) -> RefinedPoses:
        return RefinedPoses(self.people[rows], self.scores[rows])


@torch.no_grad()
def decode_local_global(outputs: RegressionOutputs, options: LocalGlobalOptions) -> list[Poses]:
    """Decode regressed poses, refined by local and global context (LOGO-CAP, Sec. 3.1).

    A keypoint's score is its refined heatmap score times the center score; a person's score is the
    mean over the keypoints (Eq. 3). As in the official code, detections whose score is not above 0
    are dropped. A keypoint whose own score is not above 0, which the paper drops, stays where it
    was regressed and gets the smallest positive score. Outputs without an embedding are not
    refined.

    With several scales, the poses of all are candidates, and heatmaps and embeddings are averaged.
    The official code means to do the same, but a slip keeps it from taking other scales' poses.

    Args:
        outputs: of one or more scales, any values. Map values that are not finite count as 0, and
            poses that are not finite are dropped.
        options: see ``LocalGlobalOptions``.

    Returns:
        One ``Poses`` per image, in px of the network input.

    Example:
        >>> heatmaps, centers = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)
        >>> offsets = torch.zeros(1, 2, 2, 8, 8)
        >>> heatmaps[0, 0, 2, 4], heatmaps[0, 1, 6, 4], centers[0, 0, 4, 4] = 1.0, 1.0, 0.9
        >>> offsets[0, :, 1, 4, 4] = torch.tensor([1.5, -1.5])  # half a cell short of the peaks
        >>> outputs = LocalGlobalOutputs(
        ...     heatmaps, centers, offsets, (32, 32), embedding=torch.zeros(1, 4, 8, 8),
        ...     attraction_network=lambda context: torch.ones(len(context), 2, 5, 5),
        ... )
        >>> options = LocalGlobalOptions(KeypointExpansion(torch.ones(2), 5, 25), top_weight=1.0)
        >>> (regressed,) = decode_without_adaptation(outputs, options)
        >>> (refined,) = decode_local_global(outputs, options)
        >>> regressed.keypoints.tolist(), refined.keypoints.tolist()
        ([[[18.0, 12.0], [18.0, 24.0]]], [[[18.0, 10.0], [18.0, 26.0]]])
    """
    refined = refine_poses(outputs, propose_poses(outputs, options), options)
    return finalize(refined, options, len(outputs.centers))


@torch.no_grad()
def decode_without_adaptation(
    outputs: RegressionOutputs, options: LocalGlobalOptions
) -> list[Poses]:
    """Return the same detections as ``decode_local_global``, with keypoints before adaptation.

    Rows and scores are identical, so that the two differ by adaptation alone. (Decoding with
    ``adapt=False`` scores differently and may keep other duplicates.)

    Args:
        outputs, options: as for ``decode_local_global``.
    """
    people = propose_poses(outputs, options)
    refined = refine_poses(outputs, people, options)
    rows = nms_rows(refined, options)
    return _split_by_image(refined[rows], people[rows], options, len(outputs.centers))


@torch.no_grad()
def attraction_maps_of_detections(
    outputs: LocalGlobalOutputs, options: LocalGlobalOptions
) -> Tensor:
    """Return the keypoint attraction maps of the detections of ``decode_local_global``, row by row.

    Args:
        outputs: of one image.
        options: as for ``decode_local_global``.

    Returns:
        (P, K, r, r) float32 in [0, 1], r the side of the local window.
    """
    people = propose_poses(outputs, options)
    kept = people[nms_rows(refine_poses(outputs, people, options), options)]
    return attraction_maps(outputs, read_local_context(outputs, kept, options.expansion))


def propose_poses(outputs: RegressionOutputs, options: LocalGlobalOptions) -> CenterPoses:
    """Return the candidate poses regressed at the detected centers, px of the frame."""
    return poses_at_centers(
        (outputs, *outputs.other_scales),
        outputs.image_size,
        max_people=options.max_people,
        nms_kernel=lambda _: options.nms_kernel,
        center_threshold=options.center_threshold,
        scale_decrease=options.scale_decrease,
        frame=options.expansion.frame,
        enlarge=options.expansion.frame == "index",
    )


def refine_poses(
    outputs: RegressionOutputs, people: CenterPoses, options: LocalGlobalOptions
) -> RefinedPoses:
    """Refine the keypoints of candidate poses as the options say, and score them."""
    expansion = options.expansion
    if not options.adapt or not isinstance(outputs, LocalGlobalOutputs):
        heatmaps = _average([s.heatmaps for s in (outputs, *outputs.other_scales)], outputs)
        scores = sample_windows(
            heatmaps, people.images, people.points, 1, outputs.image_size, frame=expansion.frame
        )
        return RefinedPoses(people, scores.flatten(1))
    if options.prior == "expansion":
        return refine_by_global_windows(outputs, people, None, options)
    if options.prior == "box":
        kernels = people.points.new_ones((*people.points.shape[:2], *2 * (expansion.local_window,)))
        return refine_by_global_windows(outputs, people, kernels, options)
    kernels = attraction_maps(outputs, read_local_context(outputs, people, expansion))
    if options.prior == "attraction":
        shift, scores = highest_cell(kernels, options.ties)
        px = expansion.step * expansion.rates.to(shift)[:, None]
        return _move_positive(people, people.points + px * shift, scores)
    return refine_by_global_windows(outputs, people, kernels, options)


def read_local_context(
    outputs: LocalGlobalOutputs, people: CenterPoses, expansion: KeypointExpansion
) -> Tensor:
    """Read the local context (n, K * D, r, r) of n poses in the mean embedding of all scales."""
    scales = (outputs, *outputs.other_scales)
    embeddings = [s.embedding for s in scales if isinstance(s, LocalGlobalOutputs)]
    return local_context(_average(embeddings, outputs), people, expansion, outputs.image_size)


def attraction_maps(outputs: LocalGlobalOutputs, context: Tensor) -> Tensor:
    """Predict the keypoint attraction maps (n, K, r, r) in [0, 1] from local context."""
    return outputs.attraction_network(context).float().nan_to_num(0.0).clamp(0, 1)


def refine_by_global_windows(
    outputs: RegressionOutputs,
    people: CenterPoses,
    kernels: Tensor | None,
    options: LocalGlobalOptions,
) -> RefinedPoses:
    """Move keypoints to the two highest cells of their global windows (LOGO-CAP, Eqs. 1-3).

    Args:
        outputs: of one or more scales.
        people: n poses.
        kernels: (n, K, r, r) keypoint attraction maps to convolve the windows with; None for the
            windows alone.
        options: expansion and ``top_weight``.
    """
    expansion = options.expansion
    heatmaps = _average([s.heatmaps for s in (outputs, *outputs.other_scales)], outputs)
    refined = []
    for rows in chunks(people.points):
        part = people[rows]
        windows = global_context(heatmaps, part, expansion, outputs.image_size)
        if kernels is not None:
            windows = convolve_each(windows, kernels[rows])
        shift, scores = soft_argmax_top2(windows, options.top_weight)
        refined.append(_move_positive(part, part.points + expansion.step * shift, scores))
    points = torch.cat([each.people.points for each in refined])
    scores = torch.cat([each.scores for each in refined])
    return RefinedPoses(replace(people, points=points), scores)


def finalize(refined: RefinedPoses, options: LocalGlobalOptions, images: int) -> list[Poses]:
    """Apply pose NMS to refined poses and split them by image, in px of the network input."""
    kept = refined[nms_rows(refined, options)]
    return _split_by_image(kept, kept.people, options, images)


def nms_rows(refined: RefinedPoses, options: LocalGlobalOptions) -> Tensor:
    """Return the indices (m,) int64 of the poses kept by score and by pose NMS."""
    return batched_pose_nms(
        refined.people,
        refined.person_scores,
        distance=options.nms_distance,
        fraction=options.nms_fraction,
        max_people=options.max_people,
        above=0.0,
    )


def _split_by_image(
    refined: RefinedPoses, people: CenterPoses, options: LocalGlobalOptions, images: int
) -> list[Poses]:
    shifted = replace(people, points=people.points + half_pixel(options.expansion.frame))
    return to_poses(shifted, refined.weighted, refined.person_scores, images)


def _move_positive(people: CenterPoses, points: Tensor, scores: Tensor) -> RefinedPoses:
    """Move keypoints whose score is positive; leave the others where they were regressed."""
    # Where a window is 0 throughout, the argmax is any of its cells.
    points = torch.where((scores > 0)[..., None], points, people.points)
    return RefinedPoses(replace(people, points=points), torch.where(scores > 0, scores, 0.0))


def _average(maps: Sequence[Tensor], outputs: RegressionOutputs) -> Tensor:
    # Maps are enlarged alike in both frames, as the official code does: what differs is reading.
    return (
        maps[0].float() if len(maps) == 1 else average_heatmaps(maps, outputs.image_size, "center")
    )
