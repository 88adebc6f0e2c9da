from __future__ import annotations

import pytest
import torch

from poselib.benchmarks.hardware.bench import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    """The smallest of everything, each timed once."""
    shared = {"size": 64, "crop": 64, "people": 2, "backbone": "hrnet_tiny"}
    return Bench(torch.device("cpu"), repeats=1, warmup=0, seconds=0.0, **shared)
