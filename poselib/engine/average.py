"""An exponential moving average of a network's weights, with which it predicts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


class MovingAverage(AveragedModel):
    """An exponential moving average of a network's parameters and buffers.

    Its decay is ``(1 + t) / (10 + t)`` at step t, so that the random start is soon forgotten, and
    at most a limit.

    Args:
        model: is copied.
        limit: largest decay.
    """

    def __init__(self, model: nn.Module, limit: float) -> None:
        self._limit, self._decay = limit, limit
        super().__init__(model, multi_avg_fn=self._mix, use_buffers=True)
        self.eval().requires_grad_(False)

    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step, which is counted from 0."""
        self._decay = min(self._limit, (2 + step) / (11 + step))
        self.update_parameters(model)

    def _mix(self, averages: _Tensors, current: _Tensors, _: Tensor | int) -> None:
        if not averages[0].is_floating_point():  # counters of batch normalization
            torch._foreach_copy_(averages, current)
            return
        torch._foreach_lerp_(averages, current, 1 - self._decay)
