"""Small systems of every kind with weights, statistics and taps that are not the initial ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from poselib.engine.seed import seed_everything
from poselib.models.hrnet import HRNetConfig, StageConfig
from poselib.systems import System, build

_CROP = {"height": 112, "width": 64}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "hae": ("hae", {"backbone": "hrnet_micro", "deconv_blocks": 1}),
    "hourglass": (
        "hae",
        {"host": "hourglass", "stacks": 2, "features": 8, "depth": 1, "increase": 4},
    ),
    "dekr": ("dekr", {"backbone": "hrnet_micro", "scoring": True, "blocks": 1}),
    "grm": ("grm", {"backbone": "hrnet_micro", "head": "associative"}),
    "logocap": ("logocap", {"backbone": "hrnet_micro", "message_width": 16, "embedding": 4}),
    "jre": ("jre", {"backbone": "hrnet_micro", "relation": "nonlocal", **_CROP}),
    "offsets": (
        "jre",
        {"backbone": "hrnet_micro", "offsets": True, "relation": "none", **_CROP},
    ),
    "refine": (
        "jre",
        {"backbone": "hrnet_micro", "refine": True, "refine_depth": 18, "height": 64, "width": 64},
    ),
    "rpstn": (
        "rpstn",
        {"backbone": "hrnet_micro", "initializer_backbone": "hrnet_micro", "channels": 8, **_CROP},
    ),
}
MICRO = HRNetConfig(
    stem=(8, 8),
    stage1=StageConfig(1, (1,), (8,)),
    stages=(StageConfig(1, (0, 1), (8, 8)), StageConfig(1, (0, 1), (8, 8))),
)


def micro_system(kind: str, seed: int = 0) -> System:
    """Return a system whose weights, statistics and taps are not the initial ones."""
    seed_everything(seed)
    name, options = SYSTEMS[kind]
    system = build(name, "coco", **options)
    with torch.no_grad():
        for value in system.model.parameters():
            value.add_(0.1 * torch.randn_like(value))
        for module in system.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    system.model.eval()
    return system
