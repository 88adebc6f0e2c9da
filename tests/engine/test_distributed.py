"""Two processes train as one does with the whole batch, and end together."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from poselib.engine.launch import call_in_processes
from poselib.engine.trainer import CHECKPOINT, METRICS
from tests.engine.test_gradient import CASES
from tests.engine.two_processes import FAILING, SHORT, run, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have left, and in ``one`` a training by this process alone."""
    folder = tmp_path_factory.mktemp("processes")
    call_in_processes(2, partial(run, folder))
    train(folder / "one")
    return folder


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def found(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def assert_same_training(one: Path, two: Path) -> None:
    assert len(read(one)) == len(read(two)) == SHORT.steps + 2
    for a, b in zip(read(one), read(two), strict=True):
        assert {**a, "seconds": 0} == pytest.approx({**b, "seconds": 0}, rel=2e-4, abs=1e-7)
    weights = [torch.load(each / CHECKPOINT, weights_only=True) for each in (one, two)]
    for part in ("model", "average"):
        for key, value in weights[0][part].items():
            assert torch.allclose(value, weights[1][part][key], rtol=1e-3, atol=1e-4), key


def test_two_processes_train_as_one_with_the_whole_batch(folder: Path) -> None:
    assert_same_training(folder / "one", folder / "two")


@pytest.mark.parametrize("name", CASES)
def test_every_system_has_the_gradient_of_the_whole_batch(folder: Path, name: str) -> None:
    terms, gradients = found(folder)[0][name]
    assert terms < 1e-4 and gradients < 5e-3


def test_an_error_or_interrupt_of_one_process_ends_both(folder: Path) -> None:
    (failing, uneven, stopped), others = (each["ends"] for each in found(folder))
    by_image = f"OSError: image {FAILING} cannot be read"
    assert sorted((failing, others[0]))[0].startswith(by_image)
    assert sorted((failing, others[0]))[1] == "SystemExit: 2"
    assert uneven.startswith("ValueError: a step of 3 samples") and others[1] == "SystemExit: 2"
    assert stopped.startswith("KeyboardInterrupt") and others[2] == "SystemExit: 130"


def test_one_process_goes_on_with_what_two_began(folder: Path) -> None:
    state = torch.load(folder / "stopped" / CHECKPOINT, weights_only=True)
    assert state["step"] == 3
    train(folder / "stopped", replace(SHORT, workers=1))
    assert_same_training(folder / "one", folder / "stopped")


def test_images_get_the_same_noise_however_they_are_shared(folder: Path) -> None:
    torch.manual_seed(4)
    parts = [each["noise"] for each in found(folder)]
    assert torch.tensor(parts).flatten(0, 1).equal(torch.randn(6, 2))
