"""One job at a time in a thread; a job that is overtaken before it begins is never run."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, TypeVar

from poselib.engine.device import release_freed_memory

_LONG = 0.5  # s: of a job that large images need, and that can wait for memory to be fetched
T = TypeVar("T")
_LOG = logging.getLogger("poselib.widgets")
Job = tuple[int, Callable[[], Any], Callable[[Any], None]]


class LatestJob:
    """Runs the latest of the jobs that are started; results of overtaken ones are dropped.

    The thread ends when there is nothing to do, so that an idle explorer costs none.
    """

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._number = self._current = 0
        self._next: Job | None = None
        self._running = False

    def start(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Run ``work`` in the thread, then ``done`` with its result or the exception it raised."""
        with self._state:
            self._number += 1
            self._next = (self._number, work, done)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, daemon=True).start()

    @property
    def overtaken(self) -> bool:
        """Whether what the job that runs will find is dropped; long jobs ask, and end."""
        return self._current != self._number

    def drop(self) -> None:
        """Forget the job that waits, and the result of the one that runs."""
        with self._state:
            self._number += 1
            self._next = None

    def wait(self, seconds: float) -> None:
        """Wait until no job runs or waits; raises TimeoutError if that takes longer."""
        with self._state:
            if not self._state.wait_for(lambda: not self._running, seconds):
                raise TimeoutError(f"not computed within {seconds:g} s")

    def _run(self) -> None:
        while (job := self._take()) is not None:
            number, work, done = job
            self._current = number
            begin = perf_counter()
            try:
                found = work()
            except Exception as error:
                found = error
            try:
                if number == self._number:
                    done(found)
            except Exception:  # the thread goes on, or nothing would ever be computed again
                _LOG.exception("what was computed cannot be shown")
            if perf_counter() - begin > _LONG:
                release_freed_memory()

    def _take(self) -> Job | None:
        with self._state:
            job, self._next = self._next, None
            if job is None:
                self._running = False
                self._state.notify_all()
            return job


class Kept(OrderedDict[Hashable, Any]):
    """The last few results, by what they depend on.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: Hashable, value: T) -> T:
        """Keep a result, drop the oldest ones, and return it."""
        self[key] = value
        while len(self) > self._most:
            self.popitem(last=False)
        return value
