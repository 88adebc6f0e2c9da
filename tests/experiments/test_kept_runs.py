"""Runs that are kept in one small file each, and read without their folders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poselib.experiments.kept_runs import KeptRun, keep_finished, keep_run, load_kept
from poselib.experiments.run_record import RunRecord, load_run, thinned
from poselib.experiments.runs import row_of, start_run

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PARAMS = {"preset": "small", "system": "hae", "dataset": "crowd", "seed": 1, "options": "a=1"}
TERMS = ("loss", "heatmap", "push", "pull", "pull_high")


def trained(runs: Path, run_id: str = "one", lines: int = 200) -> RunRecord:
    """Write a run as a training leaves it, with a validation between."""
    run = start_run(runs, "train", {"notebook": "03_train", **PARAMS}, run_id)
    for step in range(20, 20 * lines + 1, 20):
        terms = {name: n / step / 3 for n, name in enumerate(TERMS, start=1)}
        run.log({"step": step, "seconds": step / 7, "lr": 1e-3, **terms})
        if step == 40:
            run.log({"step": step, "AP": 0.25})
    run.finish({f"metric_{n}": n / 7 for n in range(25)} | {"steps": 20 * lines, "empty": None})
    return run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    monkeypatch.chdir(NOTEBOOKS)
    return trained(tmp_path / "runs")


def test_a_kept_run_says_what_the_run_said(run: RunRecord, tmp_path: Path) -> None:
    evaluation = {"digest": "a", "decodings": {"{}": {f"metric_{n}": n / 3 for n in range(33)}}}
    (run.folder / "evaluations.json").write_text(json.dumps(evaluation))
    path = keep_run(run, tmp_path / "figures")
    kept = load_kept(path, tmp_path / "runs")
    for name in ("id", "name", "folder", "params", "metrics", "about", "losses", "evaluations"):
        assert getattr(kept, name) == getattr(run, name), name
    assert kept.finished and kept.about["code"]["modules"]
    assert row_of(kept) == row_of(run)
    assert len(kept.history) == 40 and path.stat().st_size < 10_000
    # To keep it again, from itself too, changes nothing.
    content = path.read_bytes()
    shutil.rmtree(run.folder)
    assert keep_run(kept, tmp_path / "figures") == path
    assert path.read_bytes() == content
    for change in (kept.log, kept.finish):
        with pytest.raises(ValueError, match="'one' is kept and finished"):
            change({})


def test_notes_of_what_trains_nothing_are_no_losses(tmp_path: Path) -> None:
    run = start_run(tmp_path / "runs", "runtime", {})
    run.log({"people": 3, "total": 5.5, "same": True})
    run.finish({"rows": 1})
    assert run.losses == []
    assert load_kept(keep_run(run, tmp_path / "figures"), tmp_path).metrics == {"rows": 1}
    run.log({"loss": 0.5})
    with pytest.raises(ValueError, match=r"metrics\.jsonl: step: expected a number, found None"):
        _ = run.losses


def test_a_short_training_is_kept_whole(run: RunRecord, tmp_path: Path) -> None:
    short = trained(tmp_path / "runs", "short", 5)
    logged = [line for line in short.history if "loss" in line]
    named = [{k: v for k, v in line.items() if k not in ("seconds", "lr")} for line in logged]
    assert short.losses == named and len(named) == 5
    assert load_kept(keep_run(short, tmp_path)).losses == named


@settings(max_examples=30)
@given(st.lists(st.floats(1e-3, 1e3), max_size=130), st.integers(1, 40))
def test_means_of_many_lines_keep_the_mean(values: list[float], most: int) -> None:
    lines = [{"step": n, "loss": value} for n, value in enumerate(values)]
    found = thinned(lines, most)
    assert len(found) == min(len(lines), most)
    steps = [line["step"] for line in found]
    assert steps == sorted(steps)
    if len(values) % most == 0 and values:
        np.testing.assert_allclose(np.mean([x["loss"] for x in found]), np.mean(values), rtol=1e-4)
    assert thinned(found, most) == found


def test_values_that_are_no_numbers_are_not_averaged() -> None:
    lines = [{"step": 1, "loss": "x"}, {"step": 2, "loss": 1.0}, {"step": 3}, {"step": 4}]
    assert thinned(lines, 2) == [{"step": 1.5, "loss": "x"}, {"step": 3.5}]
    several = [{"loss": None}, {"loss": None}, {"loss": 2}, {"loss": 4}]
    assert thinned(several, 2) == [{"loss": None}, {"loss": 3.0}]


def test_finished_runs_are_kept_as_they_finish(run: RunRecord, tmp_path: Path) -> None:
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    start_run(runs, "train", PARAMS, "under_way")
    start_run(runs, "train", {**PARAMS, "preset": "smoke"}, "smoke").finish({})
    start_run(runs, "evaluate", PARAMS, "other").finish({})
    (runs / "torn").mkdir()
    (runs / "torn" / "metrics.json").write_text("{}")
    (kept,) = keep_finished(runs, figures)
    assert kept == figures / "runs" / "one.json" and keep_finished(runs, figures) == []
    (run.folder / "evaluations.json").write_text('{"digest": "a"}')
    earlier = (run.folder / "evaluations.json").stat().st_mtime - 1
    os.utime(kept, (earlier, earlier))
    assert keep_finished(runs, figures) == [kept]
    assert load_kept(kept).evaluations == {"digest": "a"}
    started = load_run(runs / "under_way")
    started.finish({})
    assert keep_finished(runs, figures) == [figures / "runs" / "under_way.json"]


def test_files_that_keep_no_run_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match=r"x\.json does not exist"):
        load_kept(path)
    for content, message in (
        ("{", "not JSON"),
        ('{"params": {}, "metrics": {}}', "expected a str named 'name'"),
        ('{"name": "train", "params": [], "metrics": {}}', "expected a dict named 'params'"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=rf"x\.json.*{message}"):
            load_kept(path)
    path.write_text('{"name": "train", "params": {}, "metrics": {}}')
    bare = load_kept(path)
    assert isinstance(bare, KeptRun) and bare.losses == [] and bare.evaluations == {}
