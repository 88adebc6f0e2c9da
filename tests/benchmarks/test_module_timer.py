"""Which calls of modules are counted, and in which call of the work."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.benchmarks import module_timer as timed_within
from poselib.benchmarks.module_timer import TimedWithin

CPU = torch.device("cpu")


class Clock:
    """Stands in for the time of the system: passes when a module is called."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def perf_counter(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timed_within, "time", clock)
    return clock


class Slow(nn.Module):
    """Takes so many seconds by the clock and twice as many of the processor."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.wall += self.seconds
        self.clock.cpu += 2 * self.seconds
        return x


def test_calls_are_summed_up_in_each_call_of_the_work(clock: Clock) -> None:
    counted, other = Slow(clock, 1.0), Slow(clock, 100.0)
    times = count(1)

    def work() -> int:
        number = next(times)
        for _ in range(number):
            other(counted(torch.zeros(1)))
        return number

    timed = TimedWithin(work, [counted], CPU)
    assert [timed() for _ in range(4)] == [1, 2, 3, 4]
    last = timed.last(3)
    assert last.wall == (2000.0, 3000.0, 4000.0) and last.cpu == (4000.0, 6000.0, 8000.0)
    assert np.isnan(last.gpu).all() and len(last.gpu) == 3


def test_several_modules_count_together(clock: Clock) -> None:
    modules = [Slow(clock, 1.0), Slow(clock, 0.5), Slow(clock, 0.25)]
    timed = TimedWithin(lambda: [m(torch.zeros(1)) for m in modules], modules[:2], CPU)
    timed()
    assert timed.last(1).wall == (1500.0,)


def test_what_is_not_called_takes_no_time(clock: Clock) -> None:
    timed = TimedWithin(lambda: None, [Slow(clock, 1.0)], CPU)
    timed()
    assert timed.last(1).wall == (0.0,)


def test_modules_are_left_as_they_were(clock: Clock) -> None:
    module = Slow(clock, 1.0)

    def failing() -> None:
        module(torch.zeros(1))
        raise KeyboardInterrupt

    timed = TimedWithin(failing, [module], CPU)
    with pytest.raises(KeyboardInterrupt):
        timed()
    assert not module._forward_hooks and not module._forward_pre_hooks


def test_the_part_is_shorter_than_the_whole() -> None:
    layer, seen = nn.Linear(64, 64), list[float]()
    timed = TimedWithin(lambda: [layer(torch.zeros(8, 64)) for _ in range(50)], [layer], CPU)
    for _ in range(3):
        begin = timed_within.time.perf_counter()
        timed()
        seen.append(1e3 * (timed_within.time.perf_counter() - begin))
    parts = timed.last(3).wall
    assert all(0 < part < whole for part, whole in zip(parts, seen, strict=True))
