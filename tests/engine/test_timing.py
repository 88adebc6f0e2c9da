"""What is measured and how it is summed up; nothing here says how long anything may take."""

from __future__ import annotations

import math
import platform
import statistics
import subprocess
import sys

import cv2
import pytest
import torch

from poselib.engine import timing as profile
from poselib.engine.timing import Timing, machine, measure, measure_all

NAN = float("nan")


def timing(*wall: float) -> Timing:
    return Timing(wall, tuple(10 * w for w in wall), (NAN,) * len(wall))


def test_times_are_summed_up_by_their_middle() -> None:
    taken = timing(5.0, 1.0, 2.0, 100.0, 3.0)
    assert taken.median == 3.0
    assert taken.cpu_median == 30.0
    summary = taken.as_dict()
    assert math.isnan(summary.pop("gpu_ms"))
    assert summary == {"ms": 3.0, "lower_ms": 2.0, "upper_ms": 5.0, "cpu_ms": 30.0, "repeats": 5}


class Clock:
    """Seconds that pass only when somebody lets them."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def work(self, wall: float, cpu: float) -> None:
        self.wall += wall
        self.cpu += cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(profile.time, "perf_counter", lambda: clock.wall)
    monkeypatch.setattr(profile.time, "process_time", lambda: clock.cpu)
    return clock


def test_milliseconds_are_those_that_the_work_took(clock: Clock) -> None:
    times = iter([(9.0, 9.0), (0.25, 0.5), (0.5, 1.0)])  # the first is the warm-up
    taken = measure(lambda: clock.work(*next(times)), repeats=2)
    assert (taken.wall, taken.cpu) == ((250.0, 500.0), (500.0, 1000.0))
    assert all(math.isnan(gpu) for gpu in taken.gpu)


def test_short_work_is_repeated_until_the_time_is_over(clock: Clock) -> None:
    assert len(measure(lambda: clock.work(0.25, 0.25), repeats=2, seconds=1.0).wall) == 4
    assert len(measure(lambda: clock.work(2.0, 2.0), repeats=2, seconds=1.0).wall) == 2


def test_all_works_are_timed_in_turns(clock: Clock) -> None:
    calls: list[str] = []
    works = {name: lambda name=name: calls.append(name) or clock.work(1.0, 0.5) for name in "abc"}
    times = measure_all(works, repeats=2, warmup=1)
    assert calls == [*"abc", *"abcabc"]
    assert list(times) == [*"abc"]
    assert all(taken.wall == (1000.0, 1000.0) for taken in times.values())
    assert all(taken.cpu == (500.0, 500.0) for taken in times.values())


def test_shorter_work_is_called_more_often_in_a_turn() -> None:
    made: list[str] = []
    works = {name: lambda name=name: made.append(name) for name in ("slow", "fast")}
    times = measure_all(works, repeats=2, warmup=1, calls={"fast": 3})
    assert made == ["slow", "fast", *(["slow", "fast", "fast", "fast"] * 2)]
    assert (len(times["fast"].wall), len(times["slow"].wall)) == (6, 2)


def test_threads_are_limited_while_it_is_measured() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    seen: list[tuple[int, int]] = []
    measure(lambda: seen.append((torch.get_num_threads(), cv2.getNumThreads())), 1, threads=2)
    assert seen == [(2, 2)] * 2
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def test_threads_are_given_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        measure(lambda: 1 / 0, threads=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repeats": 0}, "repeats must be 1 or more"),
        ({"warmup": -1}, "warmup not negative"),
        ({"threads": 0}, "threads must be 1 or more"),
    ],
)
def test_bad_numbers_are_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(lambda: None, **arguments)


def test_the_machine_is_described() -> None:
    about = machine()
    assert about["cpu"] and about["cores"] >= 1 and about["gpu"] == ""
    assert about["torch"] == torch.__version__
    assert len(about["load_average"]) in (0, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_is_waited_for() -> None:
    square = torch.rand(2000, 2000, device="cuda")
    taken = measure(lambda: square @ square, repeats=3, device="cuda")
    # The clock runs from before the first event to after the second.
    assert all(0 < gpu <= wall for gpu, wall in zip(taken.gpu, taken.wall, strict=True))
    assert machine("cuda")["gpu"]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU allocator alone")
def test_memory_is_not_asked_for_again_in_each_repeat() -> None:
    """A process in which no network has run gives back 10,000 pages each time, mostly."""
    told = subprocess.run(
        [sys.executable, "-c", _FAULTS], check=True, capture_output=True, text=True
    ).stdout
    # Not of each repeat: a system short of memory takes pages back at times of its own.
    assert statistics.median(map(int, told.split())) < 100


_FAULTS = """
import resource
import torch
from poselib.engine.timing import measure

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    begin = faults()
    kept = [torch.zeros(1_000_000) for _ in range(10)]
    counts.append(faults() - begin)

counts = []
measure(work)
measure(work, repeats=11)
print(*counts[2:])
"""
