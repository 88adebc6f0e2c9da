"""Execution of sweeps on a scheduler and two workers, which are processes of their own."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("papermill")
pytest.importorskip("distributed")

from poselib.benchmarks.short_sweeps import start_scheduler, start_worker, write_sweep
from poselib.cli import main
from poselib.experiments.run_sweep import Outcome, execute_runs, log_of
from poselib.experiments.run_worker import execute_run
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.experiments.sweep_checks import check_device, check_runs_can_begin

TRAIN = Path(__file__).resolve().parents[2] / "notebooks" / "03_train.ipynb"
ROWS = ("good", "broken", "other")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    first, address = start_scheduler(folder)
    processes = [first, *(start_worker(folder, address) for _ in range(2))]
    yield address
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path, ROWS, pause=0.01)


def planned(sweep: Path, *seeds: int) -> list[PlannedRun]:
    return plan(read_sweep(sweep), seeds)


def begun(runs: Path, run: PlannedRun) -> int:
    return len((runs / run.run_id / "begun").read_text().split())


def write_finished(runs: Path, run: PlannedRun) -> None:
    folder = runs / run.run_id
    folder.mkdir(parents=True)
    (folder / "params.json").write_text("{}")
    (folder / "run.json").write_text('{"name": "short", "started": "now"}')
    (folder / "metrics.json").write_text('{"AP": 0.5}')


@pytest.mark.notebooks
def test_failures_are_named_and_only_they_run_again(
    sweep: Path, scheduler: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, folder = planned(sweep, 3), tmp_path / "runs"
    command = ["sweep", str(sweep), "--seeds", "3", "--runs", str(folder)]
    assert main([*command, "--scheduler", scheduler]) == 1
    out, err = capfd.readouterr()
    log = log_of(runs[1], folder)
    line = (
        "failed: short, broken, seed 3: cell 3 (for step in range(1, steps + 1):): RuntimeError: "
    )
    assert f"{line}this row is broken ({log})\n3 runs: 2 done, 1 failed\n" in out
    assert "   row  seed" in out and "0.300" in out and f"{line}this row is broken\n" in err
    assert "begun: short, good, seed 3" in err and "done: short, other, seed 3" in err
    assert "this row is broken" in log.read_text()
    copies = {path.name for path in log.parent.glob("*.ipynb")}
    failed = f"{runs[1].run_id}.failed.ipynb"
    assert copies == {f"{runs[0].run_id}.ipynb", failed, f"{runs[2].run_id}.ipynb"}

    (folder / "mended").touch()
    ended: list[Outcome] = []
    outcomes = execute_runs([*runs, runs[0]], folder, scheduler=scheduler, on_end=ended.append)
    states = ["done before", "done", "done before", "done before"]
    assert [outcome.state for outcome in outcomes] == states and ended == [outcomes[1]]
    assert [outcome.log for outcome in outcomes] == [None, log, None, None]
    assert [begun(folder, run) for run in runs] == [1, 2, 1]
    assert not (log.parent / failed).exists()


@pytest.mark.notebooks
def test_a_run_that_ends_unfinished_and_one_that_takes_too_long_fail(
    tmp_path: Path, scheduler: str
) -> None:
    sweep = write_sweep(tmp_path, ["one"], pause=60)
    (slow,) = planned(sweep, 0)
    nothing = tmp_path / "nothing.ipynb"
    book = json.loads((tmp_path / "short.ipynb").read_text())
    nothing.write_text(json.dumps({**book, "cells": book["cells"][:1]}))
    empty = replace(slow, notebook=nothing, run_id="empty")
    outcomes = execute_runs([slow, empty], tmp_path / "runs", timeout=1, scheduler=scheduler)
    assert [outcome.state for outcome in outcomes] == ["failed", "failed"]
    assert "cell 3" in outcomes[0].error and "CellTimeoutError" in outcomes[0].error
    assert outcomes[1].error == "the notebook ended without an error, and the run is not finished"


def test_bad_input_is_refused_before_anything_runs(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str, file: Path = sweep) -> str:
        assert main(["sweep", str(file), "--runs", str(tmp_path / "runs"), *words]) == 2
        return capsys.readouterr().err

    assert main(["sweep", str(sweep), str(sweep)]) == 2
    assert f"sweep files: {sweep} is given twice" in capsys.readouterr().err
    assert "has no parameter 'rwo'" in refused("-p", "rwo", "x")
    assert "none.json does not exist" in refused(file=tmp_path / "none.json")
    assert "seeds: 1 is given twice" in refused("--seeds", "1", "2", "1")
    assert "rows: good is given twice" in refused("--rows", "good", "good")
    assert "workers must be 1 or more, not 0" in refused("--workers", "0")
    assert "timeout must be a positive number of seconds" in refused("--timeout", "0")
    assert "scheduler none.json is no file, and no add" in refused("--scheduler", "none.json")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is not a folder that can be" in refused(
        "--runs", f"{tmp_path}/file"
    )
    assert "short.ipynb has no parameter 'device'" in refused("--device", "cpu")
    assert "seed cannot be set: each row is run with all seeds" in refused("-p", "seed", "3")
    assert "run_id cannot be set: each run has an id" in refused("-p", "run_id", "x")
    content = json.loads(sweep.read_text())
    sweep.write_text(json.dumps({**content, "rows": {"one": {"seed": 3}}}))
    assert "sweep 'short': row 'one': seed cannot be set: each row" in refused()
    for ablation, message in (
        ({"baseline": "good", "metrics": ["AP"]}, "short.json: ablation: missing 'claim'"),
        ({"clam": ""}, "ablation: unknown fields ['clam']; known: ['claim', 'baseline', "),
    ):
        sweep.write_text(json.dumps({**content, "ablation": ablation}))
        assert message in refused()
    sweep.write_text(json.dumps({**content, "rows": {}}))
    assert "expected one row or more" in refused()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "foo"), "unknown device 'foo'; known: 'auto', 'cpu', 'cuda'"),
        (("-p", "device", "foo"), "unknown device 'foo'; known: 'auto', 'cpu', 'cuda'"),
        (("-p", "dataset", "nope"), "unknown dataset 'nope'; known: synthetic, crowd, "),
        (("-p", "skeleton", "nope"), "unknown skeleton 'nope'"),
        (("-p", "recipe", "seed=7"), "recipe: seed cannot be set: each row is run with all seeds"),
        (("-p", "dataset", "coco"), "dataset 'coco' needs its folder: there is no data_dir ''"),
        (("-p", "dataset", "coco", "-p", "data_dir", "x"), "there is no data_dir 'x'"),
        (("--preset", "paper"), "this preset is for real data: name a dataset and its data_dir"),
        (("-p", "system", "nope"), "unknown system 'nope'; known: "),
        (("-p", "options", "widht=4"), "system 'hae' has no option 'widht'"),
        (("-p", "recipe", "prec=1"), "a recipe has no 'prec'; known: steps, "),
    ],
)
def test_what_a_training_would_refuse_is_refused_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    content = {"about": "", "notebook": str(TRAIN), "parameters": {"dataset": "crowd"}}
    path = tmp_path / "s.json"
    path.write_text(json.dumps({**content, "rows": {"one": {}}}))
    assert main(["sweep", str(path), "--runs", str(tmp_path / "runs"), *words]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_what_finished_runs_name_is_not_looked_for(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = plan(read_sweep(sweep), [0], {}, ["good"])
    command = ["sweep", str(sweep), "--seeds", "0", "--rows", "good", "--device", "cuda:9"]
    command += ["--runs", str(tmp_path / "runs")]
    assert main(command) == 2 and "device" in capsys.readouterr().err
    write_finished(tmp_path / "runs", run)
    assert main(command) == 0 and "done before" in capsys.readouterr().out


def test_parameters_that_rows_state_are_named(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = plan(read_sweep(sweep), [0], {"pause": 0.5}, ["good"])
    write_finished(tmp_path / "runs", run)
    command = ["sweep", str(sweep), "--seeds", "0", "--runs", str(tmp_path / "runs")]
    changed = [*command, "--rows", "good", "-p", "row", "x", "-p", "pause", "0.5"]
    assert main(changed) == 0
    told = "sweep 'short': row stays as it is in rows ['good'], which state it\n"
    assert capsys.readouterr().err == told


def test_gpus_and_folders_of_other_machines_are_not_looked_for() -> None:
    given = {"dataset": "coco", "system": "dekr", "preset": "paper", "data_dir": "no/such/place"}
    there = PlannedRun("s", "row", 0, TRAIN, given, "train-1")
    check_runs_can_begin([there], "cuda", elsewhere=True)
    with pytest.raises(ValueError, match="there is no data_dir 'no/such/place'"):
        check_runs_can_begin([there], "cpu")
    without = replace(there, parameters={**given, "data_dir": ""})
    with pytest.raises(ValueError, match="needs its folder"):
        check_runs_can_begin([without], "cpu", elsewhere=True)
    check_device("cuda:3", elsewhere=True)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda:3': this machine has no usable GPU"):
            check_device("cuda:3")


@pytest.mark.skipif(os.name == "nt", reason="files are not locked there")
def test_a_run_that_another_process_executes_is_waited_for(sweep: Path, tmp_path: Path) -> None:
    import fcntl

    run, runs = planned(sweep, 0)[0], tmp_path / "runs"
    log = log_of(run, runs)
    log.parent.mkdir(parents=True)
    ended: list[object] = []
    with log.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread = threading.Thread(
            target=lambda: ended.append(execute_run(run, runs, {}, timeout=60)), daemon=True
        )
        thread.start()
        time.sleep(0.1)
        write_finished(runs, run)
        assert not ended
    thread.join(10)
    assert [each.state for each in ended] == ["done before"]  # type: ignore[attr-defined]


def test_finished_runs_need_no_workers(sweep: Path, tmp_path: Path) -> None:
    runs = planned(sweep, 0)
    for run in runs:
        write_finished(tmp_path / "runs", run)
    outcomes = execute_runs(runs, tmp_path / "runs", scheduler="tcp://nowhere:1")
    assert [outcome.state for outcome in outcomes] == ["done before"] * 3
    assert execute_runs([], tmp_path / "runs") == []


def test_finished_runs_are_kept(sweep: Path, tmp_path: Path) -> None:
    runs = planned(sweep, 0)
    for run in runs:
        write_finished(tmp_path / "runs", run)
    command = ["sweep", str(sweep), "--seeds", "0", "--runs", str(tmp_path / "runs")]
    assert main([*command, "--keep", str(tmp_path / "figures")]) == 0
    kept = sorted(path.stem for path in (tmp_path / "figures" / "runs").glob("*.json"))
    assert kept == sorted(run.run_id for run in runs)
