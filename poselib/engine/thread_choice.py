"""How many threads a training uses on a CPU that it may have to share."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from statistics import median
from time import perf_counter

import torch

from poselib.engine.train_config import TrainConfig

_STEPS = 3  # that are timed in a trial, after one that prepares what a number of threads needs
_RECENT = 5  # steps whose median tells how long one takes
_MUCH = 2.0  # times as long: more than chance
_SLOW = 2  # such steps in a row: something has changed
_HOPELESS = 4.0  # times as long, the step that prepares counted in: no need to see more
_AGAIN, _SELDOM = 60.0, 480.0  # seconds from one trial to the next


class ThreadChoice:
    """One thread or all of them, whichever makes steps faster, tried again now and then.

    Threads of one step wait for each other many times. While another process held a core, steps
    with two threads took twelve times as long as with one; on a quiet machine they take three
    quarters as long.

    Args:
        most: threads that may be used.

    Attributes:
        threads: that the next step should use; one at first, which is never much slower.
    """

    def __init__(self, most: int) -> None:
        self.threads = 1
        self._most = most
        self._begun = False
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._slow: list[float] = []  # steps in a row that took much longer than recent ones
        self._tried: list[float] | None = None  # steps of the trial that is under way
        self._since = self._wait = _AGAIN  # seconds since the last trial, and to the next one

    @property
    def _other(self) -> int:
        return self._most if self.threads == 1 else 1

    def took(self, seconds: float) -> None:
        """Hear how long the step took, and choose the threads of the next one."""
        if self._most == 1:
            return
        if self._tried is not None:
            self._tried.append(seconds)
            self._judge(self._tried)
        elif self._begun:
            self._watch(seconds)
        self._begun = True  # the very first step prepares

    def _watch(self, seconds: float) -> None:
        """Begin a trial when it is time, or when somebody seems to have taken a core."""
        self._since += seconds
        if self.threads > 1 and seconds > _MUCH * median(self._recent):
            self._slow.append(seconds)
            if len(self._slow) == _SLOW:
                self._recent = deque(self._slow, maxlen=_RECENT)
                self._try()
            return
        self._slow = []
        self._recent.append(seconds)
        if self._since >= self._wait and len(self._recent) >= _STEPS:
            self._try()

    def _try(self) -> None:
        self.threads, self._tried, self._slow = self._other, [], []

    def _judge(self, tried: list[float]) -> None:
        """End a trial once it is clear which number of threads is faster."""
        usual, timed = median(self._recent), tried[1:]
        hopeless = tried[-1] > _HOPELESS * usual or (timed and timed[-1] > _MUCH * usual)
        if not hopeless and len(timed) < _STEPS:
            return
        better = not hopeless and median(timed) < usual
        if better:
            self._recent = deque(timed, maxlen=_RECENT)
        else:
            self.threads = self._other
        # All threads that were far slower are not likely to be faster soon.
        self._wait = min(2 * self._wait, _SELDOM) if hopeless else _AGAIN
        self._tried, self._since = None, 0.0

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Take a step with the threads chosen, and time it."""
        torch.set_num_threads(self.threads)
        started = perf_counter()
        yield
        self.took(perf_counter() - started)


@contextlib.contextmanager
def stepping(
    recipe: TrainConfig, device: torch.device
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Yield what each step of a training is to be taken in; afterwards threads are as before.

    Numbers of threads add up numbers in different orders. So they are chosen only where the
    training ends by time, which no two runs repeat to the digit; any other one has those that
    torch was told to use.

    Args:
        recipe: of the training.
        device: where it runs.
    """
    before = torch.get_num_threads()
    if recipe.seconds is None or device.type != "cpu":
        yield contextlib.nullcontext
        return
    try:
        yield ThreadChoice(before).step
    finally:
        torch.set_num_threads(before)
