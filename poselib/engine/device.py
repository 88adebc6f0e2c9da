"""The device that a network runs on."""

from __future__ import annotations

import torch


def get_device(name: str | torch.device = "auto") -> torch.device:
    """Return a device; ``"auto"`` is a GPU if there is one, else the CPU.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    gpu = torch.cuda.is_available()
    try:
        device = torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}; known: 'auto', 'cpu', 'cuda'") from error
    if device.type == "cuda" and not gpu:
        raise ValueError(f"device {name!r}: this machine has no usable GPU")
    return device
