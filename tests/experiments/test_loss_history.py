from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from poselib.experiments.loss_history import final_losses, training_losses
from poselib.experiments.runs import start_run
from poselib.experiments.sweep import PlannedRun

STEPS = range(10, 210, 10)


def planned(row: str, seed: int = 0) -> PlannedRun:
    return PlannedRun("s", row, seed, Path("03_train.ipynb"), {}, f"train-{row}-{seed}")


def make(folder: Path, run: PlannedRun, scale: float, *, finished: bool = True) -> None:
    """Write a run whose offset term is ``scale`` times the step, with a validation between."""
    record = start_run(folder, "train", {}, run.run_id)
    for step in STEPS:
        terms = {"heatmap": 1.0, "offset": scale * step}
        record.log({"step": step, "seconds": 1.0, "lr": 1e-3, "loss": sum(terms.values()), **terms})
        if step == 100:
            record.log({"step": step, "seconds": 1.5, "AP": 0.3})
    if finished:
        record.finish({"AP": 0.4})


def test_a_term_is_read_from_every_finished_run(tmp_path: Path) -> None:
    runs = [planned("a"), planned("b"), planned("a", 1), planned("c")]
    for run, scale in zip(runs[:3], (1.0, 2.0, 3.0), strict=True):
        make(tmp_path, run, scale)
    make(tmp_path, runs[3], 1.0, finished=False)
    found = training_losses(runs, tmp_path, "offset")
    assert list(found) == ["row", "seed", "run", "step", "loss"]
    assert found["run"].unique().tolist() == ["train-a-0", "train-b-0", "train-a-1"]
    second = found[(found["row"] == "a") & (found["seed"] == 1)]
    assert second["step"].tolist() == list(STEPS)
    np.testing.assert_allclose(second["loss"], [3.0 * step for step in STEPS])
    whole = training_losses(runs[:1], tmp_path, "loss")
    np.testing.assert_allclose(whole["loss"], [1.0 + step for step in STEPS])


def test_the_last_tenth_of_each_run_is_averaged(tmp_path: Path) -> None:
    runs = [planned("a"), planned("b")]
    for run, scale in zip(runs, (1.0, 2.0), strict=True):
        make(tmp_path, run, scale)
    found = final_losses(training_losses(runs, tmp_path, "offset"))
    assert found.to_dict() == {"train-a-0": 195.0, "train-b-0": 390.0}


def test_a_short_run_ends_with_its_last_line() -> None:
    losses = pd.DataFrame({"run": ["r"] * 3 + ["s"], "step": [1, 2, 3, 40], "loss": [5, 4, 3, 9.0]})
    assert final_losses(losses).to_dict() == {"r": 3.0, "s": 9.0}


def test_a_term_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    run = planned("a")
    make(tmp_path, run, 1.0)
    with pytest.raises(ValueError, match=r"no term 'pull' .* \['heatmap', 'loss', 'offset'\]"):
        training_losses([run], tmp_path, "pull")
    with pytest.raises(ValueError, match="no term 'AP'"):
        training_losses([run], tmp_path, "AP")


def test_without_finished_runs_there_is_nothing_to_read(tmp_path: Path) -> None:
    make(tmp_path, planned("a"), 1.0, finished=False)
    with pytest.raises(FileNotFoundError, match="none of the 2 runs is finished"):
        training_losses([planned("a"), planned("b")], tmp_path, "offset")
