"""Setups of a network: its precision, order of memory, folding, compilation and CUDA graph."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from poselib.engine.speed import Forward, captured, in_float32
from poselib.models.folding import fold


@dataclass(frozen=True)
class Setup:
    """How a network is run.

    Attributes:
        name: of its rows.
        bfloat16: under autocast; what it returns is turned into float32.
        channels_last: order of images and weights in memory.
        folded: batch normalizations are folded into convolutions.
        compiled: by ``torch.compile``.
        graph: captured once as a CUDA graph, which is then replayed.
        tf32: convolutions in float32 may keep ten bits of their inputs, as is PyTorch's default.
    """

    name: str
    bfloat16: bool = False
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False
    graph: bool = False
    tf32: bool = True

    def flags(self) -> Any:
        """Return the context in which cuDNN measures which of its algorithms is fastest."""
        return torch.backends.cudnn.flags(
            enabled=True, benchmark=True, deterministic=False, allow_tf32=self.tf32
        )

    def prepare(self, model: nn.Module) -> Forward:
        """Return the network as the setup runs it; ``model`` itself stays as it is.

        Args:
            model: in evaluation mode, on its device.
        """
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        network = fold(model) if self.folded else copy.deepcopy(model)
        network = network.to(memory_format=order)
        call: Any = torch.compile(network, dynamic=False) if self.compiled else network
        device = next(network.parameters()).device.type

        @torch.inference_mode()
        def forward(images: Tensor, *state: Tensor) -> Any:
            if images.ndim == 4:
                images = images.contiguous(memory_format=order)
            # Weights are cast anew in each call: kept ones would be those of another graph.
            with torch.autocast(device, torch.bfloat16, self.bfloat16, cache_enabled=False):
                outputs = call(images, *state)
            return in_float32(outputs)

        return torch.inference_mode()(captured(forward)) if self.graph else forward


EAGER = Setup("float32")
STRICT = Setup("float32, no TF32", tf32=False)
HALF = Setup("bf16", bfloat16=True)
LAST = Setup("bf16, channels last", bfloat16=True, channels_last=True)
FOLDED = replace(LAST, name=f"{LAST.name}, folded", folded=True)
COMPILED = replace(FOLDED, name=f"{FOLDED.name}, compiled", compiled=True)
GRAPH = replace(FOLDED, name=f"{FOLDED.name}, CUDA graph", graph=True)
TRAINED = replace(LAST, name=f"{LAST.name}, compiled", compiled=True)  # a training folds nothing
BOTH = replace(COMPILED, name=f"{COMPILED.name}, CUDA graph", graph=True)
ALONE = (
    Setup("float32, channels last", channels_last=True),
    Setup("float32, folded", folded=True),
    Setup("float32, compiled", compiled=True),
)
