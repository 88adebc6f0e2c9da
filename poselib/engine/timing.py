"""Timing: medians of repeats; alternatives are interleaved so that machine load affects both."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile of the wall times."""
        lower, upper = np.quantile(self.wall, (0.25, 0.75))
        return float(lower), float(upper)

    @property
    def cpu_median(self) -> float:
        """Median of the CPU times."""
        return float(np.median(self.cpu))

    @property
    def gpu_median(self) -> float:
        """Median of the times on the GPU; NaN on a CPU."""
        return float(np.median(self.gpu))

    def as_dict(self) -> dict[str, float]:
        """Return the medians, the quartiles of the wall times and the number of repeats."""
        lower, upper = self.quartiles
        return {
            "ms": self.median,
            "lower_ms": lower,
            "upper_ms": upper,
            "cpu_ms": self.cpu_median,
            "gpu_ms": self.gpu_median,
            "repeats": len(self.wall),
        }


@dataclass(frozen=True)
class Comparison:
    """Times of two implementations of the same work, taken in turns."""

    fast: Timing
    baseline: Timing

    @property
    def ratio(self) -> float:
        """Speed-up: median baseline wall time over median fast wall time."""
        return self.baseline.median / self.fast.median

    @property
    def cpu_ratio(self) -> float:
        """Speed-up in CPU time; NaN where the CPU clock did not tick."""
        taken = self.fast.cpu_median
        return self.baseline.cpu_median / taken if taken else float("nan")

    def as_dict(self) -> dict[str, float]:
        """Return ``Timing.as_dict`` of the fast one, the medians of the baseline and the ratios."""
        return {
            **self.fast.as_dict(),
            "baseline_ms": self.baseline.median,
            "baseline_cpu_ms": self.baseline.cpu_median,
            "ratio": self.ratio,
            "cpu_ratio": self.cpu_ratio,
        }


def measure(
    work: Work,
    repeats: int = 5,
    threads: int = 1,
    device: Device = "cpu",
    warmup: int = 1,
    seconds: float = 0.0,
) -> Timing:
    """Time a piece of work.

    Args:
        work: called without arguments; its result is dropped.
        repeats: calls that are timed.
        threads: that one operation of torch or OpenCV may use.
        device: where the work is done; a GPU is waited for before and after each call.
        warmup: calls before those, which allocate memory and load what is loaded once.
        seconds: more calls are timed until this long has passed, so that short work has
            enough repeats.

    Raises:
        ValueError: ``repeats`` or ``threads`` is below 1, or ``warmup`` is negative.
    """
    return _in_turns([(work, 1)], repeats, threads, torch.device(device), warmup, seconds)[0]


def measure_all(
    works: Mapping[str, Work],
    repeats: int = 5,
    threads: int = 1,
    device: Device = "cpu",
    warmup: int = 1,
    seconds: float = 0.0,
) -> dict[str, Timing]:
    """Time pieces of work in turns, one call each, so that whatever else runs slows all of them.

    Args:
        works: by name.
        repeats, threads, device, warmup, seconds: as in ``measure``, of turns.

    Raises:
        ValueError: a number is too small.
    """
    turns = [(work, 1) for work in works.values()]
    times = _in_turns(turns, repeats, threads, torch.device(device), warmup, seconds)
    return dict(zip(works, times, strict=True))


def compare(
    fast: Work,
    baseline: Work,
    repeats: int = 3,
    threads: int = 1,
    device: Device = "cpu",
    warmup: int = 1,
    seconds: float = 0.0,
    fast_calls: int = 3,
) -> Comparison:
    """Time two implementations of the same work in turns, so that whatever else runs slows both.

    Args:
        fast: called ``fast_calls`` times in each turn.
        baseline: called once in each turn.
        repeats: turns, more of them until ``seconds`` have passed.
        threads, device, warmup, seconds: as in ``measure``.
        fast_calls: calls in a turn; the shorter work needs more of them.

    Raises:
        ValueError: a number is too small.
    """
    if fast_calls < 1:
        raise ValueError(f"fast_calls must be 1 or more, not {fast_calls}")
    turns = [(baseline, 1), (fast, fast_calls)]
    slow, quick = _in_turns(turns, repeats, threads, torch.device(device), warmup, seconds)
    return Comparison(quick, slow)


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


def _in_turns(
    works: Sequence[tuple[Work, int]],
    repeats: int,
    threads: int,
    device: torch.device,
    warmup: int,
    seconds: float,
) -> list[Timing]:
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats must be 1 or more and warmup not negative: {repeats}, {warmup}")
    times: list[list[Passed]] = [[] for _ in works]
    if device.type == "cpu":
        _keep_memory()
    with limited_threads(threads):
        for work, _ in works:
            for _ in range(warmup):
                work()
        begin, turns = time.perf_counter(), 0
        while turns < repeats or time.perf_counter() < begin + seconds:
            for (work, calls), taken in zip(works, times, strict=True):
                taken.extend(_timed(work, device) for _ in range(calls))
            turns += 1
    return [Timing(*zip(*taken, strict=True)) for taken in times]


def _keep_memory() -> None:
    """Let this process keep freed memory, like any process in which a network has run.

    The GNU allocator gives back to the system what is free beyond twice the largest block that was
    ever freed, of 32 MB at most, and getting it again is slow.
    """
    torch.empty(_LARGEST_KEPT, dtype=torch.uint8)


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
