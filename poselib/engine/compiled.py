"""Networks compiled by ``torch.compile``, or run as they are where that fails."""

from __future__ import annotations

import textwrap
import warnings
from typing import Any

import torch
from torch import Tensor, nn


class CompiledNetwork(nn.Module):
    """A network compiled by ``torch.compile``; if that fails, it runs eagerly, with one warning.

    It is compiled when it is first called, which takes from seconds (a small network on a GPU) to
    many minutes (a large one on a CPU). Compilation needs a C++ compiler, and Triton on a GPU.
    Results equal those of the network but for rounding. Attributes, weights and their names are
    those of the network.

    Args:
        network: shares its weights.
        dynamic: see ``torch.compile``: False compiles anew for every shape of the input, True once
            for all, None first for the first shape and then for all.
    """

    def __init__(self, network: nn.Module, dynamic: bool | None = None) -> None:
        super().__init__()
        self.network = network
        self.train(network.training)
        self._compiled: Any = torch.compile(network, dynamic=dynamic)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def state_dict(self, *args: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the weights by the names that they have in the network."""
        return self.network.state_dict(*args, **options)

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        """Take over weights by the names that they have in the network."""
        return self.network.load_state_dict(*args, **options)

    def forward(self, *inputs: Tensor) -> Any:
        if self._compiled is None:
            return self.network(*inputs)
        try:
            return self._compiled(*inputs)
        except Exception as error:  # compilers raise every kind
            outputs = self.network(*inputs)  # raises what is no fault of the compiler
            self.give_up(error)
            return outputs

    def give_up(self, error: Exception) -> bool:
        """Stop using the compiled network after an error; False if it was not in use."""
        if self._compiled is None:
            return False
        self._compiled = None
        first = (str(error).splitlines() or [""])[0]  # what follows is advice for the compiler
        reason = textwrap.shorten(f"{type(error).__name__}: {first}", 300, placeholder=" ...")
        warnings.warn(
            f"the network runs uncompiled, as torch.compile failed ({reason})", stacklevel=2
        )
        return True
