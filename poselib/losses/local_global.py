"""The losses of what adapts poses: attraction of places, and heat after adaptation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.dynamic_convolution import convolve_each
from poselib.ops.keypoint_expansion import KeypointExpansion, global_context, local_context
from poselib.ops.map_coordinates import half_pixel
from poselib.ops.window_sampling import window_steps
from poselib.outputs import LocalGlobalOutputs
from poselib.structures import Targets

AssignmentRule = Literal["mean", "max"]
Weighting = Literal["similarity", "improvement"]


@dataclass(frozen=True)
class AdaptationLossOptions:
    """How poses that the network proposes are taught to be adapted.

    Attributes:
        meshes: the places around keypoints that are looked at.
        sigmas: (K,), the OKS constants.
        assignment: which annotated person a pose is taught by. ``"mean"``: the one whose keypoint
            similarities, of at least ``floor``, are highest in the mean over all places (LOGO-CAP,
            Sec. 3.2); ``"max"``: the one whose labeled keypoints could be reached best, the
            mean of the best place's similarity, as in the official code.
        weighting: how much each keypoint counts. ``"similarity"``: as much as the pose is alike
            (s_n* of Eq. 7) times as much as the keypoint is (s_k); ``"improvement"``, of the
            official code: as much as the best place is better than the middle one, for both losses.
        floor: similarities count as at least this in the mean of ``"mean"``.
        least: poses all of whose shifts by a place have a lower OKS are not taught, as in the
            official code; the paper does not say.
        refined_sigma: standard deviation of the Gaussian that adapted heat is to be, px. None: that
            of the Gaussian of Eq. (1), as in Sec. 3.2; the official code has 4 px.
        max_people, nms_kernel: of the centers in each image; see ``decoders.local_global``.

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
    max_people: int = 30
    nms_kernel: int = 3

    def __post_init__(self) -> None:
        for name, known in (("assignment", AssignmentRule), ("weighting", Weighting)):
            if getattr(self, name) not in get_args(known):
                value = getattr(self, name)
                raise ValueError(f"{name} must be one of {get_args(known)}, not {value!r}")
        if self.refined_sigma is not None and not 0 < self.refined_sigma < math.inf:
            raise ValueError(f"refined_sigma must be positive px, not {self.refined_sigma}")


@dataclass(frozen=True)
class Assignment:
    """Poses that the network proposed, and what their places are worth.

    Attributes:
        people: n poses, px of the frame.
        similarity: (n, K, r, r), of each place to its partner's keypoint; 0 where that is not
            labeled.
        alike: (n,), s_n* of Eq. (7).
        truth: (n, K, 3), the partner's keypoints, px of the frame and visibility.
    """

    people: CenterPoses
    similarity: Tensor
    alike: Tensor
    truth: Tensor


