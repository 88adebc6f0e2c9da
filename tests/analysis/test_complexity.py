"""Networks are counted by part and put beside the published numbers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from poselib.analysis import complexity as counting
from poselib.analysis.complexity import (
    ALL,
    PARTS,
    count,
    count_networks,
    counted_networks,
    has_published,
    part_panels,
    published_and_counted,
    summarize_complexity,
)
from poselib.engine.complexity import Complexity
from poselib.papers.catalog import get_paper
from poselib.papers.paper import CountedNetwork
from poselib.skeletons import COCO, CROWDPOSE

TINY = {"backbone": "hrnet_tiny"}
SMALL = CountedNetwork("Table 3", "DEKR32", "dekr", 64, TINY, ("dekr", "3", "DEKR32"))


@pytest.fixture(scope="module")
def table_1() -> pd.DataFrame:
    networks = [network for network in get_paper("dekr").networks if network.table == "Table 1"]
    return count_networks([networks[0], networks[3]], COCO)


@pytest.mark.slow
def test_a_network_is_counted_for_its_keypoints_and_size() -> None:
    coco, crowd = (count(SMALL, skeleton) for skeleton in (COCO, CROWDPOSE))
    assert coco.by_part["stage4"] == crowd.by_part["stage4"]
    # three branches more, each of 15 channels: two convolutions with affine maps, one to offsets
    branch = 2 * (9 * 15 * 15 + 9 * 15 * 6 + 6 + 2 * 15) + 2 * 15 + 2
    assert coco.by_part["head_offset"].params - crowd.by_part["head_offset"].params == 3 * branch
    larger = count(replace(SMALL, size=128), COCO)
    assert larger.params == coco.params and larger.macs == 4 * coco.macs
    with pytest.raises(ValueError, match="'backbon'"):
        count(replace(SMALL, options={"backbon": "hrnet_tiny"}), COCO)


@pytest.mark.slow
def test_counted_numbers_equal_those_of_table_1(table_1: pd.DataFrame) -> None:
    numbers = table_1.set_index(["row", "part"])
    line = numbers.loc[("AA+SR", ALL)]
    assert (line["published_params_m"], line["published_gmac"]) == (29.56, 45.39)
    assert line["gmac"] == pytest.approx(45.385056) and line["gmac_run"] < line["gmac"]
    head = numbers.loc[("Baseline", "regression head")]
    assert (head["published_params_m"], head["published_gmac"]) == (1.31, 21.48)
    known = table_1.dropna(subset=["published_gmac"])
    assert len(known) == 4 and known["same_gmac"].all() and known["same_params_m"].all()
    assert table_1.loc[table_1["part"] == "stage 2", "same_gmac"].isna().all()


def test_parts_sum_to_the_whole(table_1: pd.DataFrame) -> None:
    panels = part_panels(table_1)
    assert list(panels) == ["Table 1: GMAC", "Table 1: million parameters"]
    whole = table_1[table_1["part"] == ALL].set_index("row")
    for panel, metric in zip(panels.values(), ("gmac", "params_m"), strict=True):
        assert list(panel) == list(PARTS) and (panel["GRM"] == 0).all()
        assert list(panel.index) == ["Baseline", "AA+SR"]
        pd.testing.assert_series_equal(panel.sum(axis=1), whole[metric], check_names=False)


def test_tables_are_arranged_as_published(table_1: pd.DataFrame) -> None:
    published, counted = published_and_counted(table_1)
    assert list(published) == ["head, M", "head, GMAC", "all, M", "all, GMAC"]
    assert list(counted) == [*published, "run, GMAC"]
    assert published.loc["AA+SR"].tolist() == [0.22, 3.59, 29.56, 45.39]
    assert counted.round(2).loc["AA+SR", list(published)].tolist() == [0.22, 3.59, 29.56, 45.39]


@pytest.mark.slow
def test_a_network_that_is_not_built_has_published_numbers_alone() -> None:
    other = CountedNetwork("Table 3", "PersonLab", "", 1401, {}, ("dekr", "3", "PersonLab"))
    table = count_networks([SMALL, other], COCO).set_index(["row", "part"])
    line = table.loc[("PersonLab", ALL)]
    assert line["published_gmac"] == 405.5 and pd.isna(line["gmac"]) and pd.isna(line["same_gmac"])
    assert not table.loc[("DEKR32", ALL), "same_gmac"]  # the tiny network is smaller
    published, counted = published_and_counted(table.reset_index())
    assert list(published.index) == ["DEKR32, 64 px", "PersonLab, 1401 px"]
    assert counted.loc["PersonLab, 1401 px"].isna().all()
    with pytest.raises(ValueError, match="table 3 of 'dekr' has no row 'DEKR64'"):
        count_networks([replace(SMALL, published=("dekr", "3", "DEKR64"))], COCO)


def test_digits_decide_what_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Complexity(29_561_182, 43_410_129_000, 45_385_056_000, {})
    monkeypatch.setattr(counting, "count", lambda *_: counted)
    row = replace(SMALL, published=("dekr", "1", "AA+SR"))
    coarse, fine = (count_networks([replace(row, digits=n)], COCO) for n in (2, 3))
    assert coarse.loc[0, "same_gmac"] and not fine.loc[0, "same_gmac"]  # 45.385 and 45.39


def test_the_summary_says_what_equals_and_what_changes(table_1: pd.DataFrame) -> None:
    assert summarize_complexity(table_1) == (
        "Table 1: 8 of 8 numbers equal the published; from Baseline to AA+SR all -4% parameters "
        "and -28% operations, regression head -83% parameters and -83% operations"
    )
    unequal = summarize_complexity(count_networks([SMALL], COCO))
    assert "0 of 2 numbers equal the published (DEKR32 params_m 1.5, published 29.6" in unequal


CLIPS = {"backbone": "hrnet_tiny", "initializer_backbone": "hrnet_tiny", "channels": 32}


def test_clips_are_counted_as_their_paper_does() -> None:
    crops = {**CLIPS, "height": 64, "width": 64}
    published = ("rpstn", "V torso", "DKD, ResNet-18")
    network = CountedNetwork(
        "Table V", "DKD", "rpstn", 0, crops, published, 2, 0.02, frames=3, skeleton="penn_action"
    )
    longer = replace(network, row="longer", frames=4)
    table = count_networks([network, longer]).set_index("row")
    assert list(table["part"]) == [ALL, ALL] and list(table["frames"]) == [3, 4]
    assert table["params_m"].nunique() == 1  # parameters are those of the network ...
    once = table["params_mi"] * 2**20 - table["params_m"] * 1e6
    assert 0 < once["DKD"] < once["longer"]  # ... but of each call here
    assert table.loc["longer", "gmac_gi"] * 2**30 < table.loc["longer", "gmac"] * 1e9
    assert table.loc["DKD", "published_params_mi"] == 131.12 and has_published(table)
    assert not table["same_params_mi"].any() and table["same_params_m"].isna().all()
    found, counted = published_and_counted(table.reset_index())
    assert list(found) == ["all, Mi", "all, GiMAC"]
    assert list(counted) == [*found, "true, M", "run, GMAC"]
    near = replace(network, tolerance=200)
    assert count_networks([near]).loc[0, ["same_params_mi", "same_gmac_gi"]].all()


def test_a_part_of_a_network_is_counted_alone() -> None:
    options = {
        "backbone": "hrnet_tiny",
        "refine": True,
        "relation": "none",
        "height": 64,
        "width": 64,
    }
    whole = CountedNetwork("Table VIII", "PoseFix", "jre", 0, options, ("rpstn", "VIII", "PoseFix"))
    host = replace(whole, options={**options, "refine": False})
    part = replace(whole, part="refinement")
    table = count_networks([whole, host, part], COCO)
    for metric in ("params_m", "gmac", "params_mi", "gmac_gi"):
        everything, first, second = table[metric]
        assert everything == pytest.approx(first + second), metric


def test_networks_are_those_of_a_paper_and_its_first_tables() -> None:
    rpstn = get_paper("rpstn")
    tables = [[n.table for n in counted_networks(rpstn, count)] for count in (1, 2, None)]
    assert [list(dict.fromkeys(each)) for each in tables] == [
        ["Table V"], ["Table V", "Table IV"], ["Table V", "Table IV", "Table VIII"]
    ]  # fmt: skip
    assert len(tables[0]) == 4 and len(tables[2]) == 21
    with pytest.raises(ValueError, match="paper 'jre' has no networks whose costs are counted"):
        counted_networks(get_paper("jre"))


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.slow
def test_the_costs_of_clips_and_hosts_are_the_published_ones() -> None:
    rows = ("RPSTN, ResNet-18", "RPSTN, 5 frames", "SBL-JRE", "HRNet-W32", "UDP")
    networks = [n for n in counted_networks(get_paper("rpstn")) if n.row in rows]
    table = count_networks(networks).set_index("row")
    assert len(table) == 5
    assert table["same_params_mi"].dropna().all() and len(table["same_params_mi"].dropna()) == 4
    assert table["same_gmac_gi"].tolist() == [True, True, False, True, True]  # 8.912 is 8.993
    assert table.loc["RPSTN, ResNet-18", "params_m"] == pytest.approx(70.865, abs=1e-3)
