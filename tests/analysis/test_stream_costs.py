"""A stream computes one frame where a clip computes all of its own."""

from __future__ import annotations

import pandas as pd
import pytest

from poselib.analysis.stream_costs import cost_panels, stream_costs, summarize_costs
from poselib.skeletons import PENN_ACTION
from poselib.systems import System, build

TINY = {"backbone": "hrnet_tiny", "height": 64, "width": 64}


def network(**options: object) -> System:
    tiny = {**TINY, "initializer_backbone": "hrnet_tiny", "channels": 8}
    return build("rpstn", PENN_ACTION, **{**tiny, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def costs() -> pd.DataFrame:
    found = stream_costs({"tiny": network()}, [1, 2], frames=4, repeats=1)
    assert (found["network"] == "tiny").all()
    return found.drop(columns="network").set_index(["people", "way"])


def test_a_frame_of_a_clip_takes_a_part_of_its_time(costs: pd.DataFrame) -> None:
    ways = ["stream", "clip of 4", "clip of 4, a frame of it"]
    assert list(costs.index) == [(people, way) for people in (1, 2) for way in ways]
    for people in (1, 2):
        clip, part = (costs.loc[(people, way)] for way in ways[1:])
        assert (clip / 4 == part).all()
    assert (costs[["ms", "cpu_ms"]] > 0).all(axis=None)


def test_a_step_costs_what_one_more_frame_costs(costs: pd.DataFrame) -> None:
    gmac = costs.loc[1, "gmac"]
    # The first frame of a clip has the initializer, and hands on what the next one needs.
    whole = gmac["clip of 4"]
    assert 3 * gmac["stream"] < whole < 5 * gmac["stream"]
    longer = stream_costs({"": network()}, [1], frames=5, repeats=1)["gmac"]
    assert longer[1] - whole == pytest.approx(gmac["stream"])
    assert longer[0] == pytest.approx(gmac["stream"])


def test_systems_without_time_are_refused() -> None:
    images = build("jre", PENN_ACTION, **TINY)
    with pytest.raises(ValueError, match="sbl: a system of clips is wanted; 'jre' sees images"):
        stream_costs({"sbl": images}, [1])
    with pytest.raises(ValueError, match="frames of the clip must be 2 or more, not 1"):
        stream_costs({"rpstn": network()}, [1], frames=1)


def test_costs_are_drawn_and_summarized() -> None:
    ways = ["stream", "clip of 5", "clip of 5, a frame of it"]
    lines = [
        {"network": name, "people": people, "way": way, "ms": ms * people, "gmac": ms / 10}
        for name in ("a", "b")
        for people in (1, 10)
        for way, ms in zip(ways, (2.0, 12.0, 2.4), strict=True)
    ]
    panels = cost_panels(pd.DataFrame(lines))
    kinds = ("10⁹ multiply-accumulates", "ms, 1 person", "ms, 10 people")
    assert list(panels) == [f"{name}: {kind}" for name in "ab" for kind in kinds]
    assert panels["b: ms, 10 people"]["a new frame"].to_dict() == dict(
        zip(ways, (20, 120, 24), strict=True)
    )
    said = summarize_costs(pd.DataFrame(lines))
    assert said.startswith("a new frame of a stream: a, 1 person: 2.0 ms, clip of 5 6.0 times as")
    assert said.count("6.0 times the multiply-accumulates") == 4
