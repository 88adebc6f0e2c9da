"""Options of the systems are pinned: their defaults, and the networks that they build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from poselib.models.pretrained import load_official
from poselib.skeletons import COCO
from poselib.systems import build, known_options
from poselib.systems.system import as_mapping

HAE: dict[str, Any] = {
    "backbone": "hrnet_w32",
    "host": "higher",
    "deconv_blocks": 4,
    "deconv_channels": None,
    "stacks": 4,
    "features": 256,
    "depth": 4,
    "increase": 128,
    "stack_norm": False,
    "stack_norm_all": False,
    "tag_init_std": 0.1,
    "sigma": 2.0,
    "subpixel_targets": True,
    "overlap": "max",
    "background": 1.0,
    "heatmap_weight": 1.0,
    "push_weight": 0.001,
    "pull_weight": 0.001,
    "hierarchical": True,
    "hierarchy": "anatomy",
    "high_weight": 1.5,
    "focal": True,
    "alpha": 2.0,
    "outlier_scope": "person",
    "focal_levels": "both",
    "mining": "iqr",
    "hardest": 8,
    "ohkm_rest": "drop",
    "missing_keypoints": "skip",
    "per_keypoint": True,
    "push_form": "gaussian",
    "push_sigma": 0.5**0.5,
    "push_factor": 1.0,
    "progressive": True,
    "distance_reduction": "min",
    "progressive_unit": "type",
    "order": "dataset",
    "resolution": "image",
    "frame": "center",
    "subpixel": "quarter",
    "kernel": 3,
    "nms_kernel": None,
    "detection_threshold": 0.1,
    "tag_threshold": 1.0,
    "max_candidates": 30,
    "max_people": None,
    "round_distance": True,
    "tie_rule": "oldest",
    "threshold_before_assignment": True,
    "refine": True,
}
REGRESSION: dict[str, Any] = {
    "backbone": "hrnet_w32",
    "adaptive": True,
    "separate": True,
    "branches": "none",
    "width": 15,
    "shared_width": 256,
    "blocks": 2,
    "heatmap_width": 0,
    "start": "grid",
    "sigma": 2.0,
    "center_sigma": 4.0,
    "radius": 4.0,
    "region": "disc",
    "background": 0.1,
    "foreground": "per_map",
    "min_area": 0.0,
    "owner": "nearest",
    "person_size": "diagonal",
    "heatmap_weight": 1.0,
    "offset_weight": 0.03,
    "frame": "center",
    "nms_kernel": None,
    "center_threshold": 0.01,
    "max_people": 30,
    "nms_distance": None,
    "nms_fraction": 0.5,
    "scale_decrease": 0.9,
    "match": False,
    "match_distance": 75.0,
    "subpixel": "parabola",
    "scoring": False,
    "scoring_unit": "torso",
}
LOGOCAP: dict[str, Any] = {
    "backbone": "hrnet_w32",
    "heatmap_width": 0,
    "offset_width": 256,
    "adaptation": True,
    "embedding": 64,
    "message_layers": 3,
    "message_width": 512,
    "attentive": True,
    "local_window": 11,
    "global_window": 97,
    "step": 1.0,
    "reweigh": True,
    "sigma": 2.0,
    "center_sigma": 4.0,
    "radius": 4.0,
    "region": "disc",
    "background": 0.1,
    "foreground": "all",
    "min_area": 0.0,
    "owner": "nearest",
    "heatmap_weight": 1.0,
    "refined_weight": 1.0,
    "offset_weight": 0.01,
    "oks_weight": 0.01,
    "person_size": "area",
    "assignment": "max",
    "weighting": "improvement",
    "refined_sigma": 4.0,
    "frame": "center",
    "adapt": True,
    "prior": "both",
    "ties": "first",
    "reduction": "mean",
    "top_weight": 0.75,
    "nms_kernel": 3,
    "center_threshold": 0.01,
    "max_people": 30,
    "nms_distance": 0.05,
    "nms_fraction": 0.5,
    "scale_decrease": 0.9,
}
BACKBONE: dict[str, Any] = {
    "backbone": "hrnet_w32_light",
    "head": "regression",
    "relation": True,
    "gate": "add",
    "relation_norm": False,
    "relation_reduction": 2,
    "relation_gate_norm": False,
    "relation_alone": False,
    "align": True,
    "align_blocks": "every",
    "align_residual": True,
    "align_first": "output",
}
# Classical associative embedding: none of HAE's parts.
CLASSICAL = {"host": "plain", "hierarchical": False, "focal": False, "progressive": False}
ASSOCIATIVE = {**HAE, **BACKBONE, **CLASSICAL, "head": "associative"}
DEFAULTS: dict[tuple[str, str], dict[str, Any]] = {
    ("hae", ""): HAE,
    ("dekr", ""): REGRESSION,
    ("grm", ""): {**REGRESSION, **BACKBONE},
    ("grm", "associative"): ASSOCIATIVE,
    ("logocap", ""): LOGOCAP,
}
HOURGLASS = {"host": "hourglass", "stacks": 2, "features": 16, "depth": 2, "increase": 8}
RELATION = {"gate": "multiply", "relation_norm": True, "relation_reduction": 4}
SMALL_HEADS = {"embedding": 16, "message_width": 64, "offset_width": 128}


@pytest.mark.parametrize(("name", "head"), DEFAULTS)
def test_defaults(name: str, head: str) -> None:
    assert known_options(name, head) == DEFAULTS[name, head]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("hae", {}, 1201059),
        ("hae", {"host": "plain"}, 1092402),
        ("hae", HOURGLASS, 89124),
        ("hae", {"deconv_blocks": 1, "deconv_channels": 16}, 1114291),
        ("hae", {"hierarchical": False, "focal": False, "progressive": False}, 1201059),
        ("dekr", {}, 1528974),
        ("dekr", {"adaptive": False}, 1501230),
        ("dekr", {"separate": False}, 2648144),
        ("dekr", {"branches": "head"}, 1610526),
        ("dekr", {"branches": "body_parts"}, 1708350),
        ("dekr", {"scoring": True}, 1614223),
        ("dekr", {"heatmap_width": 32, "width": 8}, 1435440),
        ("grm", {}, 1211118),
        ("grm", {"relation": False}, 1170958),
        ("grm", {"align": False}, 1365486),
        ("grm", RELATION, 1207150),
        ("grm", {"head": "associative"}, 766450),
        ("grm", {"align_residual": False}, 1211118),
        ("logocap", {}, 7944661),
        ("logocap", {"adaptation": False}, 1421252),
        ("logocap", {"attentive": False}, 7929813),
        ("logocap", {"message_layers": 0}, 1456277),
        ("logocap", SMALL_HEADS, 1570085),
    ],
)
def test_every_ablation_builds_the_network_that_it_always_built(
    name: str, options: dict[str, Any], parameters: int
) -> None:
    backbone = "hrnet_tiny_light" if name == "grm" else "hrnet_tiny"
    system = build(name, COCO, backbone=backbone, **options)
    assert sum(weight.numel() for weight in system.model.parameters()) == parameters
    assert system.options.items() >= options.items() and system.options["backbone"] == backbone
    thresholds = {"hae": 0.3, "dekr": 0.1, "grm": 0.1, "logocap": 0.03}
    expected = 0.3 if options.get("head") == "associative" else thresholds[name]
    assert system.visualization_threshold == expected and system.flip_shift == 0


@pytest.mark.parametrize("name", ["rpstn", "jre"])
def test_scores_of_boxes_times_heatmaps_are_drawn_from_a_tenth_on(name: str) -> None:
    backbones = {"backbone": "hrnet_tiny"}
    if name == "rpstn":
        backbones |= {"initializer_backbone": "hrnet_tiny"}
    system = build(name, COCO, height=64, width=64, **backbones)
    assert system.visualization_threshold == 0.1


@pytest.mark.parametrize("name", ["dekr", "grm", "logocap"])
def test_official_weights_may_shift_the_mirrored_image(name: str) -> None:
    backbone = "hrnet_tiny_light" if name == "grm" else "hrnet_tiny"
    system = build(name, COCO, backbone=backbone, frame="index")
    assert system.flip_shift == (0 if name == "logocap" else 3)


def test_the_options_of_a_system_are_those_of_its_dataclass() -> None:
    system = build("hae", COCO, backbone="hrnet_tiny", deconv_blocks=0, host="plain")
    assert system.options.keys() == HAE.keys()
    assert as_mapping(system.decode_options.grouping)["tag_threshold"] == 1.0


@pytest.mark.parametrize("frame", ["center", "index"])
@pytest.mark.parametrize("name", ["dekr", "grm", "logocap"])
def test_a_network_knows_the_frame_of_its_system(
    name: str, frame: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    backbone = "hrnet_tiny_light" if name == "grm" else "hrnet_tiny"
    model = build(name, COCO, backbone=backbone, frame=frame).model
    assert model.frame == frame
    if name == "logocap":  # its official names are those of this network
        torch.save(model.state_dict(), tmp_path / "official.pth")
        load_official(model, tmp_path / "official.pth")
        said = [str(each.message) for each in recwarn if each.category is UserWarning]
        assert ['frame="index"' in text for text in said] == [True] * (frame == "center")
