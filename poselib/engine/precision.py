"""The precision of a training: bfloat16 where the hardware computes in it, else float32."""

from __future__ import annotations

import os
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]

# Limits of oneDNN, which runs convolutions on x86 processors, that exclude bfloat16. See
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 instead of emulating it.

    A CPU does with AVX512-BF16 or AMX, unless oneDNN is kept from using them. Emulation makes a
    training step up to eight times slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    limit = next((os.environ[name] for name in _LIMITS if os.environ.get(name)), "")
    known = torch.cpu.get_capabilities()
    native = known.get("avx512_bf16", False) or known.get("amx_bf16", False)
    return bool(native) and limit.upper() not in _WITHOUT


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Replace ``"auto"`` by the faster of the two that the device supports."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16(device) else "float32"
