"""The papers' comparison tables and test variants."""

from __future__ import annotations

from itertools import chain

import pytest

from poselib.data.catalog import DATASETS
from poselib.papers.catalog import PAPERS, get_paper
from poselib.papers.comparison_table import MAIN_METRIC, METRICS
from poselib.papers.published import published, published_table
from poselib.skeletons import SKELETONS
from poselib.systems import known_options

TABLES = list(chain.from_iterable(paper.tables for paper in PAPERS.values()))
BY_NAME = {table.paper + " " + table.number: table for table in TABLES}


@pytest.mark.parametrize("table", TABLES, ids=list(BY_NAME))
def test_all_that_a_table_prints_of_poses_can_be_measured(table) -> None:
    # A table of videos also prints costs; HiEve's weights of frames are not published.
    costs = {"params_m", "input_size", "params_mi", "gmac_gi", "time_ms"}
    weighted = {"wAP", "wAP50", "wAP75", "wAP90"}
    assert set(table.published) - set(table.metrics) <= costs | weighted
    # LOGO-CAP prints AP alone on OCHuman, and no AR on COCO.
    named = f"{table.paper} {table.number[0]}"
    least = {"logocap 1": 5, "logocap 2": 1, "rpstn I": 4}.get(named, 6)
    assert len(table.metrics) >= least and MAIN_METRIC[table.protocol] in table.metrics


def test_every_comparison_of_a_paper_is_here() -> None:
    studies = ["VIII"]  # of hosts with and without JRE
    for name, paper in PAPERS.items():
        if name == "jre":  # its numbers are among RPSTN's
            assert not paper.tables
            continue
        numbers = published(name)
        cited = numbers["source"].str.contains("citing")
        timed = numbers[numbers["metric"] == "time_ms"]["table"]  # compares speed
        compared = numbers[
            cited
            & numbers["metric"].isin(["AP", "AP_total", "PCK_total"])
            & ~(numbers["table"].isin(timed) & (numbers["metric"] == "AP"))
            & ~numbers["table"].isin(studies)
            & ~numbers["table"].str.startswith("Sec.")  # a sentence's are those of a study
        ]
        assert {table.number for table in paper.tables} == set(compared["table"])
        assert {table.paper for table in paper.tables} == {name} == {paper.name}


def test_metrics_are_in_the_order_of_the_papers() -> None:
    # In the files of published numbers, the first row of DEKR's Table 7 has APE, APM and APH alone.
    assert next(iter(BY_NAME["dekr 7"].published)) == "APE"
    assert BY_NAME["dekr 7"].metrics == ["AP", "AP50", "AP75", "APE", "APM", "APH"]
    assert BY_NAME["grm III"].metrics == list(METRICS["coco"])
    assert " ".join(BY_NAME["dekr 2"].metrics) == "AP AP50 AP75 APM APL AR ARM ARL"
    for part in ("val", "test-dev"):
        assert " ".join(BY_NAME[f"logocap 1 {part}"].metrics) == "AP AP50 AP75 APM APL"
    assert BY_NAME["hae V"].metrics[0] == "AP_head" and BY_NAME["hae V"].metrics[-1] == "AP_total"


def test_variants_are_those_of_the_paper() -> None:
    progressive, fixed = PAPERS["hae"].variants
    assert progressive.options == {"progressive": True} and fixed.scales == (1.0,)
    assert fixed.options == {"progressive": False}
    assert PAPERS["dekr"].variants == PAPERS["grm"].variants
    single, several, matched = PAPERS["dekr"].variants
    assert single.scales == (1.0,) and several.scales == matched.scales == (0.5, 1.0, 2.0)
    assert "match" in single.off and "match" in several.off and matched.options == {"match": True}
    assert PAPERS["grm"].variants_at([1.0, 1.5])[1].scales == (1.0, 1.5)


def test_local_global_adaptation_is_on_or_off_at_one_scale() -> None:
    adapted, plain = PAPERS["logocap"].variants_at((0.5, 2.0))
    assert adapted.name == "adapted" and adapted.options == {"adapt": True}
    assert plain.name == "center-offset" and plain.options == {"adapt": False}
    assert adapted.scales == plain.scales == (1.0,)


def test_videos_are_tested_with_the_state_kept_and_renewed_as_in_training() -> None:
    kept, renewed = PAPERS["rpstn"].variants
    assert (kept.renew, renewed.renew) == (None, 5)
    of = {table.number: table for table in PAPERS["rpstn"].tables}
    assert of["VI torso"].dataset.split() == ["sub_jhmdb_1", "sub_jhmdb_2", "sub_jhmdb_3"]
    assert of["VII"].synthetic == of["IX"].synthetic == "clip_crowd"
    names = {table.dataset for table in PAPERS["rpstn"].tables}
    assert {name for several in names for name in several.split()} <= set(DATASETS)
    assert not PAPERS["jre"].tables  # Table VIII is a study


def test_both_parts_of_ochuman_are_compared_on() -> None:
    of = {table.number: table for table in PAPERS["logocap"].tables}
    assert (of["2 val"].dataset, of["2 test"].dataset) == ("ochuman_val", "ochuman")
    assert of["2 val"].synthetic == of["2 test"].synthetic == "crowd"
    assert of["2 val"].published.loc["LOGO-CAP, HRNet-W48", "AP"] == 41.2
    assert of["2 test"].published.loc["LOGO-CAP, HRNet-W48", "AP"] == 40.4


def test_unknown_papers_and_single_scales_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown paper 'posenet'; known: hae, dekr, grm, logocap"):
        get_paper("posenet")
    with pytest.raises(ValueError, match="two scales or more"):
        PAPERS["dekr"].variants_at((1.0,))


def test_networks_to_count_have_known_options_and_published_rows() -> None:
    networks = [network for paper in PAPERS.values() for network in paper.networks]
    assert len(networks) == 40
    for network in networks:
        assert network.skeleton in SKELETONS and network.frames >= 1
        if network.system:
            assert set(network.options) <= set(known_options(network.system)), network
        if network.published:
            paper, table, row = network.published
            assert row in published_table(paper, table).index, network
