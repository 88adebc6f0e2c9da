"""LOGO-CAP: local-global contextual adaptation of regressed poses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from poselib.decoders.local_global import LocalGlobalOptions, Prior, decode_local_global
from poselib.encoders.regression import Foreground
from poselib.losses.local_global import (
    AdaptationLossOptions,
    AssignmentRule,
    Weighting,
    adaptation_losses,
)
from poselib.losses.offset import Reduction
from poselib.models import get_backbone
from poselib.models.local_global import LocalGlobalHRNet
from poselib.ops.dynamic_convolution import Ties
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.ops.map_coordinates import Frame
from poselib.ops.offsets import PersonSize
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.skeletons import Skeleton
from poselib.structures import RegressionTargets
from poselib.systems.regression import RegressionTargetOptions, regression_losses, target_encoder
from poselib.systems.system import LossTerms, System, as_mapping, options_for


@dataclass(frozen=True)
class LogocapOptions(RegressionTargetOptions):
    """Options of LOGO-CAP; the defaults are those of its official code.

    Attributes:
        backbone: key in ``poselib.models.BACKBONES``.
        heatmap_width, offset_width, embedding, message_layers, message_width, attentive: see
            ``models.local_global``; ``attentive`` is Table 5's AttNorm, and ``message_layers=0``
            Table 6's design "1".
        adaptation: local-global adaptation; false for the center-offset baseline of Table 5.
        local_window, global_window, step, reweigh: see
            ``ops.keypoint_expansion.KeypointExpansion``; the first is Table 6's size of local KEMs,
            the last Table 5's Reweigh.
        foreground: as in the base class; ``"all"``, one mask for all maps, is w(x) of Eq. (4).
        background: as in the base class. The official code multiplies squared errors by w(x), and
            Eq. (4) squares it: 0.01 instead of 0.1.
        offset_weight, oks_weight, refined_weight: of the losses; the first two are λ, and
            ``oks_weight=0`` is Table 5 without the OKS loss.
        person_size: what the offset loss divides by, see ``ops.offsets.positive_cells``:
            ``"area"``, the root of A(p), as in the official code; Eq. (5) multiplies by A(p):
            ``"times_area"``.
        reduction: of the offset and the OKS loss, see ``losses.offset.offset_loss`` and
            ``losses.local_global.AdaptationLossOptions``: ``"mean"``, as in the official code,
            which λ belongs to, or ``"sum"``, of Eqs. (6) and (7).
        assignment, weighting, refined_sigma: see ``losses.local_global.AdaptationLossOptions``. By
            the defaults, of the official code, the published numbers were made; ``"mean"``,
            ``"similarity"`` and None are the paper's.
        frame: ``"index"`` for official weights, whose cells stand for pixel indices; see
            ``ops.window_sampling``. The flip test needs no shift: the official one has none.
        adapt, prior, ties, top_weight, nms_kernel, center_threshold, max_people, nms_distance,
        nms_fraction, scale_decrease: see ``decoders.local_global.LocalGlobalOptions``; ``prior``
            is Table 7. In training too, ``max_people`` poses are adapted.
    """

    backbone: str = "hrnet_w32"
    heatmap_width: int = 0
    offset_width: int = 256
    adaptation: bool = True
    embedding: int = 64
    message_layers: int = 3
    message_width: int = 512
    attentive: bool = True
    local_window: int = KeypointExpansion.local_window
    global_window: int = KeypointExpansion.global_window
    step: float = KeypointExpansion.step
    reweigh: bool = KeypointExpansion.reweigh
    foreground: Foreground = "all"
    offset_weight: float = 0.01
    oks_weight: float = 0.01
    refined_weight: float = 1.0
    person_size: PersonSize = "area"
    reduction: Reduction = AdaptationLossOptions.reduction
    assignment: AssignmentRule = AdaptationLossOptions.assignment
    weighting: Weighting = AdaptationLossOptions.weighting
    refined_sigma: float | None = AdaptationLossOptions.refined_sigma
    frame: Frame = KeypointExpansion.frame
    adapt: bool = LocalGlobalOptions.adapt
    prior: Prior = LocalGlobalOptions.prior
    ties: Ties = LocalGlobalOptions.ties
    top_weight: float = LocalGlobalOptions.top_weight
    nms_kernel: int = LocalGlobalOptions.nms_kernel
    center_threshold: float = LocalGlobalOptions.center_threshold
    max_people: int = LocalGlobalOptions.max_people
    nms_distance: float = LocalGlobalOptions.nms_distance
    nms_fraction: float = LocalGlobalOptions.nms_fraction
    scale_decrease: float = LocalGlobalOptions.scale_decrease


def build(skeleton: Skeleton, options: LogocapOptions) -> System:
    """Build the system of the LOGO-CAP paper; each of its ablations is an option.

    Args:
        skeleton: the keypoints to predict; its sigmas determine how far each is expanded.
        options: of the network, the targets, the losses and the decoder.

    Raises:
        ValueError: a name is unknown or a number out of range.
    """
    config = get_backbone(options.backbone)
    expansion = KeypointExpansion(
        expansion_rates(skeleton.sigmas), **options_for(KeypointExpansion, options)
    )
    adaptation = AdaptationLossOptions(
        expansion,
        torch.tensor(skeleton.sigmas),
        **options_for(AdaptationLossOptions, options),
    )
    decode_options = LocalGlobalOptions(expansion, **options_for(LocalGlobalOptions, options))
    network = options_for(LocalGlobalHRNet, options)
    return System(
        name="logocap",
        skeleton=skeleton,
        model=LocalGlobalHRNet(config, len(skeleton), **network),
        encode=target_encoder(options, config.stem_stride),
        losses=partial(
            _losses,
            options=adaptation,
            regression=partial(regression_losses, **options_for(regression_losses, options)),
            oks_weight=options.oks_weight,
            refined_weight=options.refined_weight,
        ),
        decode=partial(decode_local_global, options=decode_options),
        options=as_mapping(options),
        decode_options=decode_options,
        frame=options.frame,
        # Of a product of heatmap values, one of them a mean over a kernel.
        visualization_threshold=0.03,
    )


def _losses(
    outputs: RegressionOutputs,
    targets: RegressionTargets,
    *,
    options: AdaptationLossOptions,
    regression: Callable[[RegressionOutputs, RegressionTargets], LossTerms],
    oks_weight: float,
    refined_weight: float,
) -> LossTerms:
    """Return the weighted means over the batch of all losses (LOGO-CAP, Sec. 3.2)."""
    terms = regression(outputs, targets)
    if isinstance(outputs, LocalGlobalOutputs):
        attraction, refined = adaptation_losses(outputs, targets, options)
        terms |= {
            "oks": oks_weight * attraction,
            "refined": refined_weight * refined,
        }
    return terms
