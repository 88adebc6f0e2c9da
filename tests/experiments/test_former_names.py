"""Runs and sweeps with the former names of parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poselib.experiments.former_names import convert_rows, convert_run, former_parameters
from poselib.experiments.runs import load_run, start_run
from poselib.experiments.sweep import plan, read_sweep

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = ROOT / "notebooks" / "sweeps"
NEW = "hierarchical=false focal=true mining=ohkm progressive=false"


def test_single_options_of_a_sweep_become_one_string() -> None:
    common, rows = convert_rows(
        {"dataset": "crowd", "progressive": False},
        {"a": {"focal": True, "high_weight": 1.5, "order": None}, "b": {"switches": "sigma=2.0"}},
    )
    assert common == {"dataset": "crowd"}
    assert rows["a"] == {"options": "high_weight=1.5 focal=true progressive=false"}
    assert rows["b"] == {"options": "progressive=false sigma=2.0"}
    assert convert_rows(common, rows) == (common, rows)


def test_a_former_run_has_the_parameters_of_today(tmp_path: Path) -> None:
    kept = {"preset": "small", "system": "hae", "dataset": "crowd", "seed": 0, "steps": 0}
    single = {"hierarchical": False, "focal": True, "mining": "ohkm", "order": None}
    former = {**kept, **single, "progressive": False}
    assert convert_run("train", former) == {**kept, "options": NEW}
    assert convert_run("train", {**kept, "options": NEW}) == {**kept, "options": NEW}
    assert convert_run("evaluate", former) == former
    start_run(tmp_path, "train", former, run_id="mine")
    assert load_run(tmp_path / "mine").params["options"] == NEW
    reordered = " ".join(reversed(NEW.split()))
    assert start_run(tmp_path, "train", {**kept, "options": reordered}, run_id="mine").id == "mine"
    with pytest.raises(ValueError, match="'mine' has options="):
        start_run(tmp_path, "train", {**kept, "options": "focal=true"}, run_id="mine")


def test_former_parameters_of_each_system() -> None:
    assert former_parameters({"options": "focal=true sigma=2.0"}) == {
        "focal": True,
        "switches": "sigma=2.0",
    }
    other = {"system": "dekr", "options": "order=x width=8"}
    assert former_parameters(other) == {"system": "dekr", "switches": "order=x width=8"}
    assert former_parameters({"dataset": "crowd"}) == {"dataset": "crowd"}


@pytest.mark.parametrize(
    "name", ["hae_components", "hae_orders", "dekr_components", "grm_components", "logocap_windows"]
)
def test_former_ids_are_those_of_committed_figures(name: str) -> None:
    made = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    runs = plan(read_sweep(SWEEPS / f"{name}.json"), made["parameters"]["seeds"])
    assert {run.former_id for run in runs} == set(made["runs"])


def test_a_run_is_found_under_its_former_id(tmp_path: Path) -> None:
    planned = plan(read_sweep(SWEEPS / "hae_focal.json"), [1], rows=["OHKM"])[0]
    assert planned.run_id != planned.former_id and planned.record(tmp_path) is None
    made = start_run(tmp_path, "train", {}, run_id=planned.former_id)
    assert planned.record(tmp_path) is None
    made.finish({"AP": 0.5})
    found = planned.record(tmp_path)
    assert found is not None and found.id == planned.former_id
