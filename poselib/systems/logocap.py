"""LOGO-CAP: local-global contextual adaptation of regressed poses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from poselib.decoders.local_global import LocalGlobalOptions, Prior, decode_local_global
from poselib.encoders.regression import Foreground, Region, regression_targets
from poselib.losses.heatmap import heatmap_mse
from poselib.losses.local_global import (
    AdaptationLossOptions,
    AssignmentRule,
    Weighting,
    adaptation_losses,
)
from poselib.losses.offset import offset_loss
from poselib.models import get_backbone
from poselib.models.local_global import LocalGlobalHRNet
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.ops.map_coordinates import Frame
from poselib.ops.offsets import PersonSize
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.skeletons import Skeleton
from poselib.structures import RegressionTargets
from poselib.systems.system import LossTerms, System


def build(
    skeleton: Skeleton,
    *,
    # The network
    backbone: str = "hrnet_w32",
    heatmap_width: int = 0,
    offset_width: int = 256,
    adaptation: bool = True,
    embedding: int = 64,
    message_layers: int = 3,
    message_width: int = 512,
    attentive: bool = True,
    # Local and global context
    local_window: int = 11,
    global_window: int = 97,
    step: float = 1.0,
    reweigh: bool = True,
    # Targets and losses
    sigma: float = 2.0,
    center_sigma: float = 4.0,
    radius: float = 4.0,
    region: Region = "disc",
    background: float = 0.1,
    foreground: Foreground = "all",
    min_area: float = 0.0,
    heatmap_weight: float = 1.0,
    refined_weight: float = 1.0,
    offset_weight: float = 0.01,
    oks_weight: float = 0.01,
    person_size: PersonSize = "area",
    assignment: AssignmentRule = "max",
    weighting: Weighting = "improvement",
    refined_sigma: float | None = 4.0,
    # Decoding
    frame: Frame = "center",
    adapt: bool = True,
    prior: Prior = "both",
    top_weight: float = 0.75,
    nms_kernel: int = 3,
    center_threshold: float = 0.01,
    max_people: int = 30,
    nms_distance: float = 0.05,
    nms_fraction: float = 0.5,
    scale_decrease: float = 0.9,
) -> System:
    """Build the system of the LOGO-CAP paper; each of its ablations is an option.

    Args:
        skeleton: the keypoints to predict; its sigmas say how far each is expanded.

    The network:
        backbone: key in ``poselib.models.BACKBONES``.
        heatmap_width, offset_width, embedding, message_layers, message_width, attentive: see
            ``models.local_global``; ``attentive`` is Table 5's AttNorm, and ``message_layers=0``
            Table 6's design "1".
        adaptation: local-global adaptation; false for the center-offset baseline of Table 5.

    Local and global context:
        local_window, global_window, step, reweigh: see
            ``ops.keypoint_expansion.KeypointExpansion``; the first is Table 6's size of local KEMs,
            the last Table 5's Reweigh.

    Targets and losses:
        sigma, center_sigma, radius, region, background, foreground, min_area: see
            ``encoders.regression.regression_targets``; ``foreground="all"``, one mask for all
            maps, is w(x) of Eq. (4).
        heatmap_weight, refined_weight, offset_weight, oks_weight: of the four losses; the last
            two are λ, and ``oks_weight=0`` is Table 5 without the OKS loss.
        person_size: what the offset loss divides by, see ``ops.offsets.positive_cells``:
            ``"area"``, the root of A(p), as in the official code, where Eq. (5) multiplies by A(p).
        assignment, weighting, refined_sigma: see ``losses.local_global.AdaptationLossOptions``. The
            defaults are those of the official code, by which the published numbers were made;
            ``"mean"``, ``"similarity"`` and None are the paper's.

    Decoding:
        frame: ``"index"`` for official weights, whose cells stand for pixel indices; see
            ``ops.window_sampling``. The flip test needs no shift: the official one has none.
        adapt, prior, top_weight, nms_kernel, center_threshold, max_people, nms_distance,
        nms_fraction, scale_decrease: see ``decoders.local_global.LocalGlobalOptions``; ``prior``
            is Table 7. In training too, ``max_people`` poses are adapted.

    Raises:
        ValueError: a name is unknown or a number out of range.
    """
    options = {key: value for key, value in locals().items() if key != "skeleton"}
    config = get_backbone(backbone)
    rates, sigmas = expansion_rates(skeleton.sigmas), torch.tensor(skeleton.sigmas)
    expansion = KeypointExpansion(rates, local_window, global_window, step, reweigh, frame)
    model = LocalGlobalHRNet(
        config,
        len(skeleton),
        heatmap_width=heatmap_width,
        offset_width=offset_width,
        adaptation=adaptation,
        embedding=embedding,
        message_layers=message_layers,
        message_width=message_width,
        attentive=attentive,
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
    weights = (heatmap_weight, offset_weight, oks_weight, refined_weight)
    regression = partial(offset_loss, person_size=person_size)
    taught = AdaptationLossOptions(
        expansion,
        sigmas,
        assignment,
        weighting,
        refined_sigma=refined_sigma,
        max_people=max_people,
        nms_kernel=nms_kernel,
    )
    decode_options = LocalGlobalOptions(
        expansion,
        adapt=adapt,
        prior=prior,
        top_weight=top_weight,
        nms_kernel=nms_kernel,
        center_threshold=center_threshold,
        max_people=max_people,
        nms_distance=nms_distance,
        nms_fraction=nms_fraction,
        scale_decrease=scale_decrease,
    )
    return System(
        name="logocap",
        skeleton=skeleton,
        model=model,
        encode=encode,
        losses=partial(_losses, options=taught, regression=regression, weights=weights),
        decode=partial(decode_local_global, options=decode_options),
        options=options,
        decode_options=decode_options,
        visualization_threshold=0.03,  # of a product of heats, one of them a mean over a kernel
    )


def _losses(
    outputs: RegressionOutputs,
    targets: RegressionTargets,
    *,
    options: AdaptationLossOptions,
    regression: Callable[[Tensor, RegressionTargets], Tensor],
    weights: tuple[float, float, float, float],
) -> LossTerms:
    """Weighted means over the batch of all losses (LOGO-CAP, Sec. 3.2: the total loss)."""
    heatmap_weight, offset_weight, oks_weight, refined_weight = weights
    maps = torch.cat([outputs.heatmaps, outputs.centers], dim=1).float()
    heatmap = heatmap_mse(maps, targets.heatmaps[0], targets.masks[0])
    terms = {
        "heatmap": heatmap_weight * heatmap.mean(),
        "offset": offset_weight * regression(outputs.offsets.float(), targets),
    }
    if isinstance(outputs, LocalGlobalOutputs):
        attraction, refined = adaptation_losses(outputs, targets, options)
        terms |= {"oks": oks_weight * attraction, "refined": refined_weight * refined}
    return terms
