from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from poselib.engine.seed import seed_everything
from poselib.skeletons import COCO
from poselib.systems import build


def drawn(seed: int) -> tuple[float, float, float]:
    seed_everything(seed)
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_everything_follows_from_the_seed() -> None:
    assert drawn(3) == drawn(3)
    assert all(a != b for a, b in zip(drawn(3), drawn(4), strict=True))


def test_initial_weights_follow_from_the_seed() -> None:
    weights = []
    for _ in range(2):
        seed_everything(1)
        weights.append(build("hae", COCO, backbone="hrnet_tiny").model.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        seed_everything(seed)
