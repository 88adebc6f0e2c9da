"""The precision of a training: half precision where it is asked for or faster, else float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from poselib.ops.processor import onednn_allows

Precision = Literal["auto", "float32", "bfloat16", "float16"]
# Steps in a row that float16 may leave out: from 65536, the scale is then far below 1.
_MOST_LEFT_OUT = 25
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes faster in bfloat16 than in float32.

    A CPU does with AMX, unless oneDNN is kept from using it. AVX512-BF16 alone is not enough: a
    training step of ``hrnet_tiny`` took 297 ms with it and 230 ms in float32, one of DEKR 460 and
    405 ms. A processor without either emulates bfloat16, eight times slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    return onednn_allows("AMX") and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Replace ``"auto"`` by the precision in which the device is faster."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def autocast(precision: Precision, device: torch.device, cache: bool = True) -> torch.autocast:
    """Return the context in which a network computes in a precision, which is not ``"auto"``.

    Args:
        precision, device: of the network.
        cache: keep the cast of a weight within the context, in which a CUDA graph is not captured.
    """
    kind = _TYPES.get(precision)
    half = kind is not None
    return torch.autocast(device.type, kind or torch.bfloat16, half, cache_enabled=cache)


class GradientScaler:
    """Scaling of the loss in float16, without which small gradients vanish; else it does nothing.

    The scale is 65536 at first. Where gradients overflow, the step is left out and the scale
    halved; after 2000 steps without, it is doubled. bfloat16 has the range of float32.

    Attributes:
        left_out: steps in a row, up to the last one, that were left out.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
        self.left_out = 0

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss whose gradient is computed."""
        return self._scaler.scale(loss)

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        weights: Iterable[Tensor] = (),
        clip: float | None = None,
    ) -> bool:
        """Change the weights by the gradients, if these are finite; return whether they were.

        Args:
            optimizer: of all weights.
            weights: whose gradient is limited together.
            clip: its largest norm; None for no limit.

        Raises:
            ValueError: gradients of too many steps in a row have overflowed.
        """
        self._scaler.unscale_(optimizer)
        if clip is not None:
            nn.utils.clip_grad_norm_(weights, clip)
        before = self._scaler.get_scale()
        self._scaler.step(optimizer)
        self._scaler.update()
        if self._scaler.get_scale() >= before:
            self.left_out = 0
            return True
        self.left_out += 1
        if self.left_out > _MOST_LEFT_OUT:
            raise ValueError(
                f"the gradients of {self.left_out} steps in a row are not finite in float16; use "
                "bfloat16 or float32, lower learning_rate or set clip"
            )
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it; nothing in other precisions."""
        state = self._scaler.state_dict()
        return {**state, "left_out": self.left_out} if state else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint; from the first scale, if it holds none."""
        if state and self._scaler.is_enabled():
            rest = dict(state)
            self.left_out = rest.pop("left_out")
            self._scaler.load_state_dict(rest)
