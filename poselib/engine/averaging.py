"""A running mean of a model's weights, which predicts better than the weights themselves."""

from __future__ import annotations

import copy

import torch
from torch import nn


class AveragedModel:
    """Exponential moving average of a model's parameters and buffers.

    Attributes:
        model: a copy that holds the averages, in evaluation mode.
        decay: weight of the past at each update once warmed up; early on it is
            ``(1 + updates) / (10 + updates)``, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"average decay must be in [0, 1), not {decay}")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the averages towards the model's current state."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [key for key, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[k] for k in floats], [theirs[k] for k in floats], weight)
        for key in mine.keys() - set(floats):
            mine[key].copy_(theirs[key])
