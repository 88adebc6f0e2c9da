r"""LOGO-CAP losses: OKS loss of the attraction maps and MSE of the refined heatmaps.

.. math::
    L_K = s_{n^*} \sum_{k, i, j} s_k \left( K_{kij} - S_{kij} \right)^2, \qquad
    L_{\tilde H} = \frac{1}{|D|} \sum_{k, x} \left( \tilde H_k(x) - \tilde H_k^{GT}(x) \right)^2

The attraction map ``K`` of a pose regresses the keypoint similarity ``S`` of the cells of its local
windows (LOGO-CAP, Eq. 7): of each cell to the keypoint of the person the pose is assigned to. The
global windows refined by these maps (Eqs. 1, 2) regress a Gaussian at that keypoint (Sec. 3.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.losses.offset import Reduction, check_reduction
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.dynamic_convolution import convolve_each
from poselib.ops.keypoint_expansion import KeypointExpansion, global_context, local_context
from poselib.ops.map_coordinates import half_pixel
from poselib.ops.processes import Count, in_any_process, shared_count
from poselib.ops.window_sampling import window_steps
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Targets

AssignmentRule = Literal["mean", "max"]
Weighting = Literal["similarity", "improvement"]


@dataclass(frozen=True)
class AdaptationLossOptions:
    """Options of the adaptation losses.

    Attributes:
        expansion: the windows around keypoints in which context is read.
        sigmas: (K,) OKS constants.
        assignment: the ground-truth person that a pose is assigned to. ``"mean"``: the one with the
            highest keypoint similarity, at least ``min_similarity``, in the mean over all local
            cells (LOGO-CAP, Sec. 3.2); ``"max"``: the one with the highest similarity of the best
            local cell, in the mean over labeled keypoints, as in the official code.
        weighting: weight of each keypoint. ``"similarity"``: the pose's similarity (s_n* of Eq. 7)
            times the keypoint's (s_k); ``"improvement"``, of the official code: the similarity of
            the best local cell minus that of the center, for both losses.
        min_similarity: lower bound of similarities in the mean of ``"mean"``.
        min_oks: poses are left out if no shift by a local cell gives them this OKS, as in the
            official code; the paper does not say.
        refined_sigma: standard deviation of the target Gaussian of refined heatmaps, px. None: that
            of the Gaussian of Eq. (1), as in Sec. 3.2; the official code has 4 px.
        reduction: of the cells and keypoints of a pose in the loss of attraction maps: ``"mean"``,
            as in the official code, which the published λ belongs to, or ``"sum"`` (Eq. 7).
        max_people, nms_kernel: of the centers in each image; see ``LocalGlobalOptions``.

    Raises:
        ValueError: a name is unknown or a number out of range.
    """

    expansion: KeypointExpansion
    sigmas: Tensor
    assignment: AssignmentRule = "max"
    weighting: Weighting = "improvement"
    min_similarity: float = 0.5
    min_oks: float = 0.5
    refined_sigma: float | None = 4.0
    reduction: Reduction = "mean"
    max_people: int = 30
    nms_kernel: int = 3

    def __post_init__(self) -> None:
        for name, known in (("assignment", AssignmentRule), ("weighting", Weighting)):
            if getattr(self, name) not in get_args(known):
                value = getattr(self, name)
                raise ValueError(f"{name} must be one of {get_args(known)}, not {value!r}")
        check_reduction(self.reduction)
        if self.refined_sigma is not None and not 0 < self.refined_sigma < math.inf:
            raise ValueError(f"refined_sigma must be positive px, not {self.refined_sigma}")


@dataclass(frozen=True)
class Assignment:
    """Proposed poses, each with the ground-truth person it is assigned to.

    Attributes:
        people: n poses, px of the frame.
        similarity: (n, K, r, r) of each local cell to the assigned person's keypoint; 0 where that
            is not labeled.
        pose_oks: (n,) similarity of pose and person by the rule of the assignment, s_n* of Eq. (7).
        ground_truth: (n, K, 3) keypoints of the assigned person, px of the frame and visibility.
    """

    people: CenterPoses
    similarity: Tensor
    pose_oks: Tensor
    ground_truth: Tensor


def adaptation_losses(
    outputs: LocalGlobalOutputs, targets: Targets, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Compute the losses of attraction maps and of refined heatmaps (LOGO-CAP, Sec. 3.2).

    Poses are those that the outputs propose. They get no gradient here: what is learned is to
    refine them. Both losses are means over the assigned poses.

    Args:
        outputs: of the network in training.
        targets: of the same batch.
        options: see ``AdaptationLossOptions``.

    Returns:
        Two scalars; 0 if no pose is near enough to a person to be assigned.

    Example:
        >>> centers, offsets = torch.zeros(1, 1, 8, 8), torch.zeros(1, 2, 2, 8, 8)
        >>> centers[0, 0, 4, 4] = 0.9  # a pose with both keypoints at (18, 18)
        >>> outputs = LocalGlobalOutputs(
        ...     torch.zeros(1, 2, 8, 8), centers, offsets, (32, 32),
        ...     embedding=torch.zeros(1, 4, 8, 8),
        ...     attraction_network=lambda context: torch.zeros(len(context), 2, 3, 3),
        ... )
        >>> people = torch.tensor([[[[18.0, 18.0, 2.0], [19.0, 18.0, 2.0]]]])
        >>> targets = Targets((), (), people, areas=torch.tensor([[400.0]]), image_size=(32, 32))
        >>> expansion = KeypointExpansion(torch.ones(2), local_window=3, global_window=13)
        >>> options = AdaptationLossOptions(expansion, sigmas=torch.full((2,), 0.1))
        >>> attraction, refined = adaptation_losses(outputs, targets, options)
        >>> print(f"{attraction:.4f} {refined:.4f}")
        0.0134 0.0043
    """
    assignment = assign_targets(outputs, targets, options)
    people, size, expansion = assignment.people, targets.image_size, options.expansion
    count = shared_count(len(people), outputs.embedding.device)
    if not in_any_process(len(people) > 0):
        # Not a constant: backward finds a gradient.
        zero = 0.0 * (outputs.embedding.sum() + outputs.heatmaps.sum())
        return zero, zero
    attraction = outputs.attraction_network(
        local_context(outputs.embedding, people, expansion, size)
    ).float()
    # In full precision under autocast too: cells are told apart by small differences of values.
    with torch.autocast(attraction.device.type, enabled=False):
        windows = global_context(outputs.heatmaps.float(), people, expansion, size)
        refined = convolve_each(windows, attraction)
    weights, refined_weights = keypoint_weights(assignment, options.weighting)
    return (
        weighted_mse(attraction, assignment.similarity, weights, options.reduction, count),
        weighted_mse(refined, refined_targets(assignment, options), refined_weights, count=count),
    )


