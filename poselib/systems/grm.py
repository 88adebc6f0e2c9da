"""GRM/MFA: global relation modeling and multi-branch feature alignment, under any head.

The paper regresses poses as DEKR does, and also writes of tag maps and of grouping by associative
embedding. Its loss is DEKR's, which has no tags: regression is the default, grouping an option.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from poselib.models import get_backbone
from poselib.models.associative import AssociativeHRNet
from poselib.models.feature_align import AlignConfig, First, Which
from poselib.models.global_relation import Gate, RelationConfig
from poselib.models.hrnet import HRNetConfig, with_alignment
from poselib.skeletons import Skeleton
from poselib.systems import hae
from poselib.systems.regression import regression_system
from poselib.systems.system import OptionValue, System

Head = Literal["regression", "associative"]


def build(
    skeleton: Skeleton,
    *,
    backbone: str = "hrnet_w32_light",
    head: Head = "regression",
    relation: bool = True,
    gate: Gate = "add",
    relation_norm: bool = False,
    relation_reduction: int = 2,
    relation_gate_norm: bool = False,
    align: bool = True,
    align_blocks: Which = "every",
    align_residual: bool = False,
    align_first: First = "output",
    **options: OptionValue,
) -> System:
    """Build the system of the GRM/MFA paper; each of its ablations is an option.

    Args:
        skeleton: the keypoints to predict.
        backbone: key in ``poselib.models.BACKBONES``; the ``_light`` ones are A_our of Eq. (1).
        head: ``"regression"``, DEKR's, or ``"associative"``, heatmaps and tags at one resolution,
            grouped in a fixed order.
        relation: global relation modeling (GRM; Table I).
        gate, relation_norm, relation_reduction, relation_gate_norm: see
            ``models.global_relation.RelationConfig``; the last three are its ``batch_norm``,
            ``reduction`` and ``layer_norm``.
        align: multi-branch feature alignment (MFA; Table I).
        align_blocks, align_residual, align_first: see ``models.feature_align.AlignConfig``.
        **options: of ``systems.regression.regression_system``, or of ``systems.hae.build``.

    Raises:
        ValueError: as there, or a name is unknown.
    """
    own = {key: value for key, value in locals().items() if key not in ("skeleton", "options")}
    if head not in get_args(Head):
        raise ValueError(f"head must be one of {get_args(Head)}, not {head!r}")
    config = get_backbone(backbone)
    if align:
        config = with_alignment(config, AlignConfig(align_blocks, align_residual, align_first))
    reading = RelationConfig(gate, relation_norm, relation_reduction, relation_gate_norm)
    related = reading if relation else None
    if head == "regression":
        system = regression_system(skeleton, config, related, **options)  # type: ignore[arg-type]
    else:
        system = _associative(skeleton, backbone, config, related, options)
    return replace(system, name="grm", options={**system.options, **own})


# The classical associative embedding that the paper cites: none of HAE's parts.
_CLASSICAL: dict[str, OptionValue] = {
    "host": "plain",
    "hierarchical": False,
    "focal": False,
    "progressive": False,
}


def _associative(
    skeleton: Skeleton,
    backbone: str,
    config: HRNetConfig,
    relation: RelationConfig | None,
    options: dict[str, OptionValue],
) -> System:
    given = {**_CLASSICAL, **options, "backbone": backbone}
    if given["host"] != "plain":
        raise ValueError(f"head 'associative' needs host 'plain', not {given['host']!r}")
    system = hae.build(skeleton, **given)  # type: ignore[arg-type]
    std = float(system.options["tag_init_std"])  # type: ignore[arg-type]
    model = AssociativeHRNet(config, len(skeleton), tag_init_std=std, relation=relation)
    return replace(system, model=model)
