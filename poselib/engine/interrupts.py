"""Interrupts: stop between two steps, never within one, and leave nothing half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Defer an interrupt (Ctrl-C, a notebook's stop button) until the block has ended.

    Only the main thread receives interrupts; elsewhere nothing is done.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    received: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Take a request to end, as of a scheduler or a closed terminal, for ``SystemExit``.

    Without it the process would end at once and leave its temporary files. Only the main thread
    receives signals; those that are ignored, as under ``nohup``, stay so.
    """
    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    before = {n: signal.getsignal(n) for n in numbers if n is not None}
    mine = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        mine = []
    for number in mine:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second request is obeyed at once
    raise SystemExit(128 + number)
