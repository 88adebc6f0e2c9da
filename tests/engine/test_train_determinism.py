"""What repeats to the bit on one machine, and what to 1e-4 with other threads and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poselib.api import load
from poselib.benchmarks.tiny_trainings import first_difference, tiny_system, train_tiny
from poselib.engine.evaluate import evaluate
from poselib.engine.predict import predict
from poselib.ops.normalization import normalize
from poselib.systems import SYSTEMS, System
from tests.engine.factories import scenes

CLOSE = 1e-4  # of the largest value


def tensors(outputs: Any) -> Iterator[torch.Tensor]:
    """Yield what a network returned, of images or of clips."""
    for each in fields(outputs):
        value = getattr(outputs, each.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, torch.Tensor) and part.is_floating_point():
                yield part


def maps(system: System, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.inference_mode():
        return list(tensors(system.run(normalize(images), system.frames)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_same_seed_gives_the_same_training_to_the_bit(name: str, tmp_path: Path) -> None:
    for folder in ("one", "other"):
        torch.rand(3)  # what was drawn before does not matter
        train_tiny(tmp_path / folder, name, steps=2)
    assert first_difference(tmp_path / "one", tmp_path / "other") == ""


@pytest.mark.parametrize("name", SYSTEMS)
def test_outputs_repeat_to_the_bit_and_nearly_with_other_threads_and_batches(name: str) -> None:
    system = tiny_system(name)
    system.model.eval()
    frames = system.frames
    images = torch.randint(256, (2 * frames, 3, 64, 64), dtype=torch.uint8)
    found = maps(system, images)
    assert found
    for one, other in zip(found, maps(system, images), strict=True):
        assert torch.equal(one, other)
    alone = [maps(system, part) for part in images.split(frames)]
    torch.set_num_threads(2)
    try:
        threaded = maps(system, images)
    finally:
        torch.set_num_threads(1)
    for number, one in enumerate(found):
        bound = CLOSE * float(one.abs().max())
        apart = torch.cat([parts[number] for parts in alone])
        for other in (threaded[number], apart):
            torch.testing.assert_close(other, one, rtol=0, atol=bound)


def test_predictions_and_scores_repeat_to_the_bit() -> None:
    model, images = load(), scenes(4, size=128)
    options = replace(model.options, batch_size=2)
    first, again = (evaluate(model.system, images, options, explain=False) for _ in range(2))
    assert str(first.as_dict()) == str(again.as_dict())  # some are NaN
    predicted = predict(model.system, images, options)
    for one, other, third in zip(first.poses, again.poses, predicted, strict=True):
        assert len(one)
        for name in ("keypoints", "scores", "person_scores"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
            assert np.array_equal(getattr(one, name), getattr(third, name))
