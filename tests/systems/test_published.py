"""The catalogue of published weights: every row is whole, builds its network and is as listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from poselib.decoders.keypoint_order import keypoint_order
from poselib.skeletons import SKELETONS
from poselib.systems import SYSTEMS, build, check_options
from poselib.systems.published import PUBLISHED, PublishedWeights

LISTED = Path(__file__).parents[3] / "shared" / "weights.md"
ROWS = list(PUBLISHED.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_whole(row: PublishedWeights) -> None:
    assert row.system in SYSTEMS
    assert row.skeleton in SKELETONS
    check_options(row.system, row.options)
    assert bool(row.address) != bool(row.page)
    assert row.file
    assert row.ap and 20 < row.ap < 80
    assert row.ap_scales is None or row.ap < row.ap_scales < 80
    assert (row.input_size is None) == (row.crop is not None)
    if row.layout != "official":
        assert re.fullmatch("[0-9a-f]{8}", row.sha256)
        assert row.sha256 in row.file
        assert row.address.endswith("/" + row.file)
        assert (row.layout == "mmpose_1.x") == ("/v1/" in row.address)


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.slow
def test_every_network_is_built() -> None:
    built = [row for row in ROWS if not row.unsupported]
    kinds = {(r.system, r.options.get("backbone"), r.options.get("host")): r for r in built}
    for row in kinds.values():
        # names and shapes alone are enough, but some options compute with numbers
        with torch.device("cpu" if row.system == "logocap" else "meta"):
            system = build(row.system, row.skeleton, **row.options)
        assert system.frame == row.frame or row.crop, row.name
        assert system.crop == row.crop, row.name


def test_what_names_say_is_what_rows_hold() -> None:
    for row in ROWS:
        words = row.name.split("_")
        assert row.skeleton in words
        assert (row.options.get("backbone") == "hrnet_w48") == ("w48" in words)
        if "x" in words[-1]:
            assert row.crop == tuple(map(int, words[-1].split("x")))
        assert (row.frame == "aligned") == ("udp" in words)
        assert (row.options.get("subpixel") == "taylor") == ("dark" in words)
        assert (row.options.get("subpixel") == "newton") == ("udp" in words)


def test_grouping_is_that_of_the_public_configurations() -> None:
    """Pairs are compared with the threshold after the assignment; mmpose limits no people."""
    rows = [row for row in ROWS if row.system == "hae"]
    coco = (*range(7), 11, 12, *range(7, 11), *range(13, 17))
    assert len(rows) == 16
    for row in rows:
        official, options = row.layout == "official", row.options
        assert options["threshold_before_assignment"] is False
        assert options["max_people"] == (30 if official else None)
        expected = coco if row.skeleton == "coco" else tuple(range(14))
        assert keypoint_order(SKELETONS[row.skeleton], options["order"]) == expected  # type: ignore[arg-type]


def test_numbers_are_those_of_the_public_configurations() -> None:
    for row in ROWS:
        words, options = set(row.name.split("_")), row.options
        if row.crop:
            assert options["sigma"] == (3 if "384x288" in words else 2), row.name
            kernel = 17 if {"r152", "dark", "384x288"} <= words else 11
            assert options.get("kernel", 11) == kernel, row.name
            continue
        large = "640" in words or ("w48" in words and row.system != "hae")
        assert row.input_size == (640 if large else 512), row.name
        toolbox = row.system == "dekr" and row.layout == "mmpose_1.x"
        assert row.multiple == (32 if toolbox else 64), row.name
        assert options.get("scoring", False) == toolbox, row.name
        if toolbox:
            unit = "left_leg" if row.skeleton == "crowdpose" else "torso"
            found = [options[name] for name in ("nms_kernel", "nms_distance", "scoring_unit")]
            assert found == [5, 0.05, unit], row.name


@pytest.mark.skipif(not LISTED.is_file(), reason=f"no list {LISTED}")
def test_rows_are_those_of_the_public_index() -> None:
    lines = [line.split("|") for line in LISTED.read_text().splitlines() if "| https" in line]
    listed = {cells[4].strip(): cells[3] for cells in lines}
    ours = {row.address: row for row in ROWS if row.address}
    assert set(ours) == set(listed)
    for address, cell in listed.items():
        row = ours[address]
        first, *more = (round(100 * float(number), 1) for number in cell.split("/"))
        assert row.ap == first, row.name
        if row.crop is None:  # of crops, the second number is of another file
            assert [row.ap_scales] == (more or [None]), row.name
