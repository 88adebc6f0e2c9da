"""GRM/MFA: its parts come and go by options, under either head."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from poselib.models.feature_align import AlignBlock
from poselib.models.global_relation import GlobalRelation, RelationConfig
from poselib.outputs import RegressionOutputs, TagOutputs
from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import System, build, known_options

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"backbone": "hrnet_tiny_light"}
REGRESSION: dict[str, Any] = {**QUICK, "width": 4, "heatmap_width": 16}


def parts_of(system: System) -> set[type]:
    return {type(part) for part in system.model.modules()} & {AlignBlock, GlobalRelation}


@pytest.mark.slow
@pytest.mark.parametrize("relation", [False, True])
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("head", ["regression", "associative"])
def test_parts_come_and_go(head: str, relation: bool, align: bool) -> None:
    """GRM/MFA, Table I."""
    host = REGRESSION if head == "regression" else QUICK
    system = build("grm", CROWDPOSE, head=head, relation=relation, align=align, **host)
    expected = {AlignBlock} if align else set()
    expected |= {GlobalRelation} if relation else set()
    assert parts_of(system) == expected
    outputs = system.model.eval()(torch.rand(1, 3, 64, 64))
    assert isinstance(outputs, RegressionOutputs if head == "regression" else TagOutputs)
    assert len(system.decode(outputs)) == 1


def test_every_reading_of_the_relation_is_an_option() -> None:
    options = {"relation_norm": True, "relation_reduction": 4, "relation_gate_norm": True}
    relation = build("grm", COCO, gate="multiply", **options, **REGRESSION).model.relation
    config = RelationConfig("multiply", batch_norm=True, reduction=4, layer_norm=True)
    expected = GlobalRelation((32, 32, 32), config)
    assert repr(relation) == repr(expected)
    assert all(gate.gate == "multiply" for gate in relation.gates)
    alone = build("grm", COCO, relation_alone=True, **REGRESSION).model
    assert alone.feature_widths == (64,)


def test_options_depend_on_the_head() -> None:
    regression, associative = known_options("grm"), known_options("grm", "associative")
    assert "adaptive" in regression and "tag_threshold" not in regression
    assert "tag_threshold" in associative and "adaptive" not in associative
    assert regression["backbone"] == associative["backbone"] == "hrnet_w32_light"
    with pytest.raises(ValueError, match="'grm' has no option 'adaptive'; known: backbone, head"):
        build("grm", COCO, head="associative", adaptive=False, **QUICK)


@pytest.mark.parametrize("head", ["regression", "associative"])
def test_it_can_be_built_again(head: str) -> None:
    given = {**QUICK, "head": head, "gate": "multiply", "align_blocks": "last"}
    first = build("grm", COCO, **given)
    second = build("grm", COCO, **first.options)
    assert second.options == first.options and first.options.items() >= given.items()
    second.model.load_state_dict(first.model.state_dict())


def test_grouping_is_the_classical_one() -> None:
    """The paper follows associative embedding, which has none of HAE's parts."""
    options = build("grm", COCO, head="associative", **QUICK).options
    classical = {"hierarchical": False, "focal": False, "progressive": False, "host": "plain"}
    assert options.items() >= classical.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "boxes"}, "head must be one of"),
        ({"head": "associative", "host": "higher"}, "needs host 'plain', not 'higher'"),
        ({"gate": "divide"}, "gate must be one of"),
        ({"relation_reduction": 0}, "reduction must be 1 or more, not 0"),
        ({"align_blocks": "first"}, "blocks must be one of"),
    ],
)
def test_unknown_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("grm", COCO, **{**QUICK, **options})
