"""Explorers are driven by their controls, on one of the tests' own."""

from __future__ import annotations

import pytest

pytest.importorskip("anywidget")

import ipywidgets as ipw

from poselib import widgets
from poselib.benchmarks.explorers import (
    alternatives,
    memory_growth,
    slowest_controls,
    time_controls,
    time_overtaken,
)
from tests.widgets.toy_explorer import Toy


@pytest.fixture(scope="module")
def toy() -> Toy:
    toy = Toy(people=1)
    toy.wait()
    return toy


def test_controls_are_moved_over_their_whole_range() -> None:
    assert alternatives(ipw.Checkbox(True)) == [True, False]
    assert alternatives(ipw.IntSlider(3, min=1, max=4)) == [3, 1, 2, 4]
    assert alternatives(ipw.FloatSlider(0.5, min=0, max=1, step=0.25)) == [0.5, 0.0, 0.25, 0.75, 1]
    assert alternatives(ipw.Dropdown(options=["a", "b"], value="b")) == ["b", "a"]
    assert alternatives(ipw.Dropdown(options=[("first", 1), ("second", 2)])) == [1, 2]
    assert alternatives(ipw.Text("a.png")) == ["a.png"]


def test_each_control_that_is_seen_is_timed(toy: Toy) -> None:
    before = toy.values
    table = time_controls(toy, repeats=1).set_index("control")
    seen = ["source", "scene", "people", "crowd_index", "gain", "colors", "pale", "fault"]
    assert list(table.index) == seen
    assert table["computes"].tolist() == [True] * 4 + [False] * 4
    assert (table["ms"] > 0).all() and (table["ms_95"] >= table["ms"]).all()
    assert table["error"]["gain"] == "" and "on purpose" in table["error"]["fault"]
    assert toy.values == before and toy.error is None
    slowest = slowest_controls(table.reset_index())
    assert slowest["computes"].tolist() == [True, False]
    assert slowest["controls"].tolist() == [3, 3]  # without those that err
    assert slowest["cpu_ms"].tolist() == [
        table["cpu_ms"][["scene", "people", "crowd_index"]].max(),
        table["cpu_ms"][["gain", "colors", "pale"]].max(),
    ]


def test_a_second_decoding_is_timed_while_it_is_compared() -> None:
    explorer = widgets.association(size=64)
    explorer.wait()
    opened: list[bool] = []
    explorer.controls["second_order"].observe(
        lambda _: opened.append(explorer.controls["compare"].value), "value"
    )
    time_controls(explorer, repeats=1, names=["second_order"])
    assert opened and all(opened[:-1])
    assert not explorer.values["compare"]
    explorer.close()


def test_memory_and_overtaken_work_are_measured(toy: Toy) -> None:
    grown = memory_growth(toy, 10)
    assert min(grown["first_mb"], grown["last_mb"]) > 10
    taken = time_overtaken(toy, 3)
    assert taken["alone_ms"] > 0 and taken["last_ms"] > 0
