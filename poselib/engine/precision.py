"""The precision of a training: bfloat16 where the hardware is faster in it, else float32."""

from __future__ import annotations

import os
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]

# Where a user limits oneDNN, which runs convolutions on x86 processors, to older instructions. See
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


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
    limit = next((os.environ[name] for name in _LIMITS if os.environ.get(name)), "ALL").upper()
    allowed = limit in ("ALL", "DEFAULT") or "AMX" in limit
    return allowed and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Replace ``"auto"`` by the precision in which the device is faster."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"