@torch.no_grad()
def assign_targets(
    outputs: LocalGlobalOutputs, targets: Targets, options: AdaptationLossOptions
) -> Assignment:
    """Assign each proposed pose to a ground-truth person; leave out poses far from everyone."""
    people = poses_at_centers(
        (outputs,),
        outputs.image_size,
        max_people=options.max_people,
        nms_kernel=lambda _: options.nms_kernel,
        center_threshold=0.0,
        frame=options.expansion.frame,
        enlarge=options.expansion.frame == "index",
    )
    # Ground truth in px of the frame that the poses are in.
    shift = targets.keypoints.new_tensor([*[half_pixel(options.expansion.frame)] * 2, 0.0])
    targets = replace(targets, keypoints=targets.keypoints - shift)
    if not targets.areas.numel():  # no people in the batch: as if each image had an unlabeled one
        keypoints = F.pad(targets.keypoints, (0, 0, 0, 0, 0, 1))
        targets = replace(targets, keypoints=keypoints, areas=F.pad(targets.areas, (0, 1)))
    person, pose_oks = match_ground_truth(people, targets, options)
    ground_truth = targets.keypoints[people.images, person]
    areas = targets.areas[people.images, person]
    x, y = separable_oks(people.points, ground_truth[:, None], areas[:, None], options)
    similarity = y[:, 0, :, None] * x[:, 0, None]
    labeled = (ground_truth[..., 2] > 0).sum(dim=-1).clamp(min=1)
    shifted_oks = similarity.sum(dim=-1) / labeled[:, None, None]
    near = shifted_oks.flatten(1).amax(dim=1) >= options.min_oks
    return Assignment(
        people[near], similarity[near].permute(0, 3, 1, 2), pose_oks[near], ground_truth[near]
    )


