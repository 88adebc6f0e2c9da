"""Every paper's system by name: its options, and refusal of what it does not know."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from poselib.skeletons import COCO, CROWDPOSE
from poselib.systems import SYSTEMS, System, build, check_options, known_options

torch.set_num_threads(1)

QUICK: dict[str, dict[str, Any]] = {
    "hae": {"backbone": "hrnet_tiny", "deconv_blocks": 0, "hierarchical": False, "host": "plain"},
    "dekr": {"backbone": "hrnet_tiny", "width": 4, "adaptive": False, "radius": 3.0},
    "grm": {"backbone": "hrnet_tiny_light", "width": 4, "align": False, "gate": "multiply"},
    "logocap": {"backbone": "hrnet_tiny", "embedding": 4, "message_width": 8, "oks_weight": 0.1},
    "rpstn": {
        **{"backbone": "hrnet_tiny", "initializer_backbone": "hrnet_tiny", "channels": 8},
        **{"height": 64, "width": 64, "frames": 3},
    },
    "jre": {"backbone": "hrnet_tiny", "height": 64, "width": 96, "relation": "nonlocal"},
}
HAE = {"backbone": "hrnet_tiny", "deconv_blocks": 0}


def test_systems_by_lower_case_name() -> None:
    assert set(SYSTEMS) == set(QUICK)
    assert all(name == name.lower() for name in SYSTEMS)


def test_options_and_their_defaults() -> None:
    options = known_options("hae")
    assert "skeleton" not in options
    # HAE, Section IV: λ = 1.5, all three parts in use, on HigherHRNet-W32.
    published = {"high_weight": 1.5, "hierarchical": True, "focal": True, "progressive": True}
    published |= {"hierarchy": "anatomy", "backbone": "hrnet_w32", "host": "higher"}
    assert options.items() >= published.items()


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_system_knows_all_its_options(name: str) -> None:
    system = build(name, CROWDPOSE, **QUICK[name])
    assert isinstance(system, System)
    assert system.name == name and system.skeleton is CROWDPOSE
    assert dict(system.options) == {**known_options(name), **QUICK[name]}


def test_a_skeleton_is_given_by_itself_or_by_name() -> None:
    system = build("hae", "crowdpose", **QUICK["hae"])
    assert system.skeleton is CROWDPOSE
    with pytest.raises(ValueError, match=r"unknown skeleton 'cocoa'; known: .*'coco'"):
        build("hae", "cocoa")
    with pytest.raises(ValueError, match="a Skeleton or its name is wanted, not 17"):
        build("hae", 17)  # type: ignore[arg-type]


def test_a_system_prints_itself_in_a_line() -> None:
    system = build("hae", COCO, **QUICK["hae"])
    count = sum(each.numel() for each in system.model.parameters())
    text = f"System('hae': 17 keypoints of 'coco', {count:,} parameters"
    assert repr(system) == f"{text})"
    assert repr(replace(system, input_size=128)) == f"{text}, short side 128 px)"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_a_system_can_be_built_again_from_its_options(name: str) -> None:
    first = build(name, COCO, **QUICK[name])
    stored = json.loads(json.dumps(dict(first.options)))
    second = build(name, COCO, **stored)
    assert second.options == first.options and stored.items() >= QUICK[name].items()
    second.model.load_state_dict(first.model.state_dict())


def test_unknown_system_lists_the_known_ones() -> None:
    for ask in (lambda: build("hal", COCO), lambda: known_options("hal")):
        with pytest.raises(ValueError, match=r"unknown system 'hal'; known: \[.*'hae'"):
            ask()


@pytest.mark.parametrize(
    ("name", "option"),
    [("dekr", "blocks"), ("hae", "stacks"), ("hae", "depth"), ("logocap", "message_layers")],
)
def test_a_damaged_count_of_layers_is_refused_before_they_are_built(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}': {option} must be 100 at most, not 2147483647"):
        build(name, COCO, **{option: 2**31 - 1})
    check_options(name, {option: 100})


def test_unknown_options_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'hae' has no option 'lambda', 'pad'; known: backbone, "):
        build("hae", COCO, **HAE, pad=True, **{"lambda": 1.5})


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("backbone", "resnet", r"unknown backbone 'resnet'; known: \[.*'hrnet_w32'"),
        ("host", "highest", "unknown host 'highest'; known: 'higher', 'plain'"),
        ("hierarchy", "hands", r"'coco' has no hierarchy 'hands'; it has \['anatomy'"),
        ("push_form", "cosine", "unknown push form 'cosine'"),
        ("push_sigma", 0.0, "push sigma must be a positive number"),
        ("outlier_scope", "image", "outlier_scope must be 'person' or 'group', not 'image'"),
        ("missing_keypoints", "zero", "missing_keypoints must be 'skip' or 'rescale', not 'zero'"),
        ("alpha", -2.0, "alpha must be a finite number, not negative"),
        ("order", "sideways", "unknown keypoint order 'sideways'"),
        ("resolution", "screen", "resolution must be 'image' or 'map'"),
        ("subpixel", "cubic", "unknown subpixel method 'cubic'"),
        ("nms_kernel", 4, "kernel must be an odd positive number"),
        ("detection_threshold", -0.1, "detection_threshold must be a finite number"),
        ("tag_threshold", float("nan"), "tag_threshold must be a number, not nan"),
        ("tag_threshold", float("inf"), "tag_threshold must be a finite number"),
        ("max_candidates", 0, "max_candidates must be at least 1"),
        ("max_people", 0, "max_people must be at least 1"),
        ("tie_rule", "youngest", "tie_rule must be one of"),
        ("max_candidates", "3", "'hae': max_candidates must be a whole number, not '3'"),
        ("max_candidates", True, "max_candidates must be a whole number, not True"),
        ("alpha", "nan", "alpha must be a number, not 'nan'"),
        ("focal", 1, "focal must be true or false, not 1"),
        ("subpixel", 1, "subpixel must be text, not 1"),
        ("nms_kernel", 1.5, "nms_kernel must be a whole number or none, not 1.5"),
        ("tag_init_std", -0.5, "tag_init_std must be a finite number, not negative"),
        ("deconv_channels", -1, "deconv_channels and deconv_blocks must not be negative"),
    ],
)
def test_unknown_values_are_refused(option: str, value: float | str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("hae", COCO, **{**HAE, option: value})


def test_none_is_a_word_where_an_option_is_text() -> None:
    options = {**QUICK["jre"], "relation": None, "subpixel": None}
    system = build("jre", COCO, **options)
    assert system.options["relation"] == system.options["subpixel"] == "none"
