"""Threads that work ahead of, and behind, the caller."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import closing

import pytest

from poselib.engine.prefetch import Background, map_ahead

MAIN = threading.main_thread()


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_are_in_order(threads: int) -> None:
    def slow(number: int) -> tuple[int, bool]:
        time.sleep(0.001 * (number % 3))
        return number, threading.current_thread() is MAIN

    found = list(map_ahead(slow, range(12), threads, 4))
    assert found == [(number, threads == 0) for number in range(12)]


def test_no_more_is_done_ahead_than_asked_for() -> None:
    begun: list[int] = []
    results = map_ahead(begun.append, iter(range(100)), threads=2, ahead=3)
    with closing(results):
        for taken in range(1, 6):
            next(results)
            assert len(begun) <= taken + 3
    assert len(begun) <= 8


def test_an_error_is_raised_at_its_turn() -> None:
    def fail(number: int) -> int:
        if number == 2:
            raise ValueError("image 2 is broken")
        return number

    results = map_ahead(fail, range(9), 2, 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="image 2 is broken"):
        next(results)


def test_an_interrupt_ends_the_threads() -> None:
    begun, before = [], threading.active_count()

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            signal.raise_signal(signal.SIGINT)  # received by the main thread, which waits
        time.sleep(0.01)
        return number

    with pytest.raises(KeyboardInterrupt), closing(map_ahead(work, range(99), 1, 50)) as results:
        list(results)
    assert len(begun) < 5 and threading.active_count() == before


@pytest.mark.parametrize("threads", [0, 2])
def test_all_is_done_behind_the_caller(threads: int) -> None:
    done: list[int] = []
    with Background(threads, waiting=2) as background:
        for number in range(20):
            background.submit(done.append, number)
    assert sorted(done) == list(range(20))


def test_little_is_left_to_do() -> None:
    go, left = threading.Event(), []
    with Background(1, waiting=2) as background:
        threading.Timer(0.02, go.set).start()
        for _ in range(3):
            background.submit(go.wait)
            left.append(go.is_set())
    assert left == [False, False, True]  # the third waited for the first


@pytest.mark.parametrize("threads", [0, 1])
def test_an_error_behind_the_caller_is_raised(threads: int) -> None:
    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Background(threads, 8) as background:
        background.submit(fail)


def test_after_an_error_nothing_new_begins() -> None:
    done: list[int] = []
    with pytest.raises(KeyError), Background(1, waiting=50) as background:
        background.submit(time.sleep, 0.02)
        for number in range(9):
            background.submit(done.append, number)
        raise KeyError
    assert not done
