"""Learning rate as a function of progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

Schedule = Literal["cosine", "steps", "constant"]
Decay = float | tuple[float, ...]


def learning_rate_factor(
    schedule: Schedule,
    progress: float,
    warmup: float = 0.0,
    milestones: Sequence[float] = (),
    decay: Decay = 0.1,
) -> float:
    """Return what the peak learning rate is multiplied with.

    Args:
        schedule: ``"cosine"`` falls along half a cosine to nothing, ``"steps"`` is multiplied
            with ``decay`` at each milestone, ``"constant"`` stays.
        progress: share of the training that is done, 0 to 1.
        warmup: share of the training in which the rate rises linearly from a 25th.
        milestones: progress at which ``"steps"`` falls, in order.
        decay: factor of the falls, one for all or one each.

    Raises:
        ValueError: there is not one factor for each milestone.
    """
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    if schedule == "cosine":
        rest = (progress - warmup) / max(1e-9, 1 - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
    if schedule == "steps":
        factors = decay if isinstance(decay, tuple) else (decay,) * len(milestones)
        falls = zip(milestones, factors, strict=True)
        return math.prod(factor for milestone, factor in falls if progress >= milestone)
    return 1.0
