"""What this process may use of the processor: cores, instructions, and how threads wait.

Nothing here needs torch, which reads some of these settings when it is imported.
"""

from __future__ import annotations

import os

# Threads that wait by spinning keep cores from other processes: beside eight busy ones a training
# step took 8.2 s with OpenMP's default and 0.7 s so. On quiet cores few spins cost little.
_SPINS = "1000"

_MOST_WORKERS = 8  # a core prepares about 200 images of 512 px a second

# Where a user limits oneDNN, which runs convolutions on x86 processors, to older instructions. See
# https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def spin_briefly() -> None:
    """Limit the spinning of GNU OpenMP's threads, in this process and those that it starts.

    Call it before torch is imported: OpenMP reads the setting once. A setting of the user's stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def usable_cores() -> int:
    """Return the cores that this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def suitable_workers(gpu: bool) -> int:
    """Return how many processes should prepare the images of a training.

    For a GPU all cores but one, up to 8; of several processes on this machine, as torchrun starts
    them, each has its part. On a CPU none: they would take cores from the network, which needs far
    more time than its images.
    """
    if not gpu:
        return 0
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(_MOST_WORKERS, usable_cores() // sharing - 1))


def onednn_allows(instructions: str) -> bool:
    """Return whether the user lets oneDNN use instructions, if the processor has them.

    Args:
        instructions: part of the names that oneDNN's limit has from them on, as ``"AMX"`` or
            ``"512"``.
    """
    limit = next((os.environ[name] for name in _LIMITS if os.environ.get(name)), "ALL").upper()
    return limit in ("ALL", "DEFAULT") or instructions in limit
