from __future__ import annotations

import pandas as pd
import pytest

from poselib.benchmarks import speed_tables
from poselib.papers.published import published_table
from poselib.plots.bars import show_parts
from poselib.plots.timings import show_tradeoff

SPEED = pd.DataFrame(
    {
        "row": ["LOGO-CAP, HRNet-W32", "DEKR, HRNet-W32"] * 2,
        "setting": ["1 thread"] * 2 + ["2 threads"] * 2,
        "network_ms": [900.0, 950.0, 500.0, 550.0],
        "decoding_ms": [100.0, 50.0, 80.0, 50.0],
        "time_ms": [1000.0, 1000.0, 580.0, 600.0],
        "fps": [1.0, 1.0, 1.724, 1.667],
        "cpu_ms": [990.0, 990.0, 990.0, 990.0],
    }
)
STAGES = pd.DataFrame(
    {
        "row": "W32",
        "setting": "1 thread",
        "people": [1, 30],
        "network_ms": [900.0, 902.0],
        "local_kems_ms": [2.0, 20.0],
        "local_kams_ms": [20.0, 280.0],
        "global_kams_ms": [3.0, 40.0],
        "rest_ms": [0.5, 1.0],
        "decoding_ms": [26.0, 340.0],
        "overhead": [0.3, 0.2],
    }
)
GROWN = pd.DataFrame(
    {
        "row": ["W32"], "setting": ["1 thread"], "fewest": [1], "most": [30],
        "decoding": [13.0], "image": [1.34], "overhead": [0.2],
    }
)  # fmt: skip
FOUND = pd.DataFrame({"method": "LOGO-CAP", "ms": [6.0], "AP": [41.25]}, index=["LOGO-CAP, seed 0"])


def test_networks_have_the_names_of_published_rows() -> None:
    compared = speed_tables.compared_networks(["hrnet_w32", "hrnet_w48"])
    printed = set(published_table("logocap", "3").index)
    assert printed & set(compared) == {
        "LOGO-CAP, HRNet-W32", "LOGO-CAP, HRNet-W48", "DEKR, HRNet-W32", "DEKR, HRNet-W48",
        "AE, HRNet-W32",
    }  # fmt: skip
    assert compared["DEKR, HRNet-W48"] == ("dekr", "hrnet_w48")
    adapting = speed_tables.adapting_networks(["hrnet_w32", "hrnet_w48"])
    assert set(adapting) <= set(published_table("logocap", "4").index)


def test_published_and_measured_lines_stay_apart() -> None:
    lines = speed_tables.with_published("3", SPEED)
    assert lines.groupby("by").size().to_dict() == {"measured": 4, "published": 7}
    assert lines.loc[lines["by"] == "published", "network_ms"].isna().all()
    lines = speed_tables.with_published("4", STAGES)
    printed = lines[lines["by"] == "published"].set_index("row")
    assert printed.loc["W32", "network_ms"] == 38.6
    assert printed.loc["W48, 30 persons", "global_kams_ms"] == 5.97


def test_the_table_shows_the_first_setting() -> None:
    printed, measured = speed_tables.speed_columns(SPEED)
    assert list(printed) == ["AP, %", "time, ms", "FPS"]
    assert list(measured) == ["network, ms", "decoding, ms", "time, ms", "FPS"]
    assert measured["time, ms"].to_dict() == {
        "LOGO-CAP, HRNet-W32": 1000.0,
        "DEKR, HRNet-W32": 1000.0,
    }


def test_bars_are_of_published_and_measured_stages() -> None:
    panels = speed_tables.stage_panels(STAGES)
    printed, measured = panels.values()
    assert list(panels) == [
        "published, W32, TITAN RTX: besides a network of 38.6 ms",
        "measured, W32, 1 thread: besides a network of 901 ms",
    ]
    assert list(printed.index) == ["mean of COCO", "1 person", "30 people"]
    assert list(printed) == ["local KEMs", "local KAMs", "global KAMs", "rest"]
    assert printed.loc["30 people", "global KAMs"] == 5.87
    assert measured.loc["30 people"].tolist() == [20.0, 280.0, 40.0, 1.0]
    assert len(show_parts(panels).axes) == 2


def test_networks_that_the_paper_lacks_are_shown_alone() -> None:
    assert len(speed_tables.stage_panels(STAGES.assign(row="hrnet_tiny"))) == 1


def test_points_are_of_published_and_measured_networks() -> None:
    panels = speed_tables.tradeoff_panels({"drawn scenes": FOUND})
    printed, measured = panels.values()
    assert list(panels) == ["published: COCO val2017, TITAN RTX", "measured: drawn scenes"]
    assert list(measured.index) == ["seed 0"]
    ours = printed[printed["method"] == "LOGO-CAP"]
    assert ours["ms"].to_dict() == {"HRNet-W32": 48.0, "HRNet-W48": 112.0}
    assert len(show_tradeoff(panels).axes) == 2
    assert len(speed_tables.tradeoff_panels({})) == 1


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (speed_tables.summarize_speed(SPEED, 10), "LOGO-CAP, HRNet-W32: 1000 ms (90% network)"),
        (speed_tables.summarize_speed(SPEED, 1), "one image of 1 person, 1 thread, random weights"),
        (speed_tables.summarize_stages(GROWN), "adapting 30 people takes 13.00 times"),
        (speed_tables.summarize_stages(GROWN), "20% are not convolutions"),
        (
            speed_tables.summarize_tradeoff({"here": FOUND}),
            "here: LOGO-CAP, seed 0 AP 41.2 % at 6.0",
        ),
        (speed_tables.summarize_tradeoff({}), "no checkpoint was given"),
    ],
)
def test_outcomes_are_told(told: str, wanted: str) -> None:
    assert wanted in told
