from __future__ import annotations

import pytest

from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.setups import EAGER, LAST
from poselib.benchmarks.hardware.training import time_training


@pytest.mark.parametrize(("name", "setup", "images"), [("hae", LAST, 2), ("jre", EAGER, 2)])
def test_steps_are_taken(bench: Bench, name: str, setup: object, images: int) -> None:
    (row,) = time_training(bench, name, 2, setup)  # type: ignore[arg-type]
    assert row["images_per_second"] == pytest.approx(1000 * images / row["ms"], abs=0.01)
    # The system that predictions are timed with stays in evaluation mode.
    assert not bench.case(name, 2).system.model.training
