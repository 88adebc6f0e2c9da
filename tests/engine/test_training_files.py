"""The folder of a training: full disks, lost folders, and what a kill leaves in it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from poselib.data.augmentation import Augment
from poselib.engine.train import CHECKPOINT, METRICS
from poselib.engine.trainer import TrainingState
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.systems import System
from tests.engine.factories import RECIPE, train_toy

SHORT = replace(RECIPE, steps=8, checkpoint_every=4)


@pytest.fixture
def limit_files() -> Iterator[Callable[..., None]]:
    """Have the system refuse what would make a file larger than some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size=soft: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def measured(system: System) -> dict[str, float]:
    return {"AP": float(next(system.model.parameters()).mean())}


def step_of(folder: Path) -> int:
    return int(torch.load(folder / CHECKPOINT, weights_only=True)["step"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def before_step(step: int, do: Any) -> Any:
    """Return an augmentation that does something when a step's first image is read."""
    read: list[Sample] = []

    def augment(sample: Sample, rng: Any) -> Sample:
        read.append(sample)
        if len(read) == (step - 1) * SHORT.batch_size + 1:
            do()
        return Augment(COCO, 64)(sample, rng)

    return augment


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(
    tmp_path: Path, limit_files: Callable[..., None]
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = train_toy(whole, SHORT)
    half = (whole / CHECKPOINT).stat().st_size // 2
    with pytest.raises(OSError) as error:
        train_toy(cut, SHORT, augment=before_step(7, lambda: limit_files(half)))
    limit_files()
    path = cut / CHECKPOINT
    told = f"{path}: cannot be written: File too large; training stopped at step 8; the last good "
    told += f"checkpoint, {path}, is of step 4; when this is mended, the same training goes on"
    assert str(error.value).startswith(told)
    assert names(cut) == [CHECKPOINT, METRICS] and step_of(cut) == 4
    after = train_toy(cut, SHORT).system.model.state_dict()
    for key, value in expected.system.model.state_dict().items():
        assert torch.equal(after[key], value)


def test_a_line_of_metrics_that_does_not_fit_leaves_nothing_of_itself(
    tmp_path: Path, limit_files: Callable[..., None]
) -> None:
    def fill() -> None:
        limit_files((tmp_path / METRICS).stat().st_size + 20)

    with pytest.raises(
        OSError, match=r"metrics\.jsonl: cannot be written: File too large; .*step 4"
    ):
        train_toy(tmp_path, SHORT, augment=before_step(7, fill))
    steps = [json.loads(line)["step"] for line in (tmp_path / METRICS).read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6] and step_of(tmp_path) == 4


@pytest.mark.parametrize("step", [3, 7])
def test_a_folder_that_vanishes_is_not_made_again(tmp_path: Path, step: int) -> None:
    folder = tmp_path / "run"
    recipe = replace(SHORT, log_every=0)
    with pytest.raises(OSError) as error:
        train_toy(folder, recipe, augment=before_step(step, lambda: shutil.rmtree(folder)))
    gone = "no checkpoint was written before" if step == 3 else "the checkpoint of step 4 is gone"
    assert re.search(
        f"cannot be written: its folder is no longer there; .*; {gone}", str(error.value)
    )
    assert not folder.exists()


def test_an_interrupt_whose_checkpoint_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        monkeypatch.setattr(os, "replace", full)
        raise KeyboardInterrupt

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(
        OSError, match=r"No space left on device; training stopped at step 6; .* 4;"
    ):
        train_toy(tmp_path, SHORT, augment=before_step(7, stop))
    assert names(tmp_path) == [CHECKPOINT, METRICS] and step_of(tmp_path) == 4


def test_killed_after_its_last_validation_it_does_not_keep_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of the last step was written before the validation, whose line is there."""
    save = TrainingState.save

    def killed(state: TrainingState) -> None:
        if state.measured:
            raise SystemExit
        save(state)

    monkeypatch.setattr(TrainingState, "save", killed)
    with pytest.raises(SystemExit):
        train_toy(tmp_path, SHORT, validate=measured)
    monkeypatch.undo()
    lines = (tmp_path / METRICS).read_text()
    assert step_of(tmp_path) == 8 and lines.count("AP") == 1
    trained = train_toy(tmp_path, SHORT, validate=measured)
    assert (tmp_path / METRICS).read_text().count("AP") == 1
    assert [line["step"] for line in trained.history] == [*range(1, 9), 8]


def test_what_a_kill_or_a_loss_of_power_leaves_is_cleared_away(tmp_path: Path) -> None:
    expected = train_toy(tmp_path, SHORT)
    lines = (tmp_path / METRICS).read_bytes()
    for name in (".poselib.a.pt", ".poselib.b.jsonl", ".poselib.c.safetensors", ".checkpoint.pt.d"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / METRICS).write_bytes(lines + b'{"step": 9, "los')
    again = train_toy(tmp_path, SHORT)
    assert again.history == expected.history and (tmp_path / METRICS).read_bytes() == lines
    assert names(tmp_path) == [CHECKPOINT, METRICS]


def test_another_number_of_workers_may_go_on(tmp_path: Path) -> None:
    train_toy(tmp_path, replace(SHORT, workers=1))
    assert train_toy(tmp_path, replace(SHORT, expected_seconds=9.0)).steps == 8


def test_a_validation_that_draws_numbers_changes_nothing(tmp_path: Path) -> None:
    def drawing(system: System) -> dict[str, float]:
        return {"AP": float(torch.rand(()))}

    plain = train_toy(tmp_path / "plain", SHORT).system.model.state_dict()
    recipe = replace(SHORT, validate_every=2)
    drawn = train_toy(tmp_path / "drawn", recipe, validate=drawing).system.model.state_dict()
    for key, value in plain.items():
        assert torch.equal(drawn[key], value)
