"""One seed for everything that draws random numbers."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device.

    A system's weights are drawn when it is built: call this before ``systems.build`` for a
    training that can be repeated.

    Raises:
        ValueError: the seed is not in [0, 2**32), which is what NumPy takes.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, not {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may use the global generator
    torch.manual_seed(seed)
