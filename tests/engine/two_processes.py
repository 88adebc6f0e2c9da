"""What each of two processes that train together runs, for ``test_distributed``."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poselib.data.batch_parts import BatchParts
from poselib.engine.distributed import joined
from poselib.engine.train_config import TrainConfig
from poselib.ops.processes import noise_like, process_count, process_rank
from poselib.structures import Sample, Targets
from poselib.systems import System
from tests.engine.factories import RECIPE, scenes, toy_system, train_toy
from tests.engine.test_gradient import CASES, batches, gradient, small_system

SHORT = replace(RECIPE, steps=6, checkpoint_every=2, validate_every=3)
Values = dict[str, torch.Tensor]
FAILING = 7  # an image of one process


def plain_system() -> System:
    """Return a toy system whose training is the same for every division of a batch.

    Dropout draws other numbers in every process. The gradient of a bias before batch normalization
    is nothing but rounding.
    """
    system = toy_system()
    body: Any = system.model.body
    body[3], body[0].bias = nn.Identity(), None
    return system


def interrupted(step: int) -> System:
    """Return a system in whose second process Ctrl-C is pressed within a step."""
    system, calls = plain_system(), []

    def losses(outputs: Any, targets: Targets) -> dict[str, torch.Tensor]:
        calls.append(None)
        if len(calls) == step and process_rank() == 1:
            signal.raise_signal(signal.SIGINT)
        return system.losses(outputs, targets)

    return replace(system, losses=losses)


@dataclass(frozen=True)
class Failing:
    """Scenes of which one cannot be read."""

    def __len__(self) -> int:
        return len(scenes())

    def __getitem__(self, index: int) -> Sample:
        if index == FAILING:
            raise OSError(f"image {index} cannot be read")
        return scenes()[index]


def validate(system: System) -> dict[str, float]:
    """Return a number that follows from the weights; only the first process is asked."""
    assert process_rank() == 0
    return {"AP": float(next(system.model.parameters()).mean())}


def train(folder: Path, recipe: TrainConfig = SHORT, **changes: Any) -> None:
    train_toy(folder, recipe, **{"system": plain_system(), "validate": validate, **changes})


def end_of(folder: Path, **changes: Any) -> str:
    """Return in words how a training ends in this process."""
    try:
        train(folder, **changes)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "trained"


def together(name: str) -> Values:
    """Return terms and gradient of a system, in training, of this process's part of a batch."""
    system = small_system(name)
    system.model.train()
    return gradient(system, batches(system, BatchParts(process_count(), process_rank())))


def difference(one: Values, two: Values, terms: bool) -> float:
    """Return the largest relative difference of terms, or that of the gradient as a whole."""
    if one.keys() != two.keys():
        return math.inf
    keys = [key for key, value in one.items() if terms == (not value.dim())]
    if terms:
        return max(float((one[k] - two[k]).abs() / one[k].abs().clamp(min=1e-9)) for k in keys)
    a, b = (torch.cat([of[key].flatten() for key in keys]) for of in (one, two))
    return float((a - b).norm() / a.norm())


def run(folder: Path) -> None:
    """Train, fail and be interrupted, and compute gradients; write what came of it."""
    torch.set_num_threads(1)
    names = CASES if os.environ["RANK"] == "0" else ()  # the other one has enough to do
    alone = {name: together(name) for name in names}
    shared: dict[str, Any] = {}
    with joined():
        train(folder / "two")
        ends = [
            end_of(folder / "failing", dataset=Failing()),
            end_of(folder / "uneven", recipe=replace(SHORT, batch_size=3)),
            end_of(folder / "stopped", system=interrupted(3)),
        ]
        torch.manual_seed(4)
        shared["noise"] = noise_like(torch.zeros(3, 2)).tolist()
        for name in CASES:
            whole, parts = alone.get(name), together(name)
            if whole is None:
                continue
            shared[name] = [difference(whole, parts, terms) for terms in (True, False)]
        rank = process_rank()
    (folder / f"{rank}.json").write_text(json.dumps({"ends": ends, **shared}))
