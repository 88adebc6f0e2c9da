"""Networks whose every weight and statistic differs from the others."""

from __future__ import annotations

import torch
from torch import nn


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Double precision, and a value of its own for every weight and statistic."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.double().state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else 0.5 * noise)
    return module.eval()
