from __future__ import annotations

from typing import Any

import pytest

from poselib.benchmarks.hardware.verdicts import judge


def row(task: str, setup: str, ms: float, **about: Any) -> dict[str, Any]:
    usual = {"task": task, "system": "hae", "batch": 32, "setup": setup, "ms": ms, "people": 10}
    usual["part"] = {"training": "step", "decoding": "decoding"}.get(task, "end to end")
    found = {**usual, **about}
    return {**found, "images_per_second": 1000 * found["batch"] / ms}


def verdict(rows: list[dict[str, Any]], start: str) -> dict[str, Any]:
    (found,) = (each for each in judge(rows) if each["target"].startswith(start))
    return found


@pytest.mark.parametrize(("ms", "met"), [(10.0, True), (10.1, False)])
def test_predictions_of_the_large_batch_are_compared_with_float32(ms: float, met: bool) -> None:
    rows = [row("inference", name, time) for name, time in (("float32", 40), ("a", 30), ("b", ms))]
    rows += [row("inference", "b", 0.1, batch=1), row("inference", "b", 0.1, part="network")]
    found = verdict(rows, "HigherHRNet")
    assert found["met"] is met and f"{40 / ms:.2f} times (b)" in found["measured"]


@pytest.mark.parametrize(("ms", "met"), [(30.0, True), (31.0, False)])
def test_trainings_are_compared_by_system(ms: float, met: bool) -> None:
    rows = [row("training", "float32", 90), row("training", "b", ms)]
    rows += [row("training", "float32", 90, system="dekr")]
    assert verdict(rows, "training of hae")["met"] is met
    assert verdict(rows, "training of dekr")["met"] is None


@pytest.mark.parametrize(("ms", "met"), [(2.0, True), (2.1, False)])
def test_decoding_is_compared_with_the_fastest_network(ms: float, met: bool) -> None:
    rows = [row("inference", name, 40, part="network") for name in ("float32", "b")]
    rows += [row("inference", "a", 20, part="network")]
    rows += [row("decoding", "", ms), row("decoding", "", 99, people=30)]
    rows += [row("decoding", "", 99, batch=1)]
    found = verdict(rows, "decoding of hae")
    assert found["met"] is met
    assert found["measured"] == f"{ms / 20:.1%} (a), {ms / 40:.1%} of float32's"


@pytest.mark.parametrize(("ms", "met"), [(15.0, True), (15.2, False)])
def test_refinement_is_compared_with_that_of_one_person(ms: float, met: bool) -> None:
    rows = [row("adaptation", "", t, people=n) for n, t in ((1, 10.0), (10, 99.0), (30, ms))]
    assert verdict(rows, "refinement")["met"] is met


def test_streams_have_a_time_for_each_batch() -> None:
    rows = [row("stream", "a", 8.9, batch=1), row("stream", "b", 20, batch=1)]
    rows += [row("stream", "a", 12.1), row("stream", "a", 1.0, part="network")]
    assert verdict(rows, "stream of rpstn, batch 1:")["met"] is True
    assert verdict(rows, "stream of rpstn, batch 32:")["met"] is False


@pytest.mark.parametrize(("ap", "met"), [(0.4951, True), (0.494, False), (0.6, True)])
def test_the_setup_that_loses_most_ap_is_judged(ap: float, met: bool) -> None:
    values = {"float32": 0.5, "a": 0.499, "b": ap}
    rows = [{"task": "accuracy", "setup": name, "AP": value} for name, value in values.items()]
    assert verdict(rows, "AP of")["met"] is met


def test_without_rows_nothing_is_met_or_missed() -> None:
    assert {each["met"] for each in judge([])} == {None}
