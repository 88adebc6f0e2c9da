"""The system of a network that regresses poses from the centers of people, whatever its backbone.

DEKR is this system on a high-resolution network; other papers put another network under it.
"""

from __future__ import annotations

from functools import partial

import torch

from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.encoders.regression import Foreground, Region, regression_targets
from poselib.losses.heatmap import heatmap_mse
from poselib.losses.offset import offset_loss
from poselib.models.adaptive import Start
from poselib.models.global_relation import RelationConfig
from poselib.models.hrnet import HRNetConfig
from poselib.models.regression import Branches, RegressionHRNet
from poselib.models.scoring import ScoringNet, Unit
from poselib.ops.map_coordinates import Frame
from poselib.ops.peaks import Subpixel
from poselib.outputs import RegressionOutputs
from poselib.skeletons import Skeleton
from poselib.structures import RegressionTargets
from poselib.systems.system import LossTerms, System


def regression_system(
    skeleton: Skeleton,
    config: HRNetConfig,
    relation: RelationConfig | None = None,
    *,
    # The network
    adaptive: bool = True,
    separate: bool = True,
    branches: str = "none",
    width: int = 15,
    shared_width: int = 256,
    blocks: int = 2,
    heatmap_width: int = 0,
    start: Start = "grid",
    # Targets and losses
    sigma: float = 2.0,
    center_sigma: float = 4.0,
    radius: float = 4.0,
    region: Region = "disc",
    background: float = 0.1,
    foreground: Foreground = "per_map",
    min_area: float = 0.0,
    heatmap_weight: float = 1.0,
    offset_weight: float = 0.03,
    # Decoding
    frame: Frame = "center",
    nms_kernel: int | None = None,
    center_threshold: float = 0.01,
    max_people: int = 30,
    nms_distance: float | None = None,
    nms_fraction: float = 0.5,
    scale_decrease: float = 0.9,
    match: bool = False,
    match_distance: float = 75.0,
    subpixel: Subpixel = "parabola",
    scoring: bool = False,
    scoring_unit: Unit = "torso",
) -> System:
    """Build the system on a backbone; every other argument is an option.

    Args:
        skeleton: the keypoints to predict; it must hold the hierarchy that ``branches`` names.
        config: shape of the backbone.
        relation: see ``models.hrnet.HRNetTrunk``.

    The network:
        adaptive: adaptive convolutions (AA of DEKR, Table 5); false for ordinary ones.
        separate: separate regression (SR); false for one branch of all keypoints.
        branches: which keypoints share a branch of the separate regression, a hierarchy of the
            skeleton: ``"none"`` of them, those of the ``"head"`` (13 branches for COCO) or of
            each of the ``"body_parts"`` (5; DEKR, Sec. 3.4).
        width, shared_width, blocks, heatmap_width, start: see
            ``models.regression.RegressionHRNet``.

    Targets and losses:
        sigma, center_sigma, radius, region, background, min_area: see
            ``encoders.regression.regression_targets``.
        heatmap_weight, offset_weight: of the losses; the latter is λ of DEKR, Eq. 8.

    Decoding:
        frame, nms_kernel, center_threshold, max_people, nms_distance, nms_fraction,
        scale_decrease, match, match_distance, subpixel: see
            ``decoders.regression.RegressionOptions``. With ``frame="index"``, for official weights,
            the flip test is moved as they expect it.
        scoring, scoring_unit: whether a ``ScoringNet``, trained afterwards, ranks the poses (DEKR,
            Sec. 3.3), and in which unit it measures.

    Raises:
        ValueError: a name is unknown, a number out of range or the skeleton lacks the hierarchy.
    """
    given = {"skeleton", "config", "relation"}
    options = {key: value for key, value in locals().items() if key not in given | {"given"}}
    decode_options = RegressionOptions(
        frame=frame,
        nms_kernel=nms_kernel,
        center_threshold=center_threshold,
        max_people=max_people,
        nms_distance=nms_distance,
        nms_fraction=nms_fraction,
        scale_decrease=scale_decrease,
        match=match,
        match_distance=match_distance,
        subpixel=subpixel,
    )
    model = RegressionHRNet(
        config,
        len(skeleton),
        adaptive=adaptive,
        branches=_branches(skeleton, branches if separate else "whole"),
        width=width,
        shared_width=shared_width,
        blocks=blocks,
        heatmap_width=heatmap_width,
        start=start,
        relation=relation,
        scoring=ScoringNet(skeleton, unit=scoring_unit) if scoring else None,
    )
    encode = partial(
        regression_targets,
        stride=config.stem_stride,
        sigma=sigma,
        center_sigma=center_sigma,
        radius=radius,
        region=region,
        background=background,
        foreground=foreground,
        min_area=min_area,
    )
    return System(
        name="regression",
        skeleton=skeleton,
        model=model,
        encode=encode,
        losses=partial(_losses, heatmap_weight=heatmap_weight, offset_weight=offset_weight),
        decode=partial(decode_regression, options=decode_options),
        options=options,
        decode_options=decode_options,
        flip_shift=config.stem_stride - 1 if frame == "index" else 0,
        visualization_threshold=0.1,  # of a product of heats
    )


def _branches(skeleton: Skeleton, hierarchy: str) -> Branches:
    """Return the keypoints of each group of a hierarchy."""
    groups = skeleton.group_indices(hierarchy)
    return tuple(
        tuple(k for k, of in enumerate(groups) if of == group) for group in range(max(groups) + 1)
    )


def _losses(
    outputs: RegressionOutputs,
    targets: RegressionTargets,
    *,
    heatmap_weight: float,
    offset_weight: float,
) -> LossTerms:
    """Weighted means over the batch of the heatmap and the offset loss (DEKR, Eq. 8)."""
    maps = torch.cat([outputs.heatmaps, outputs.centers], dim=1).float()
    heatmap = heatmap_mse(maps, targets.heatmaps[0], targets.masks[0])
    return {
        "heatmap": heatmap_weight * heatmap.mean(),
        "offset": offset_weight * offset_loss(outputs.offsets.float(), targets),
    }
