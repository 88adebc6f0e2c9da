"""Setups of a network: its precision, order of memory, folding, compilation and CUDA graph."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from poselib.engine.speed import FastNetwork, SpeedOptions


@dataclass(frozen=True)
class Setup:
    """How a network is run.

    Attributes:
        name: of its rows.
        speed: the engine's options.
        tf32: convolutions in float32 may keep ten bits of their inputs, as is PyTorch's default.
    """

    name: str
    speed: SpeedOptions = field(default_factory=SpeedOptions)
    tf32: bool = True

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let cuDNN measure which of its algorithms is fastest, and no compilation fail unseen.

        What runs a network uncompiled where compilation fails would be timed as if it were
        compiled: its warning is an error here.
        """
        allowed = {"enabled": True, "benchmark": True, "deterministic": False}
        with torch.backends.cudnn.flags(**allowed, allow_tf32=self.tf32), warnings.catch_warnings():
            warnings.filterwarnings("error", message="the network runs uncompiled")
            yield

    def prepare(self, model: nn.Module) -> FastNetwork:
        """Return the network as the setup runs it; ``model`` itself stays as it is."""
        return FastNetwork(model, self.speed)


def _with(setup: Setup, word: str, **options: Any) -> Setup:
    return Setup(f"{setup.name}, {word}", replace(setup.speed, **options))


EAGER = Setup("float32")
STRICT = Setup("float32, no TF32", tf32=False)
HALF = Setup("bf16", SpeedOptions(precision="bfloat16"))
LAST = _with(HALF, "channels last", channels_last=True)
FOLDED = _with(LAST, "folded", fold=True)
COMPILED = _with(FOLDED, "compiled", compile=True)
GRAPH = _with(FOLDED, "CUDA graph", cuda_graph=True)
TRAINED = _with(LAST, "compiled", compile=True)  # a training folds nothing
ALONE = (
    _with(EAGER, "channels last", channels_last=True),
    _with(EAGER, "folded", fold=True),
    _with(EAGER, "compiled", compile=True),
    _with(EAGER, "CUDA graph", cuda_graph=True),
)
