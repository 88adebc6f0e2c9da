"""A training killed at any moment ends, once resumed, as one that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from poselib.benchmarks.kills import alive, kill_trainings
from poselib.benchmarks.tiny_trainings import first_difference
from poselib.engine.train import CHECKPOINT, METRICS
from poselib.systems import System
from tests.engine.factories import RECIPE, train_toy
from tests.forked_notebook import IMPORTED


def mean_weight(system: System) -> dict[str, float]:
    return {"AP": float(next(system.model.parameters()).mean())}


def train_measured(folder: Path, workers: int = 0) -> None:
    recipe = replace(RECIPE, steps=12, checkpoint_every=3, validate_every=4, workers=workers)
    train_toy(folder, recipe, validate=mean_weight)


@pytest.mark.slow
def test_trainings_killed_at_five_random_moments_end_as_whole_ones(tmp_path: Path) -> None:
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    multiprocessing.get_context("forkserver").set_forkserver_preload([*IMPORTED, __name__])
    trainings = {"alone": train_measured, "with workers": partial(train_measured, workers=1)}
    table = kill_trainings(trainings, 5, seed, tmp_path)
    print(table.to_string())
    assert len(table) == 5 and table["equal"].all() and not table["workers"].any()
    assert (table["checkpoint"].astype(float).fillna(0) <= table["done"]).all()
    # One while a checkpoint was written: a part of it is there, under a temporary name.
    assert (table.loc[table["phase"] == "write", "unfinished"] == 1).any()


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    state = {"step": 3, "seconds": 1.5, "model": {"w": torch.arange(3.0)}, "lr": [0.1, None]}
    torch.save(state, tmp_path / "a" / CHECKPOINT)
    (tmp_path / "a" / METRICS).write_text('{"step": 3, "seconds": 1.5, "loss": 0.1}\n')
    return tmp_path / "a"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ""),
        ({"seconds": 2.0}, ""),
        ({"step": 4}, "checkpoint.pt: step: 4, not 3"),
        ({"model": {"w": torch.tensor([0.0, 1.0, 2.0000002])}}, "checkpoint.pt: model: w"),
        ({"model": {"w": torch.arange(3)}}, "checkpoint.pt: model: w"),
        ({"lr": [0.1, 0.2]}, "checkpoint.pt: lr: 1: 0.2, not None"),
        ({"loss": 0.1 + 1e-15}, "metrics.jsonl: 0: loss: 0.1"),
    ],
)
def test_the_first_difference_is_named(
    trained: Path, tmp_path: Path, change: dict[str, Any], found: str
) -> None:
    other, line = tmp_path / "b", {"step": 3, "seconds": 9.0, "loss": 0.1}
    other.mkdir()
    line |= {key: change.pop(key) for key in ("loss",) if key in change}
    torch.save(torch.load(trained / CHECKPOINT) | change, other / CHECKPOINT)
    (other / METRICS).write_text(json.dumps(line) + "\n")
    assert first_difference(other, trained).startswith(found)
    assert bool(found) == bool(first_difference(other, trained))
    (other / "c.txt").touch()
    assert first_difference(other, trained).startswith("files ['c.txt', 'checkpoint.pt'")


def test_a_process_that_is_gone_or_dead_is_not_alive() -> None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    assert process.pid is not None
    assert alive([process.pid, 2**22 + 1]) == [process.pid]
    process.kill()
    process.join()
    assert alive([process.pid]) == []
