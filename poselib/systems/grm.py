"""GRM/MFA: global relation modeling and multi-branch feature alignment, under any head.

The paper regresses poses as DEKR does, and also writes of tag maps and of grouping by associative
embedding. Its loss is DEKR's, which has no tags: regression is the default, grouping an option.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from poselib.models import get_backbone
from poselib.models.associative import AssociativeHRNet
from poselib.models.feature_align import AlignConfig, First, Which
from poselib.models.global_relation import Gate, RelationConfig
from poselib.models.hrnet import with_alignment
from poselib.skeletons import Skeleton
from poselib.systems import hae
from poselib.systems.associative_networks import NetworkName
from poselib.systems.regression import RegressionSystemOptions, regression_system
from poselib.systems.system import System, as_mapping

Head = Literal["regression", "associative"]


@dataclass(frozen=True)
class BackboneOptions:
    """Options of the paper's backbone, whatever the head.

    Attributes:
        backbone: key in ``poselib.models.BACKBONES``; the ``_light`` ones are A_our of Eq. (1).
        head: ``"regression"``, DEKR's, or ``"associative"``, heatmaps and tags at one resolution,
            grouped in a fixed order.
        relation: global relation modeling (GRM; Table I).
        gate, relation_norm, relation_reduction, relation_gate_norm, relation_alone: see
            ``models.global_relation.RelationConfig``; the last four are its ``batch_norm``,
            ``reduction``, ``layer_norm`` and ``alone``.
        align: multi-branch feature alignment (MFA; Table I).
        align_blocks, align_residual, align_first: see ``models.feature_align.AlignConfig``.

    Raises:
        ValueError: the head is unknown.
    """

    backbone: str = "hrnet_w32_light"
    head: Head = "regression"
    relation: bool = True
    gate: Gate = RelationConfig.gate
    relation_norm: bool = RelationConfig.batch_norm
    relation_reduction: int = RelationConfig.reduction
    relation_gate_norm: bool = RelationConfig.layer_norm
    relation_alone: bool = RelationConfig.alone
    align: bool = True
    align_blocks: Which = AlignConfig.blocks
    align_residual: bool = AlignConfig.residual
    align_first: First = AlignConfig.first

    def __post_init__(self) -> None:
        if self.head not in get_args(Head):
            raise ValueError(f"head must be one of {get_args(Head)}, not {self.head!r}")


@dataclass(frozen=True)
class GrmOptions(RegressionSystemOptions, BackboneOptions):
    """Options of the system whose head regresses poses."""

    backbone: str = BackboneOptions.backbone


@dataclass(frozen=True)
class GrmAssociativeOptions(hae.HaeOptions, BackboneOptions):
    """Options of the system with heatmaps and tags.

    By default these are the classical associative embedding that the paper cites, which has none of
    HAE's parts; ``host`` must be ``"plain"``.
    """

    backbone: str = BackboneOptions.backbone
    head: Head = "associative"
    host: NetworkName = "plain"
    hierarchical: bool = False
    focal: bool = False
    progressive: bool = False


def build(skeleton: Skeleton, options: GrmOptions | GrmAssociativeOptions) -> System:
    """Build the system of the GRM/MFA paper; each of its ablations is an option.

    Raises:
        ValueError: a name is unknown or a number out of range.
    """
    config = get_backbone(options.backbone)
    if options.align:
        align = AlignConfig(options.align_blocks, options.align_residual, options.align_first)
        config = with_alignment(config, align)
    related = RelationConfig(
        options.gate,
        options.relation_norm,
        options.relation_reduction,
        options.relation_gate_norm,
        options.relation_alone,
    )
    relation = related if options.relation else None
    if isinstance(options, GrmOptions):
        return regression_system(skeleton, config, options, relation=relation, name="grm")
    if options.host != "plain":
        raise ValueError(f"head 'associative' needs host 'plain', not {options.host!r}")
    system = hae.build(skeleton, options)
    std = options.tag_init_std
    model = AssociativeHRNet(config, len(skeleton), tag_init_std=std, relation=relation)
    return replace(system, name="grm", model=model, options=as_mapping(options))
