"""Work done ahead by threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int, ahead: int
) -> Generator[_Result]:
    """Yield ``function(item)`` of each item in order, computed while the caller does other things.

    An error is raised when it is the turn of its item. Close the generator to stop early: what has
    not begun is dropped, and what has is waited for.

    Args:
        function: called in threads; with one thread never twice at a time.
        items: are taken in the thread of the caller.
        threads: none, below 1: each result is computed when it is asked for.
        ahead: results that may wait for the caller, at most.
    """
    if threads < 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="poselib-ahead")
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Background:
    """Does work in threads behind the caller, who waits only if too much is left to do.

    Args:
        threads: 0 for none: work is done at once.
        waiting: pieces of work that may be left, at most.

    Example:
        >>> with Background(threads=1, waiting=8) as background:
        ...     background.submit(path.write_bytes, content)
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "poselib-behind") if threads else None
        self._left: deque[Future[object]] = deque()
        self._most = waiting

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        """Have a function called; raises what an earlier one raised."""
        if self._pool is None:
            function(*arguments)
            return
        self._left.append(self._pool.submit(function, *arguments))
        while self._left and (len(self._left) > self._most or self._left[0].done()):
            self._left.popleft().result()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what is left; after an error only for what has begun."""
        try:
            while self._left and kind is None:
                self._left.popleft().result()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