def adapt_losses(
    outputs: LocalGlobalOutputs, targets: Targets, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Return the loss of the attraction maps and that of adapted heat (LOGO-CAP, Sec. 3.2).

    Poses are those that the outputs propose, which get no gradient by this: what is learned is to
    adapt them, not to change them. Both losses are means over what is taught; the paper's sum over
    the places of one pose (Eq. 7) is a mean here, as in the official code, to which λ belongs.

    Args:
        outputs: in training.
        targets: of the same batch.
        options: see there.

    Returns:
        Two scalars; 0 where no pose is near enough to anybody to be taught.
    """
    taught = assign_targets(outputs, targets, options)
    size, expansion = targets.image_size, options.expansion
    if not len(taught.people):
        # not a constant: whatever asks for a gradient finds one
        nothing = 0.0 * (outputs.embedding.sum() + outputs.heatmaps.sum())
        return nothing, nothing
    attraction = outputs.attract(local_context(outputs.embedding, taught.people, expansion, size))
    attraction = attraction.float()
    # In full precision under autocast too: places are told apart by small differences of heat.
    with torch.autocast(attraction.device.type, enabled=False):
        before = global_context(outputs.heatmaps.float(), taught.people, expansion, size)
        heat = convolve_each(before, attraction)
    weights, refined_weights = keypoint_weights(taught, options.weighting)
    return (
        weighted_mse(attraction, taught.similarity, weights),
        weighted_mse(heat, refined_targets(taught, options), refined_weights),
    )


@torch.no_grad()
def assign_targets(
    outputs: LocalGlobalOutputs, targets: Targets, options: AdaptationLossOptions
) -> Assignment:
    """Choose the poses that can be taught, and by whom."""
    people = poses_at_centers(
        (outputs,),
        outputs.image_size,
        max_people=options.max_people,
        nms_kernel=lambda _: options.nms_kernel,
        center_threshold=0.0,
        frame=options.expansion.frame,
        enlarge=options.expansion.frame == "index",
    )
    # The truth in px of the frame that the poses are in.
    moved = targets.keypoints.new_tensor([*[half_pixel(options.expansion.frame)] * 2, 0.0])
    targets = replace(targets, keypoints=targets.keypoints - moved)
    if not targets.areas.numel():  # nobody in all images: as if one person each were unlabeled
        keypoints = F.pad(targets.keypoints, (0, 0, 0, 0, 0, 1))
        targets = replace(targets, keypoints=keypoints, areas=F.pad(targets.areas, (0, 1)))
    partner, alike = match_ground_truth(people, targets, options)
    truth = targets.keypoints[people.images, partner]
    areas = targets.areas[people.images, partner]
    x, y = factors(people.points, truth[:, None], areas[:, None], options)
    similarity = y[:, 0, :, None] * x[:, 0, None]
    labeled = (truth[..., 2] > 0).sum(dim=-1).clamp(min=1)
    shifted = similarity.sum(dim=-1) / labeled[:, None, None]
    near = shifted.flatten(1).amax(dim=1) >= options.min_oks
    return Assignment(people[near], similarity[near].permute(0, 3, 1, 2), alike[near], truth[near])


def match_ground_truth(
    people: CenterPoses, targets: Targets, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Return the annotated person that teaches each pose, and how alike the two are.

    Args:
        people: n poses.
        targets: the truth, in the frame of the poses.
        options: ``assignment`` says by which rule.

    Returns:
        (n,) int64 and (n,) float.
    """
    truth = targets.keypoints[people.images]  # (n, P, K, 3)
    x, y = factors(people.points, truth, targets.areas[people.images], options)
    if options.assignment == "mean":
        # One annotated person of each image at a time: similarities of all places to all at once
        # would be the largest tensor of a training, and to sort each axis and add up what lies
        # above the floor takes two and a half times as long.
        near = [
            (down[:, :, None] * across[:, None]).clamp(min=options.min_similarity).mean(dim=(1, 2))
            for across, down in zip(x.unbind(dim=1), y.unbind(dim=1), strict=True)
        ]
        each = torch.stack(near, dim=1)
    else:
        each = x.amax(dim=2) * y.amax(dim=2)  # the best column in the best row
    return best_match(each, truth[..., 2] > 0)


def best_match(similarity: Tensor, labeled: Tensor) -> tuple[Tensor, Tensor]:
    """Return whom poses are most like, in the mean over the person's labeled keypoints.

    Args:
        similarity: (n, P, K), of each keypoint to each person's.
        labeled: (n, P, K), which these have; whoever has none is nobody's partner.

    Returns:
        (n,) int64 and (n,) float, -1 where nobody is labeled.
    """
    total = (similarity * labeled).sum(dim=-1) / labeled.sum(dim=-1).clamp(min=1)
    best = torch.where(labeled.any(dim=-1), total, -1.0).max(dim=1)
    return best.indices, best.values


def keypoint_weights(taught: Assignment, weighting: Weighting) -> tuple[Tensor, Tensor]:
    """Return how much each keypoint (n, K) counts in the loss of attraction and of adapted heat.

    Where the paper does not say (adapted heat under ``"similarity"``) all labeled ones are alike.
    """
    middle = taught.similarity.shape[-1] // 2
    here = taught.similarity[:, :, middle, middle]
    if weighting == "similarity":
        return taught.alike[:, None] * here, (taught.truth[..., 2] > 0).to(here)
    gain = taught.similarity.flatten(2).amax(dim=2) - here
    return gain, gain


def refined_targets(taught: Assignment, options: AdaptationLossOptions) -> Tensor:
    """Return what adapted heat is to be: a Gaussian where the keypoint is, (n, K, a, a)."""
    expansion = options.expansion
    sigma = expansion.sigma if options.refined_sigma is None else options.refined_sigma
    steps = expansion.step * window_steps(expansion.global_window, taught.truth.device)
    away = taught.people.points - taught.truth[..., :2]  # (n, K, 2)
    x, y = (
        torch.exp(-(away[..., axis, None] + steps).square() / (2 * sigma**2)) for axis in (0, 1)
    )
    return y[..., :, None] * x[..., None, :]


def weighted_mse(found: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of squared errors of maps (n, K, r, r), each times its weight (n, K)."""
    return ((found - wanted).square().mean(dim=(2, 3)) * weights).mean()


def factors(
    points: Tensor, truth: Tensor, areas: Tensor, options: AdaptationLossOptions
) -> tuple[Tensor, Tensor]:
    """Return of what the similarity of places to keypoints is a product, along x and along y.

    The places around a keypoint are a grid (Algorithm 1): those of a column have their x in common
    and those of a row their y, hence exponentials of 2r numbers and not of r².

    Args:
        points: (n, K, 2) px, the keypoints of poses.
        truth: (n, P, K, 3), the annotated people that each pose is compared with.
        areas: (n, P) px²; spreads below a millionth count as that, as in the official code.
        options: of which places, and the OKS constants.

    Returns:
        Of the columns and of the rows, (n, P, r, K); those of unlabeled keypoints are 0.
    """
    expansion = options.expansion
    along = window_steps(expansion.local_window, points.device)[:, None]
    steps = expansion.step * expansion.rates.to(points) * along  # (r, K)
    spread = (2 * (2 * options.sigmas.to(points)) ** 2 * areas[..., None]).clamp(min=1e-6)
    apart = points[:, None] - truth[..., :2]  # (n, P, K, 2)
    labeled = truth[:, :, None, :, 2] > 0
    x, y = (
        torch.exp(-(apart[:, :, None, :, axis] + steps).square() / spread[:, :, None])
        for axis in (0, 1)
    )
    return torch.where(labeled, x, 0.0), torch.where(labeled, y, 0.0)