def match_ground_truth(
    people: CenterPoses, targets: Targets, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Find the ground-truth person most similar to each pose.

    Args:
        people: n poses.
        targets: ground truth in the frame of the poses.
        options: ``assignment`` is the rule.

    Returns:
        The index (n,) int64 of the person in its image, and the similarity (n,) float.
    """
    ground_truth = targets.keypoints[people.images]  # (n, P, K, 3)
    x, y = separable_oks(people.points, ground_truth, targets.areas[people.images], options)
    if options.assignment == "mean":
        # One person of each image at a time: the similarities of all cells to all people at once
        # would be the largest tensor of a training, and to sort each axis and add up what lies
        # above the bound takes two and a half times as long.
        means = [
            (down[:, :, None] * across[:, None]).clamp(min=options.min_similarity).mean(dim=(1, 2))
            for across, down in zip(x.unbind(dim=1), y.unbind(dim=1), strict=True)
        ]
        similarity = torch.stack(means, dim=1)
    else:
        similarity = x.amax(dim=2) * y.amax(dim=2)  # the best column in the best row
    return best_match(similarity, ground_truth[..., 2] > 0)


def best_match(similarity: Tensor, labeled: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best person for each pose, by the mean over the person's labeled keypoints.

    Args:
        similarity: (n, P, K) of each keypoint to that of each person.
        labeled: (n, P, K) bool; people without a labeled keypoint are never matched.

    Returns:
        (n,) int64 and (n,) float; -1 where no person is labeled.
    """
    total = (similarity * labeled).sum(dim=-1) / labeled.sum(dim=-1).clamp(min=1)
    best = torch.where(labeled.any(dim=-1), total, -1.0).max(dim=1)
    return best.indices, best.values


def keypoint_weights(assignment: Assignment, weighting: Weighting) -> tuple[Tensor, Tensor]:
    """Return the weights (n, K) of keypoints in the loss of attraction maps and of refined
    heatmaps.

    Where the paper gives none (refined heatmaps under ``"similarity"``), labeled keypoints have 1.
    """
    center = assignment.similarity.shape[-1] // 2
    at_center = assignment.similarity[:, :, center, center]
    if weighting == "similarity":
        labeled = assignment.ground_truth[..., 2] > 0
        return assignment.pose_oks[:, None] * at_center, labeled.to(at_center)
    gain = assignment.similarity.flatten(2).amax(dim=2) - at_center
    return gain, gain


def refined_targets(assignment: Assignment, options: AdaptationLossOptions) -> Tensor:
    """Return the targets (n, K, a, a) of refined heatmaps: a Gaussian at the assigned keypoint."""
    expansion = options.expansion
    sigma = expansion.sigma if options.refined_sigma is None else options.refined_sigma
    ground_truth = assignment.ground_truth
    steps = expansion.step * window_steps(expansion.global_window, ground_truth.device)
    offsets = assignment.people.points - ground_truth[..., :2]  # (n, K, 2)
    x, y = (
        torch.exp(-(offsets[..., axis, None] + steps).square() / (2 * sigma**2)) for axis in (0, 1)
    )
    return y[..., :, None] * x[..., None, :]


def weighted_mse(
    predicted: Tensor,
    target: Tensor,
    weights: Tensor,
    reduction: Reduction = "mean",
    count: Count | None = None,
) -> Tensor:
    """Compute the squared error of maps (n, K, r, r), each multiplied by its weight (n, K).

    It is a mean over n poses, or ``count`` of them, and over the cells of each a mean or a sum.
    """
    loss = (predicted - target).square().mean(dim=(2, 3)) * weights
    loss = loss.sum() / ((len(loss) if count is None else count) * loss.shape[1])
    return loss if reduction == "mean" else loss * predicted.shape[1:].numel()


def separable_oks(
    points: Tensor, ground_truth: Tensor, areas: Tensor, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Return the separable factors, along x and along y, of the keypoint similarity of local cells.

    The local cells of a keypoint form a grid (Algorithm 1): a column shares its x and a row its y,
    so that the similarities of r² cells are products of 2r exponentials.

    Args:
        points: (n, K, 2) px, the keypoints of poses.
        ground_truth: (n, P, K, 3), the people that each pose is compared with.
        areas: (n, P) px². Denominators below a millionth are set to it, as in the official code.
        options: the windows and the OKS constants.

    Returns:
        Factors of the columns and of the rows, (n, P, r, K) each; 0 for unlabeled keypoints.
    """
    expansion = options.expansion
    along = window_steps(expansion.local_window, points.device)[:, None]
    steps = expansion.step * expansion.rates.to(points) * along  # (r, K)
    spread = (2 * (2 * options.sigmas.to(points)) ** 2 * areas[..., None, None]).clamp(min=1e-6)
    offsets = points[:, None] - ground_truth[..., :2]  # (n, P, K, 2)
    labeled = ground_truth[:, :, None, :, 2] > 0
    x, y = (torch.exp(-(offsets[:, :, None, :, a] + steps).square() / spread) for a in (0, 1))
    return torch.where(labeled, x, 0.0), torch.where(labeled, y, 0.0)
