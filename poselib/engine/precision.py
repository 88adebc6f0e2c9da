"""The precision of a training: bfloat16 where the hardware is faster in it, else float32."""

from __future__ import annotations

from typing import Literal

import torch

from poselib.ops.processor import onednn_allows

Precision = Literal["auto", "float32", "bfloat16"]


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
