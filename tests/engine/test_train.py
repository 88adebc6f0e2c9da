"""Training: it learns, and nothing that interrupts it changes what it ends with."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from poselib.data.augmentation import Augment
from poselib.data.loaders import make_loader
from poselib.engine.finite import FiniteCheck
from poselib.engine.seed import seed_everything
from poselib.engine.train import CHECKPOINT, METRICS, TrainResult, train
from poselib.engine.train_config import TrainConfig
from poselib.engine.trainer import TrainingState
from poselib.skeletons import COCO
from poselib.structures import Sample, Targets
from poselib.systems import System, build
from tests.engine.factories import RECIPE, interrupted_at, scenes, toy_system, train_toy


def read_state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / CHECKPOINT, weights_only=True)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def without_times(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines(folder)]


def assert_equal_states(a: Any, b: Any, where: str = "") -> None:
    """Compare two checkpoints to the last bit, times excepted."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), f"{where} differs by {(a.float() - b.float()).abs().max()}"
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a.keys() - {"seconds", "workers"}:
            assert_equal_states(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal_states(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def assert_same_training(folder: Path, expected: Path) -> None:
    assert_equal_states(read_state(folder), read_state(expected))
    assert without_times(folder) == without_times(expected)
    assert sorted(p.name for p in folder.iterdir()) == [CHECKPOINT, METRICS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    trained = train_toy(folder)
    assert trained.steps == RECIPE.steps
    return folder


class Interrupt:
    """A validation that is interrupted at its nth call."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.calls = at, 0

    def __call__(self, system: System) -> dict[str, float]:
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return {"AP": float(next(system.model.parameters()).mean())}


@pytest.mark.slow
def test_the_loss_of_a_network_falls(tmp_path: Path) -> None:
    seed_everything(0)
    system = build("hae", COCO, backbone="hrnet_tiny", deconv_blocks=0, background=0.1)
    recipe = TrainConfig(steps=25, batch_size=4, learning_rate=3e-3, log_every=1, warmup=0.1)
    trained = train(system, scenes(4), recipe, tmp_path, progress=False)
    losses = [line["loss"] for line in trained.history]
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])
    assert [line["step"] for line in trained.history] == list(range(1, 26))
    assert not trained.system.model.training
    first = trained.history[0]
    terms = [first[name] for name in ("heatmap", "push", "pull_low", "pull_high")]
    assert first["loss"] == pytest.approx(sum(terms))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_with_finite_weights_in_full(tmp_path: Path, precision: Any) -> None:
    trained = train_toy(tmp_path, replace(RECIPE, steps=4, precision=precision))
    assert trained.precision == precision
    weights = trained.system.model.state_dict().values()
    assert all(w.dtype in (torch.float32, torch.int64) and w.isfinite().all() for w in weights)


def test_the_same_arguments_give_the_same_training(whole: Path, tmp_path: Path) -> None:
    system = toy_system()
    torch.manual_seed(1234)  # what was drawn before does not matter
    train_toy(tmp_path, system=system)
    assert_same_training(tmp_path, whole)


def test_another_seed_gives_another(whole: Path, tmp_path: Path) -> None:
    train_toy(tmp_path, replace(RECIPE, seed=6))
    assert without_times(tmp_path)[0] != without_times(whole)[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(whole: Path, tmp_path: Path, workers: int) -> None:
    train_toy(tmp_path, replace(RECIPE, workers=workers))
    assert_same_training(tmp_path, whole)


@pytest.mark.parametrize("step", [1, 3, 10, 13, 24])
def test_an_interrupt_ends_its_step_and_is_taken_up_exactly(
    whole: Path, tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path, system=interrupted_at(step))
    assert read_state(tmp_path)["step"] == step
    assert len(lines(tmp_path)) == step
    train_toy(tmp_path, system=toy_system(seed=99))
    assert_same_training(tmp_path, whole)


def test_float16_is_taken_up_with_its_scale(tmp_path: Path) -> None:
    """A scale that overflows leaves steps out before and after the interrupt."""
    recipe = replace(RECIPE, steps=7, precision="float16")

    def begin(folder: Path) -> TrainingState:
        state = TrainingState(toy_system(), recipe, folder, torch.device("cpu"))
        state.resume()
        state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0**22})
        state.save()
        return state

    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        assert begin(tmp_path / name).scaler.state_dict()["scale"] == 2.0**22
    train_toy(tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "parts", recipe, system=interrupted_at(2))
    train_toy(tmp_path / "parts", recipe, system=toy_system(seed=99))
    assert_same_training(tmp_path / "parts", tmp_path / "whole")
    state = read_state(tmp_path / "whole")
    assert state["scaler"]["scale"] < 2.0**21 and 0 < state["updates"] < 6


def test_many_interrupts_change_nothing(whole: Path, tmp_path: Path) -> None:
    for step in (2, 5, 9):
        with pytest.raises(KeyboardInterrupt):
            train_toy(tmp_path, system=interrupted_at(step))
    train_toy(tmp_path)
    assert_same_training(tmp_path, whole)


def test_a_failing_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def full_disk(state: dict[str, Any], file: BinaryIO) -> None:
        if state["step"] > 10:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(state, file)

    monkeypatch.setattr(torch, "save", full_disk)
    path = tmp_path / CHECKPOINT
    told = f"{path}: cannot be written: No space left on device; training stopped at step 20; the "
    told += f"last good checkpoint, {path}, is of step 10; when this is mended, the same training"
    with pytest.raises(OSError, match=re.escape(told)):
        train_toy(tmp_path)
    assert read_state(tmp_path)["step"] == 10
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, METRICS]


def test_finishing_a_finished_training_does_nothing(tmp_path: Path) -> None:
    first = train_toy(tmp_path, validate=Interrupt())
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}

    class Untouchable:
        def __len__(self) -> int:
            return 14

        def __getitem__(self, index: int) -> Any:
            raise AssertionError("read a sample")

    again = train_toy(
        tmp_path, system=toy_system(seed=99), dataset=Untouchable(), validate=Interrupt(1)
    )
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()} == before
    assert (again.steps, again.seconds, again.history) == (
        first.steps,
        first.seconds,
        first.history,
    )
    assert_equal_states(again.system.model.state_dict(), first.system.model.state_dict())


def test_metrics_of_another_training_without_checkpoint_are_dropped(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 3}\n')
    train_toy(tmp_path, replace(RECIPE, steps=2))
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    ("recipe", "options", "named"),
    [
        (replace(RECIPE, learning_rate=0.5), {}, "recipe has learning_rate=0.01, this one 0.5"),
        (RECIPE, {"alpha": 3.0}, "system has alpha=2.0, this one 3.0"),
    ],
)
def test_another_recipe_or_system_is_refused(
    whole: Path, recipe: TrainConfig, options: dict[str, Any], named: str
) -> None:
    before = (whole / CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match=named) as error:
        train_toy(whole, recipe, system=toy_system(**options))
    assert str(whole / CHECKPOINT) in str(error.value)
    assert (whole / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt: not a readable file of weights"):
        train_toy(tmp_path)


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 samples"):
        train_toy(tmp_path, dataset=scenes(0))
    assert not list(tmp_path.iterdir())


def breaking_at(step: int, what: str) -> System:
    """Return a system whose loss, or whose gradient alone, is not finite from a step on."""
    system = toy_system()
    calls = []

    def losses(outputs: Any, targets: Targets) -> dict[str, torch.Tensor]:
        calls.append(None)
        terms = system.losses(outputs, targets)
        if len(calls) < step:
            return terms
        if what == "loss":
            return {**terms, "push": terms["push"] * float("nan")}
        # The square root of 0 is 0, its slope infinite.
        return {**terms, "push": (outputs.tags.mean() * 0).sqrt()}

    return replace(system, losses=losses)


@pytest.fixture
def delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are read one step later, as of a GPU."""
    later = partial(FiniteCheck, delayed=True)
    monkeypatch.setattr("poselib.engine.trainer.FiniteCheck", lambda model, delayed: later(model))


def of_batch(step: int) -> str:
    """Return how a message names the images of a step, in their order."""
    loader = make_loader(scenes(), 4, shuffle=True, seed=RECIPE.seed, drop_last=True)
    epoch, number = divmod(step - 1, len(loader))
    ids = ", ".join(str(index) for _, index in loader.plan(epoch)[number])
    return f"its batch holds the images {ids};"


@pytest.mark.parametrize(
    ("what", "log_every", "message"),
    [
        ("loss", 1, "step 7: the loss is not finite \\({'push': nan}\\); "),
        ("loss", 0, "step 7: the loss is not finite \\({'push': nan}\\); "),
        ("gradient", 0, "step 7: body.0.weight is no longer finite; "),
    ],
)
@pytest.mark.parametrize("checkpoint_every", [1, 5])
@pytest.mark.parametrize("device", ["cpu", "like a gpu"])
def test_weights_that_are_not_finite_stop_at_their_batch(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    what: str,
    log_every: int,
    message: str,
    checkpoint_every: int,
    device: str,
) -> None:
    if device != "cpu":
        request.getfixturevalue("delayed")
    recipe = replace(RECIPE, log_every=log_every, checkpoint_every=checkpoint_every)
    kept = 6 if checkpoint_every == 1 else 5
    message += f"{of_batch(7)}.* the last good checkpoint, .*checkpoint.pt, is of step {kept}$"
    with pytest.raises(ValueError, match=message):
        train_toy(tmp_path, recipe, system=breaking_at(7, what))
    state = read_state(tmp_path)
    assert state["step"] == kept
    assert all(value.isfinite().all() for value in state["model"].values())


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_is_broken_itself_is_named(tmp_path: Path, workers: int) -> None:
    class Broken:
        def __len__(self) -> int:
            return 14

        def __getitem__(self, index: int) -> Sample:
            sample = scenes()[index]
            return replace(sample, areas=sample.areas * (np.nan if index == 9 else 1))

    message = r"^image 9: its areas are not finite; training stopped at step \d; no checkpoint was"
    with pytest.raises(ValueError, match=message):
        train_toy(tmp_path, replace(RECIPE, workers=workers), dataset=Broken(), augment=None)


@pytest.mark.usefixtures("delayed")
def test_an_interrupt_after_the_loss_broke_keeps_the_good_checkpoint(tmp_path: Path) -> None:
    recipe = replace(RECIPE, log_every=0, checkpoint_every=5)
    read = []

    def interrupt(sample: Sample, rng: np.random.Generator) -> Sample:
        read.append(sample)
        if len(read) > 6 * recipe.batch_size:
            raise KeyboardInterrupt
        return Augment(COCO, 64)(sample, rng)

    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path, recipe, system=breaking_at(6, "loss"), augment=interrupt)
    assert read_state(tmp_path)["step"] == 5


class Clock:
    """Stands in for the time: a second passes each time it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("poselib.engine.trainer.time.perf_counter", clock)
    return clock


def test_a_time_budget_ends_the_training_with_a_low_learning_rate(
    tmp_path: Path, clock: Clock
) -> None:
    recipe = replace(RECIPE, steps=10_000, seconds=20.0)
    trained = train_toy(tmp_path, recipe)
    assert trained.steps == 20 and trained.seconds == 20.0
    rates = [line["lr"] for line in trained.history]
    assert max(rates) > 0.9 * recipe.learning_rate and rates[-1] < 0.02 * recipe.learning_rate
    assert train_toy(tmp_path, recipe).steps == 20


@pytest.mark.slow
def test_a_slow_training_says_once_how_long_it_will_take(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, steps=120, log_every=10, checkpoint_every=0, expected_seconds=60.0)
    trained = train_toy(tmp_path / "slow", recipe, progress=True)
    said = capsys.readouterr().err
    assert trained.precision == "float32"
    assert said.count("about 2 min more") == 1 and "1 min on two quiet cores" in said
    assert "100%" in said and "left" in said and "step 120 of 120, loss" in said
    assert "\nThis machine is slow" in said
    train_toy(tmp_path / "fast", replace(recipe, expected_seconds=100.0), progress=True)
    assert "slow" not in capsys.readouterr().err


def test_waiting_for_data_counts_and_validation_does_not(tmp_path: Path, clock: Clock) -> None:
    def slow(sample: Any, rng: Any) -> Any:
        clock.now += 0.25
        return Augment(COCO, 64)(sample, rng)

    def validate(system: System) -> dict[str, float]:
        clock.now += 1000
        return {"AP": 0.5}

    recipe = replace(RECIPE, steps=10_000, seconds=20.0, validate_every=4)
    trained = train_toy(tmp_path, recipe, augment=slow, validate=validate)
    # Two seconds a step, one to read the clock and one for four samples; one before a validation.
    assert (trained.steps, trained.seconds) == (9, 21.0)
    assert sum("AP" in line for line in trained.history) == 3


def test_validation_is_recorded_with_the_averaged_weights(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=8, validate_every=3)
    seen = []

    def validate(system: System) -> dict[str, float]:
        seen.append((system.model.training, system.model))
        return {"AP": torch.tensor(0.25).double().numpy()}  # type: ignore[dict-item]

    trained = train_toy(tmp_path, recipe, validate=validate)
    measured = [line for line in trained.history if "AP" in line]
    assert [line["step"] for line in measured] == [3, 6, 8]
    assert all(line["AP"] == 0.25 for line in measured)
    assert all(not training and model is trained.system.model for training, model in seen)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_interrupted_validation_is_made_up_for(tmp_path: Path, at: int) -> None:
    recipe = replace(RECIPE, steps=8, validate_every=3, checkpoint_every=3)
    train_toy(tmp_path / "whole", recipe, validate=Interrupt())
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "parts", recipe, validate=Interrupt(at))
    train_toy(tmp_path / "parts", recipe, validate=Interrupt())
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


def test_without_averages_the_last_weights_predict(tmp_path: Path) -> None:
    trained = train_toy(tmp_path, replace(RECIPE, steps=3, average=0.0))
    state = read_state(tmp_path)
    assert state["average"] is None
    assert_equal_states(dict(trained.system.model.state_dict()), state["model"])


def test_a_small_dataset_makes_small_batches(tmp_path: Path) -> None:
    trained: TrainResult = train_toy(tmp_path, replace(RECIPE, steps=3), dataset=scenes(2))
    assert trained.steps == 3
