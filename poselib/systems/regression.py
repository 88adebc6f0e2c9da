"""Systems that regress poses from the centers of people, whatever their backbone.

DEKR is such a system on a high-resolution network; other papers put another network under it, or
refine what it regresses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.encoders.regression import Foreground, regression_targets
from poselib.losses.heatmap import heatmap_mse
from poselib.losses.offset import Reduction, offset_loss
from poselib.models.adaptive import Start
from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig
from poselib.models.regression import Branches, RegressionHRNet
from poselib.models.scoring import ScoringNet, Unit
from poselib.ops.center_regions import Owner, Region
from poselib.ops.map_coordinates import Frame
from poselib.ops.offsets import PersonSize
from poselib.ops.peaks import Subpixel
from poselib.outputs import RegressionOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Batch, RegressionTargets
from poselib.systems.system import LossTerms, System, as_mapping, options_for


@dataclass(frozen=True)
class RegressionTargetOptions:
    """Options of the targets and losses of every system that regresses poses from centers.

    Attributes:
        sigma, center_sigma, radius, region, background, foreground, min_area, owner: see
            ``encoders.regression.regression_targets``. ``region="window"``, ``owner="smallest"``,
            ``person_size="origin"`` and, for COCO, ``min_area=1024`` are those of DEKR's official
            code; its center has ``center_sigma=2.0`` for CrowdPose.
        person_size: what the offset loss divides by, see ``ops.offsets.positive_cells``.
        heatmap_weight, offset_weight: of the losses; the latter is λ of DEKR, Eq. 8.
    """

    sigma: float = 2.0
    center_sigma: float = 4.0
    radius: float = 4.0
    region: Region = "disc"
    background: float = 0.1
    foreground: Foreground = "per_map"
    min_area: float = 0.0
    owner: Owner = "nearest"
    person_size: PersonSize = "diagonal"
    heatmap_weight: float = 1.0
    offset_weight: float = 0.03


@dataclass(frozen=True)
class RegressionSystemOptions(RegressionTargetOptions):
    """Options of DEKR, and of other networks that regress poses as it does.

    Attributes:
        backbone: key in ``poselib.models.BACKBONES``.
        adaptive: adaptive convolutions (AA of DEKR, Table 5); false for ordinary ones.
        separate: separate regression (SR); false for one branch of all keypoints.
        branches: which keypoints share a branch of the separate regression, a hierarchy of the
            skeleton: ``"none"`` of them, those of the ``"head"`` (13 branches for COCO) or of
            each of the ``"body_parts"`` (5; DEKR, Sec. 3.4).
        width, shared_width, blocks, heatmap_width, start: see
            ``models.regression.RegressionHRNet``.
        frame, nms_kernel, center_threshold, max_people, nms_distance, nms_fraction,
        scale_decrease, match, match_distance, subpixel: see
            ``decoders.regression.RegressionOptions``. With ``frame="index"``, for official weights,
            images, targets and the flip test are as they expect them.
        scoring, scoring_unit: whether a ``ScoringNet``, trained afterwards, ranks the poses (DEKR,
            Sec. 3.3), and in which unit it measures.
    """

    backbone: str = "hrnet_w32"
    adaptive: bool = True
    separate: bool = True
    branches: str = "none"
    width: int = 15
    shared_width: int = 256
    blocks: int = 2
    heatmap_width: int = 0
    start: Start = "grid"
    frame: Frame = RegressionOptions.frame
    nms_kernel: int | None = RegressionOptions.nms_kernel
    center_threshold: float = RegressionOptions.center_threshold
    max_people: int = RegressionOptions.max_people
    nms_distance: float | None = RegressionOptions.nms_distance
    nms_fraction: float = RegressionOptions.nms_fraction
    scale_decrease: float = RegressionOptions.scale_decrease
    match: bool = RegressionOptions.match
    match_distance: float = RegressionOptions.match_distance
    subpixel: Subpixel = RegressionOptions.subpixel
    scoring: bool = False
    scoring_unit: Unit = "torso"


def regression_system(
    skeleton: Skeleton,
    config: HRNetConfig,
    options: RegressionSystemOptions,
    *,
    relation: RelationConfig | None = None,
    name: str = "regression",
) -> System:
    """Build a system that regresses poses on a backbone.

    Args:
        skeleton: the keypoints to predict; it must hold the hierarchy that ``branches`` names.
        config: shape of the backbone.
        options: of everything else.
        relation: see ``models.hrnet.HRNetTrunk``.
        name: of the system.

    Raises:
        ValueError: a name is unknown, a number out of range or the skeleton lacks the hierarchy.
    """
    decode_options = RegressionOptions(**options_for(RegressionOptions, options))
    parts = options_for(RegressionHRNet, options)
    parts["branches"] = _branches(skeleton, options.branches if options.separate else "whole")
    parts["relation"] = relation
    parts["scoring"] = ScoringNet(skeleton, unit=options.scoring_unit) if options.scoring else None
    return System(
        name=name,
        skeleton=skeleton,
        model=RegressionHRNet(config, len(skeleton), **parts),
        encode=target_encoder(options, config.stem_stride),
        losses=partial(regression_losses, **options_for(regression_losses, options)),
        decode=partial(decode_regression, options=decode_options),
        options=as_mapping(options),
        decode_options=decode_options,
        frame=options.frame,
        flip_shift=config.stem_stride - 1 if options.frame == "index" else 0,
        visualization_threshold=0.1,  # of a product of heatmap values
    )


def target_encoder(
    options: RegressionTargetOptions, stride: int
) -> Callable[[Batch], RegressionTargets]:
    """Return the function that encodes batches for maps of a stride, px a cell."""
    return partial(regression_targets, stride=stride, **options_for(regression_targets, options))


def regression_losses(
    outputs: RegressionOutputs,
    targets: RegressionTargets,
    *,
    heatmap_weight: float,
    offset_weight: float,
    person_size: PersonSize = "diagonal",
    reduction: Reduction = "mean",
) -> LossTerms:
    """Return the weighted means over the batch of the heatmap and offset losses (DEKR, Eq. 8)."""
    maps = torch.cat([outputs.heatmaps, outputs.centers], dim=1).float()
    heatmap = heatmap_mse(maps, targets.heatmaps[0], targets.masks[0])
    offset = offset_loss(
        outputs.offsets.float(), targets, person_size=person_size, reduction=reduction
    )
    return {"heatmap": heatmap_weight * heatmap.mean(), "offset": offset_weight * offset}


def _branches(skeleton: Skeleton, hierarchy: str) -> Branches:
    """Return the keypoints of each group of a hierarchy."""
    groups = skeleton.group_indices(hierarchy)
    return tuple(
        tuple(k for k, of in enumerate(groups) if of == group) for group in range(max(groups) + 1)
    )
