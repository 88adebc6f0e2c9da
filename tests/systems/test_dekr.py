"""DEKR's own defaults, which are the paper's."""

from __future__ import annotations

import pytest

from poselib.skeletons import COCO
from poselib.systems import build, known_options


def test_defaults_are_the_papers() -> None:
    """DEKR, Secs. 3.1 to 3.4 and 4.1."""
    options = known_options("dekr")
    published = {"backbone": "hrnet_w32", "adaptive": True, "separate": True, "branches": "none"}
    published |= {"width": 15, "radius": 4.0, "background": 0.1, "offset_weight": 0.03}
    published |= {"center_threshold": 0.01, "max_people": 30, "match": False, "scoring": False}
    assert options.items() >= published.items()


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'vgg'; known: \[.*'hrnet_w32'"):
        build("dekr", COCO, backbone="vgg")
