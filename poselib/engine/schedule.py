"""Learning rate as a function of progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Schedule = Literal["cosine", "steps", "constant"]


def learning_rate_factor(
    schedule: Schedule,
    progress: float,
    warmup: float = 0.0,
    milestones: Sequence[float] = (),
    decay: float = 0.1,
) -> float:
    """Return what the peak learning rate is multiplied with.

    Args:
        schedule: ``"cosine"`` falls along half a cosine to nothing, ``"steps"`` falls by
            ``decay`` at each milestone, ``"constant"`` stays.
        progress: share of the training that is done, 0 to 1.
        warmup: share of the training in which the rate rises linearly from a 25th.
        milestones: progress at which ``"steps"`` falls.
        decay: factor of each fall.

    Raises:
        ValueError: the schedule is unknown.
    """
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    if schedule == "cosine":
        rest = (progress - warmup) / max(1e-9, 1 - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
    if schedule == "steps":
        return decay ** sum(progress >= milestone for milestone in milestones)
    if schedule == "constant":
        return 1.0
    raise ValueError(f"unknown schedule {schedule!r}; known: 'cosine', 'steps', 'constant'")
