"""HAE/PAD: hierarchical associative encoding and progressive associative decoding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from poselib.decoders.associative import AssociativeOptions, TagFrame, decode_associative
from poselib.decoders.grouping import DistanceReduction, GroupingOptions, ProgressiveUnit, TieRule
from poselib.decoders.keypoint_order import OrderName, keypoint_order
from poselib.encoders.heatmap import heatmap_targets
from poselib.losses.associative import (
    hierarchical_pull,
    masked_mean,
    push_loss,
    tags_at_keypoints,
)
from poselib.losses.associative_options import (
    FocalLevels,
    Mining,
    MissingKeypoints,
    OhkmRest,
    OutlierScope,
    PullOptions,
    PushForm,
    PushOptions,
)
from poselib.losses.heatmap import heatmap_mse
from poselib.models.hourglass import HourglassConfig
from poselib.ops.gaussians import Overlap
from poselib.ops.taylor_peaks import PeakSubpixel
from poselib.outputs import TagOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Targets
from poselib.systems.associative_networks import AssociativeNetwork, NetworkName
from poselib.systems.system import LossTerms, System, as_mapping, options_for


@dataclass(frozen=True)
class HaeOptions:
    """Options of HAE/PAD.

    The network:
        host, backbone, deconv_blocks, deconv_channels, tag_init_std: see
            ``systems.associative_networks.AssociativeNetwork``.
        stacks, features, depth, increase, stack_norm, stack_norm_all: of the hourglass, see
            ``models.hourglass.HourglassConfig``; mmpose's network has both norms.

    Heatmaps:
        sigma: of the target Gaussians, in cells of each output (Eq. 4).
        subpixel_targets: Gaussians centered on the keypoints as in Eq. (4), not on their cells as
            in the official code.
        overlap: of people's Gaussians: the maximum, as in the official code, whose peaks stay at
            1, or the ``"sum"`` of Eq. (4).
        background: weight of heatmap cells near no keypoint of any type; 1 in the paper.
        heatmap_weight: of their loss; the paper gives no weights, the defaults of this and the
            next two are the official configuration's.

    Pushing and pulling:
        push_weight, pull_weight: of the losses.
        hierarchical: the hierarchical associative loss (HAL); false for the classical one.
        hierarchy: keypoint groups, see ``Skeleton.groups`` (Table VII).
        high_weight: λ of Eq. (11) (Table VI).
        focal: the focal pulling loss (FPL), Eqs. (15-17); false for no mining of any kind.
        mining: the paper's outliers (``"iqr"``) or OHKM's largest losses (Table VIII).
        alpha, outlier_scope, focal_levels, hardest, ohkm_rest, missing_keypoints, per_keypoint: see
            ``losses.associative_options.PullOptions``. Alpha is the official code's, and so is the
            division by K, which the weights above belong to.
        push_form, push_sigma, push_factor: see ``losses.associative_options.PushOptions``.

    Decoding:
        progressive: progressive associative decoding (PAD); false for the fixed ``order``.
        distance_reduction, progressive_unit: by what PAD chooses, and whether a type or a single
            keypoint, see ``decoders.grouping.GroupingOptions``.
        order: of keypoint types when decoding in a fixed order (Table IX), see
            ``decoders.keypoint_order.keypoint_order``.
        frame, resolution, subpixel, kernel, nms_kernel, refine: see
            ``decoders.associative.AssociativeOptions``. With ``frame="aligned"`` images and targets
            are those of UDP too.
        detection_threshold, tag_threshold, max_candidates, max_people, round_distance, tie_rule,
        threshold_before_assignment: see ``GroupingOptions``.
    """

    backbone: str = "hrnet_w32"
    host: NetworkName = "higher"
    deconv_blocks: int = 4
    deconv_channels: int | None = None
    stacks: int = HourglassConfig.stacks
    features: int = HourglassConfig.features
    depth: int = HourglassConfig.depth
    increase: int = HourglassConfig.increase
    stack_norm: bool = HourglassConfig.norm
    stack_norm_all: bool = HourglassConfig.norm_all
    tag_init_std: float = 0.1
    # Heatmaps
    sigma: float = 2.0
    subpixel_targets: bool = True
    overlap: Overlap = "max"
    background: float = 1.0
    heatmap_weight: float = 1.0
    # Pushing and pulling
    push_weight: float = 1e-3
    pull_weight: float = 1e-3
    hierarchical: bool = True
    hierarchy: str = "anatomy"
    high_weight: float = 1.5
    focal: bool = True
    alpha: float = 2.0
    outlier_scope: OutlierScope = PullOptions.outlier_scope
    focal_levels: FocalLevels = PullOptions.focal_levels
    mining: Mining = PullOptions.mining
    hardest: int = PullOptions.hardest
    ohkm_rest: OhkmRest = PullOptions.ohkm_rest
    missing_keypoints: MissingKeypoints = PullOptions.missing_keypoints
    per_keypoint: bool = True
    push_form: PushForm = PushOptions.form
    push_sigma: float = PushOptions.sigma
    push_factor: float = PushOptions.factor
    # Decoding
    progressive: bool = True
    distance_reduction: DistanceReduction = GroupingOptions.distance_reduction
    progressive_unit: ProgressiveUnit = GroupingOptions.progressive_unit
    order: OrderName = "dataset"
    resolution: Literal["image", "map"] = AssociativeOptions.resolution
    frame: TagFrame = AssociativeOptions.frame
    subpixel: PeakSubpixel = AssociativeOptions.subpixel
    kernel: int = AssociativeOptions.kernel
    nms_kernel: int | None = AssociativeOptions.nms_kernel
    detection_threshold: float = GroupingOptions.detection_threshold
    tag_threshold: float = GroupingOptions.tag_threshold
    max_candidates: int = GroupingOptions.max_candidates
    max_people: int | None = GroupingOptions.max_people
    round_distance: bool = GroupingOptions.round_distance
    tie_rule: TieRule = GroupingOptions.tie_rule
    threshold_before_assignment: bool = GroupingOptions.threshold_before_assignment
    refine: bool = AssociativeOptions.refine


def build(skeleton: Skeleton, options: HaeOptions) -> System:
    """Build the system of the HAE/PAD paper; each of its ablations is an option.

    Args:
        skeleton: the keypoints to predict; it must hold the hierarchy.
        options: of the network, the targets, the losses and the decoder.

    Raises:
        ValueError: a name is unknown, a number out of range or the skeleton lacks the hierarchy.
    """
    network = AssociativeNetwork(
        options.host,
        options.backbone,
        options.deconv_blocks,
        options.deconv_channels,
        HourglassConfig(
            options.stacks,
            options.features,
            options.depth,
            options.increase,
            options.stack_norm,
            options.stack_norm_all,
        ),
        options.tag_init_std,
    )
    encode = partial(
        heatmap_targets,
        strides=network.strides,
        sigma=options.sigma,
        subpixel=options.subpixel_targets,
        overlap=options.overlap,
        frame=options.frame,
    )
    groups = skeleton.group_indices(options.hierarchy if options.hierarchical else "whole")
    losses = partial(
        _losses,
        groups=torch.as_tensor(groups),
        pull=_pull_options(options, len(skeleton)),
        push=PushOptions(options.push_form, options.push_sigma, options.push_factor),
        weights=options,
    )
    decode_options = _decode_options(options, skeleton)
    return System(
        name="hae",
        skeleton=skeleton,
        model=network.network(len(skeleton)),
        encode=encode,
        losses=partial(_mean_over_stages, losses=losses),
        decode=partial(decode_associative, options=decode_options),
        options=as_mapping(options),
        decode_options=decode_options,
        frame=options.frame,
    )


def _pull_options(options: HaeOptions, keypoints: int) -> PullOptions:
    pull = PullOptions(**options_for(PullOptions, options))
    if not options.focal:
        pull = replace(pull, alpha=1.0, mining="iqr")
    pull.check(keypoints)
    return pull


def _decode_options(options: HaeOptions, skeleton: Skeleton) -> AssociativeOptions:
    fixed_order = keypoint_order(skeleton, options.order)  # an unknown name is refused in any case
    given = options_for(AssociativeOptions, options)
    given["order"] = "progressive" if options.progressive else fixed_order
    grouping = GroupingOptions(**options_for(GroupingOptions, options))
    return AssociativeOptions(**given, grouping=grouping)


def _mean_over_stages(
    outputs: TagOutputs, targets: Targets, losses: Callable[[TagOutputs, Targets], LossTerms]
) -> LossTerms:
    """Average the terms over the stages of the network, as associative embedding does."""
    terms = [losses(stage, targets) for stage in outputs.stages]
    return {name: torch.stack([each[name] for each in terms]).mean() for name in terms[0]}


def _losses(
    outputs: TagOutputs,
    targets: Targets,
    *,
    groups: Tensor,
    pull: PullOptions,
    push: PushOptions,
    weights: HaeOptions,
) -> LossTerms:
    """Return the weighted means over the batch of the heatmap and associative losses (Eq. 17)."""
    maps = zip(outputs.heatmaps, targets.heatmaps, targets.masks, strict=True)
    heatmap = torch.stack(
        [heatmap_mse(p.float().contiguous(), t, w, weights.background).mean() for p, t, w in maps]
    ).sum()
    values, visible = tags_at_keypoints(
        outputs.tags.float(), targets.keypoints, targets.image_size, weights.frame
    )
    low, high = hierarchical_pull(values, visible, groups, pull)
    references = masked_mean(values, visible, dim=2)
    apart = push_loss(references, visible.any(dim=-1), push)
    return {
        "heatmap": weights.heatmap_weight * heatmap,
        "push": weights.push_weight * apart.mean(),
        "pull_low": weights.pull_weight * low.mean(),
        "pull_high": weights.pull_weight * weights.high_weight * high.mean(),
    }
