"""Threads follow what a shared machine lets them do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from poselib.engine import thread_choice
from poselib.engine.thread_choice import ThreadChoice, stepping
from poselib.engine.train_config import TrainConfig

# Seconds of a step by threads, as measured: quiet, and beside a process that holds a core.
QUIET, BUSY = {1: 0.40, 2: 0.28}, {1: 0.42, 2: 4.8}
SECONDS = 270.0


def steps_within(
    machine: Callable[[float], dict[int, float]], seconds: float = SECONDS, most: int = 2
) -> tuple[int, dict[int, float]]:
    """Train on a machine that is like this at each time: steps, and the time with each threads."""
    rng, choice, now = np.random.default_rng(0), ThreadChoice(most), 0.0
    steps, spent = 0, {1: 0.0, most: 0.0}
    while now < seconds:
        took = machine(now)[choice.threads] * rng.uniform(0.9, 1.2)
        spent[choice.threads] += took
        now, steps = now + took, steps + 1
        choice.took(took)
    return steps, spent


def possible(machine: Callable[[float], dict[int, float]]) -> float:
    """How many steps somebody takes who knows the better number at every time."""
    return sum(1 / (1.05 * min(machine(float(second)).values())) for second in range(int(SECONDS)))


@pytest.mark.parametrize(
    "machine",
    [
        lambda now: QUIET,
        lambda now: BUSY,
        lambda now: QUIET if now < 100 else BUSY,
        lambda now: BUSY if now < 100 else QUIET,
        lambda now: BUSY if 60 < now < 120 else QUIET,
    ],
    ids=["quiet", "busy", "grows busy", "grows quiet", "busy for a minute"],
)
def test_nearly_as_many_steps_as_possible(machine: Callable[[float], dict[int, float]]) -> None:
    steps, _ = steps_within(machine)
    assert steps > 0.8 * possible(machine)


def test_a_quiet_machine_uses_all_threads() -> None:
    _, spent = steps_within(lambda now: QUIET)
    assert spent[2] > 0.9 * SECONDS


def test_a_busy_machine_is_rarely_asked_again() -> None:
    _, spent = steps_within(lambda now: BUSY, 3600)
    assert 0 < spent[2] < 0.02 * 3600


def test_many_threads_that_are_far_faster_stay() -> None:
    _, spent = steps_within(lambda now: {1: 4.0, 16: 0.4}, 3600, most=16)
    assert spent[16] > 0.97 * 3600


def test_single_slow_steps_change_nothing() -> None:
    choice = ThreadChoice(2)
    while choice.threads == 1:
        choice.took(0.4)
    for _ in range(4):  # the trial that all threads win
        choice.took(0.28)
    for _ in range(10):
        choice.took(3.0)
        choice.took(0.28)
        assert choice.threads == 2


def test_one_thread_stays_one() -> None:
    choice = ThreadChoice(1)
    for _ in range(300):
        choice.took(1.0)
        assert choice.threads == 1


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_training_by_time_uses_what_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(np.cumsum([0, 0.4] * 4 + [0, 4.8] + [0, 0.4] * 3))
    monkeypatch.setattr(thread_choice, "perf_counter", lambda: next(now))
    seen = []
    with stepping(TrainConfig(seconds=60.0), torch.device("cpu")) as step:
        for _ in range(8):
            with step():
                seen.append(torch.get_num_threads())
    assert seen == [1, 1, 1, 1, 2, 1, 1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_it_ends_with_the_threads_it_began_with_whatever_happens() -> None:
    timed = TrainConfig(seconds=1.0)
    with (
        pytest.raises(KeyboardInterrupt),
        stepping(timed, torch.device("cpu")) as step,
        step(),
    ):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("recipe", "device"),
    [(TrainConfig(), "cpu"), (TrainConfig(seconds=9.0), "meta")],
    ids=["steps", "gpu"],
)
def test_other_trainings_keep_their_threads(recipe: TrainConfig, device: str) -> None:
    with stepping(recipe, torch.device(device)) as step:
        for _ in range(6):
            with step():
                assert torch.get_num_threads() == 2
