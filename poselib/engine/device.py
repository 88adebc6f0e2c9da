"""The device that a network runs on, and how the CPU's memory is handled."""

from __future__ import annotations

import ctypes
import os
from functools import cache

import torch

# Parameters of the C library's mallopt, and the largest values that it takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_TRIM, _LARGEST_MMAP = 2**31 - 1, 2**25  # bytes


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


@cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that tensors free, so that the next ones get it at once.

    The C library of Linux returns large freed blocks to the system, and the next network pass
    fetches them again page by page: about a tenth of the time of a pass on a CPU. With this the
    process stays as large as it once was, until it ends. ``MALLOC_TRIM_THRESHOLD_`` and
    ``MALLOC_MMAP_THRESHOLD_`` in the environment are left as they are.

    Returns:
        Whether it does; False where the C library is not GNU's.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if adjust is None:
        return False
    limits = {
        "MALLOC_TRIM_THRESHOLD_": (_TRIM_THRESHOLD, _LARGEST_TRIM),
        "MALLOC_MMAP_THRESHOLD_": (_MMAP_THRESHOLD, _LARGEST_MMAP),
    }
    left = [limit for name, limit in limits.items() if name not in os.environ]
    return sum(adjust(*limit) for limit in left) == len(left)


def release_freed_memory() -> bool:
    """Return the memory that tensors have freed to the system, also where it is kept.

    For processes that stay open and compute for images of many sizes: what is free lies between
    what is used, and larger images find no room in it. It takes up to a tenth of a second.

    Returns:
        Whether there was any; False where the C library is not GNU's.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    return bool(trim and trim(0))
