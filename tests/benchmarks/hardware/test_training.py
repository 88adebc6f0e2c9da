from __future__ import annotations

from functools import partial

import pytest

from poselib.benchmarks import input_pipeline
from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.setups import EAGER, LAST
from poselib.benchmarks.hardware.training import time_input, time_training


@pytest.mark.parametrize(("name", "setup", "images"), [("hae", LAST, 2), ("jre", EAGER, 2)])
def test_steps_are_taken(bench: Bench, name: str, setup: object, images: int) -> None:
    (row,) = time_training(bench, name, 2, setup)  # type: ignore[arg-type]
    assert row["images_per_second"] == pytest.approx(1000 * images / row["ms"], abs=0.01)
    # The system that predictions are timed with stays in evaluation mode.
    assert not bench.case(name, 2).system.model.training


def test_loader_step_and_both_are_timed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    few = partial(input_pipeline.Photographs, files=2, side=96)
    monkeypatch.setattr(input_pipeline, "Photographs", few)
    rows = list(time_input(bench, "hae", 2, EAGER, [0]))
    assert [(row["part"], row["workers"]) for row in rows] == [
        ("loader", 0),
        ("step", 0),
        ("both", 0),
    ]
    for row in rows:
        assert row["images_per_second"] == pytest.approx(2000 / row["ms"], rel=1e-3)
