"""Runs and sweeps with the former names of parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselib.experiments.former_names import convert_rows, convert_run
from poselib.experiments.runs import load_run, start_run

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
