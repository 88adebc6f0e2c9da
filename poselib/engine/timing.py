"""Timing: medians of repeats; alternatives are interleaved so that machine load affects both."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy
import torch

from poselib.ops.processor import usable_cores

Work = Callable[[], object]
Device = torch.device | str
Passed = tuple[float, float, float]  # ms by the clock, of the processor and of the GPU

_LARGEST_KEPT = 31 * 2**20  # bytes of a block that the GNU allocator still learns from


@dataclass(frozen=True)
class Timing:
    """Times of a repeated piece of work, in milliseconds.

    Attributes:
        wall: per repeat, from the call to its result, a GPU's included.
        cpu: per repeat, of all threads of the process; steadier than ``wall`` where others
            use the machine.
        gpu: per repeat, between two events on the GPU; NaN on a CPU.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    gpu: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the wall times."""
        return float(np.median(self.wall))

    @property
    def cpu_median(self) -> float:
        """Median of the CPU times."""
        return float(np.median(self.cpu))

    def as_dict(self) -> dict[str, float]:
        """Return the medians, the quartiles of the wall times and the number of repeats."""
        lower, upper = np.quantile(self.wall, (0.25, 0.75)).tolist()
        return {
            "ms": self.median,
            "lower_ms": lower,
            "upper_ms": upper,
            "cpu_ms": self.cpu_median,
            "gpu_ms": float(np.median(self.gpu)),
            "repeats": len(self.wall),
        }


def measure(work: Work, repeats: int = 5, **settings: Any) -> Timing:
    """Time a piece of work; arguments and errors are those of ``measure_all``."""
    return measure_all({"": work}, repeats, **settings)[""]


def measure_all(
    works: Mapping[str, Work],
    repeats: int = 5,
    threads: int = 1,
    device: Device = "cpu",
    warmup: int = 1,
    seconds: float = 0.0,
    calls: Mapping[str, int] | None = None,
) -> dict[str, Timing]:
    """Time pieces of work in turns, so that whatever else runs slows all of them.

    Args:
        works: by name; each is called without arguments, and its result is dropped.
        repeats: turns that are timed.
        threads: that one operation of torch or OpenCV may use.
        device: where the work is done; a GPU is waited for before and after each call.
        warmup: calls before those, which allocate memory and load what is loaded once.
        seconds: more turns are timed until this long has passed, so that short work has
            enough of them.
        calls: of each piece of work in a turn, if not one; shorter work needs more of them.

    Raises:
        ValueError: ``repeats`` or ``threads`` is below 1, or ``warmup`` is negative.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more and warmup not negative: {repeats}, {warmup}")
    device, calls = torch.device(device), calls or {}
    times: dict[str, list[Passed]] = {name: [] for name in works}
    if device.type == "cpu":
        # The GNU allocator gives back to the system what is free beyond twice the largest block
        # that was ever freed, and getting it again is slow: not in a process that ran a network.
        torch.empty(_LARGEST_KEPT, dtype=torch.uint8)
    with limited_threads(threads):
        for work in works.values():
            for _ in range(warmup):
                work()
        begin, turns = time.perf_counter(), 0
        while turns < repeats or time.perf_counter() < begin + seconds:
            for name, work in works.items():
                times[name].extend(_timed(work, device) for _ in range(calls.get(name, 1)))
            turns += 1
    return {name: Timing(*zip(*taken, strict=True)) for name, taken in times.items()}


def machine(device: Device = "cpu") -> dict[str, Any]:
    """Describe the machine: processor, cores, load, GPU and versions."""
    device = torch.device(device)
    return {
        "cpu": _processor(),
        "cores": usable_cores(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else [],
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "opencv": cv2.__version__,
    }


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Limit operations of torch and OpenCV to ``count`` threads within a ``with`` block.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"threads must be 1 or more, not {count}")
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _timed(work: Work, device: torch.device) -> Passed:
    """Return wall and CPU milliseconds of one call, and on a GPU those between two events."""
    if device.type != "cuda":
        return *_passed(work), float("nan")
    stream = torch.cuda.current_stream(device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def finished() -> None:
        start.record(stream)
        work()
        end.record(stream)
        torch.cuda.synchronize(device)

    torch.cuda.synchronize(device)
    return *_passed(finished), float(start.elapsed_time(end))


def _passed(work: Work) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def _processor() -> str:
    # platform.processor() is empty or "x86_64" on Linux.
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
