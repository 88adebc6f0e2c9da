"""Test variants keep the network and change its decoding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poselib.engine.variants import Variant, match_distance_for, with_options
from poselib.skeletons import COCO
from poselib.systems import System, build


def regressor(**options: bool | float) -> System:
    return build("dekr", COCO, backbone="hrnet_tiny", width=4, **options)


def associative(**options: bool | str) -> System:
    return build("hae", COCO, backbone="hrnet_tiny", host="plain", **options)


@pytest.mark.slow
def test_with_options_keeps_the_network() -> None:
    system = associative()
    fixed = with_options(system, progressive=False, order="top_down")
    assert fixed.model is system.model and fixed.options["order"] == "top_down"
    assert system.options["progressive"] is True
    with pytest.raises(ValueError, match="make another network"):
        with_options(system, host="hourglass")
    with pytest.raises(ValueError, match="'ordre'"):
        with_options(system, ordre="top_down")


def test_a_variant_supports_systems_that_have_its_options() -> None:
    matched = Variant("matched", {"match": True})
    assert matched.supports(regressor()) and not matched.supports(associative())
    assert Variant("plain", off=("match",)).supports(associative())
    renewed, network = Variant("renewed", renew=2), associative()
    assert renewed.supports(replace(network, clips=True)) and not renewed.supports(network)


def test_options_are_turned_off_where_a_system_has_them() -> None:
    variant = Variant("plain", off=("match", "refine"))
    assert variant.apply(regressor(match=True), 64).options["match"] is False
    decoding = variant.apply(associative(refine=True), 64)
    assert decoding.options["refine"] is False and "match" not in decoding.options


def test_match_distance_follows_the_input_size() -> None:
    assert [match_distance_for(size) for size in (128, 512, 640)] == [18.75, 75.0, 75.0]
    matched = Variant("matched", {"match": True}).apply(regressor(), 64)
    assert matched.options["match_distance"] == 9.375
    given = Variant("matched", {"match": True, "match_distance": 6.0}).apply(regressor(), 64)
    assert given.options["match_distance"] == 6.0
