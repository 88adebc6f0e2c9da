"""JRE: the joint relation extractor behind any network of heatmaps of one person."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from poselib.decoders.argmax import decode_offsets
from poselib.encoders.heatmap import heatmap_targets
from poselib.losses.heatmap import heatmap_mse
from poselib.losses.offset import keypoint_offset_mse
from poselib.models.heatmap import HeatmapNetwork
from poselib.models.pose_refinement import RefinedHeatmapNetwork
from poselib.ops.map_coordinates import CropFrame
from poselib.outputs import RegressionOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Batch, Targets
from poselib.systems.single_person import STRIDE, SinglePersonOptions, single_person_system
from poselib.systems.system import LossTerms, System

# Radius of discs as a fraction of the longer side of their maps, as in the public code.
_RADIUS = 7 / 128
_AT_SIGMA = math.exp(-0.5)  # of a Gaussian, one standard deviation from its center


@dataclass(frozen=True)
class JreOptions(SinglePersonOptions):
    """Options of JRE on a host (RPSTN/JRE, Table VIII); with ``relation="none"``, of the host.

    Attributes:
        backbone: of the host, see ``models.heatmap.build_features``: ``"resnet50"`` is
            SimpleBaseline, ``"hrnet_w32"`` HRNet, ``"vipnas_resnet50"`` S-ViPNAS and
            ``"vipnas_mobilenetv3"`` its smaller form.
        refine: PoseFix behind the host, with the relation on its heatmaps; see
            ``models.pose_refinement.RefinedHeatmapNetwork``.
        refine_depth, refine_sigma, refine_jitter: of PoseFix: ``depth``, ``sigma`` and ``jitter``.
        offsets: UDP's combined representation: each heatmap is a disc and has two maps of offsets
            from its cells to the keypoint. Only of a host without relation and PoseFix; ``sigma``,
            ``subpixel_targets`` and ``subpixel`` are then not read.
    """

    backbone: str = "resnet50"
    refine: bool = False
    refine_depth: int = 50
    refine_sigma: float = 7.0
    refine_jitter: float = 0.03
    offsets: bool = False


def build(skeleton: Skeleton, options: JreOptions) -> System:
    """Build a host with or without JRE.

    Raises:
        ValueError: a name is unknown or an option out of range.
    """
    related: dict[str, Any] = {
        "relation": options.relation,
        "convolutions": options.relation_convs,
        "temperature": options.temperature,
        "limbs": skeleton.limb_indices.tolist(),
    }
    sigma, jitter = options.refine_sigma, options.refine_jitter
    if not sigma > 0:
        raise ValueError(f"refine_sigma must be a positive number of px, not {sigma}")
    if not jitter >= 0:
        raise ValueError(f"refine_jitter must be 0 or more, not {jitter}")
    if options.offsets and (options.refine or options.relation != "none"):
        raise ValueError("offsets=True needs relation='none' and refine=False")
    count = len(skeleton)
    radius = _RADIUS * max(options.height, options.width) / STRIDE if options.offsets else 0.0
    model: HeatmapNetwork | RefinedHeatmapNetwork
    if options.refine:
        model = RefinedHeatmapNetwork(
            HeatmapNetwork(options.backbone, count),
            depth=options.refine_depth,
            sigma=sigma,
            jitter=jitter,
            frame=options.frame,
            **related,
        )
    else:
        model = HeatmapNetwork(options.backbone, count, offset_radius=radius, **related)
    system = single_person_system("jre", skeleton, model, options)
    return _with_offsets(system, options, radius) if options.offsets else system


def _with_offsets(system: System, options: JreOptions, radius: float) -> System:
    """Return the system with the targets, losses and decoding of discs and offsets."""
    return replace(
        system,
        encode=partial(_discs, radius=radius, frame=options.frame),
        losses=partial(_offset_losses, radius=radius, options=options),
        decode=partial(decode_offsets, options=system.decode_options),
    )


def _discs(batch: Batch, radius: float, frame: CropFrame) -> Targets:
    """Return heatmaps that are 1 up to ``radius`` cells from the keypoint and 0 elsewhere."""
    targets = heatmap_targets(batch, (STRIDE,), radius, frame=frame, labeled_only=True)
    return replace(
        targets, heatmaps=tuple((maps >= _AT_SIGMA).float() for maps in targets.heatmaps)
    )


def _offset_losses(
    outputs: RegressionOutputs, targets: Targets, *, radius: float, options: JreOptions
) -> LossTerms:
    """Return half the squared errors of the heatmaps and, in their discs, of offsets in radii."""
    goal, mask = targets.heatmaps[0], targets.masks[0]
    heatmap = heatmap_mse(outputs.heatmaps.float(), goal, mask, options.background)
    offset = keypoint_offset_mse(
        *(outputs.offsets.float(), targets.keypoints[:, 0], goal * mask, targets.image_size),
        frame=options.frame,
        unit=radius,
    )
    return {"heatmap": heatmap.mean() / 2, "offset": offset.mean() / 2}
