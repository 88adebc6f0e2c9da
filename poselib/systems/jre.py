"""JRE: the joint relation extractor behind any network of heatmaps of one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poselib.models.heatmap import HeatmapNetwork
from poselib.models.pose_refinement import RefinedHeatmapNetwork
from poselib.skeletons import Skeleton
from poselib.systems.single_person import SinglePersonOptions, single_person_system
from poselib.systems.system import System


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
    """

    backbone: str = "resnet50"
    refine: bool = False
    refine_depth: int = 50
    refine_sigma: float = 7.0
    refine_jitter: float = 0.03


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
    count = len(skeleton)
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
        model = HeatmapNetwork(options.backbone, count, **related)
    return single_person_system("jre", skeleton, model, options)
