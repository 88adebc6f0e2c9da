"""What a sweep says while it runs: on a terminal, in a notebook, or line by line."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from poselib.experiments.sweep import PlannedRun
from poselib.ops.console import complain, interactive
from poselib.ops.io import LineFollower

_LINES_EVERY = 60.0  # seconds, between two reports where lines cannot be replaced
_METRICS = "metrics.jsonl"


class Screen(Protocol):
    """Where a sweep says how it stands."""

    def event(self, text: str) -> None:
        """Show a line that stays, where nothing else would tell of it."""

    def state(self, lines: Sequence[str]) -> None:
        """Show lines in place of the last ones."""


@dataclass
class _Begun:
    since: float
    follower: LineFollower


@dataclass
class SweepProgress:
    """How far a sweep is.

    Attributes:
        total: number of runs.
        done: of them, at first those that were finished before.
        runs_dir: receives the runs; the last loss of one that is running is read there.
        screen: shows it.
        clock: seconds; another one is for tests.
    """

    total: int
    done: int
    runs_dir: Path
    screen: Screen
    clock: Callable[[], float] = time.monotonic
    failed: int = 0
    _running: dict[str, tuple[PlannedRun, _Begun]] = field(default_factory=dict)
    _took: list[float] = field(default_factory=list)

    def began(self, run: PlannedRun) -> None:
        """Take note that a run begins."""
        follower = LineFollower(self.runs_dir / run.run_id / _METRICS)
        self._running[run.run_id] = run, _Begun(self.clock(), follower)
        self.screen.event(f"begun: {name_of(run)}")

    def ended(self, run: PlannedRun, state: str, error: str = "") -> None:
        """Take note of how a run ended."""
        _, begun = self._running.pop(run.run_id)
        if state == "failed":
            self.failed += 1
            self.screen.event(f"failed: {name_of(run)}: {error}")
            return
        self.done += 1
        if state == "done":
            self._took.append(self.clock() - begun.since)
        self.screen.event(f"{state}: {name_of(run)}")

    def show(self, waiting: int, places: int) -> None:
        """Show how the runs stand.

        Args:
            waiting: number of runs that have not begun.
            places: number that the workers can execute side by side.
        """
        self.screen.state(self.lines(waiting, places))

    def lines(self, waiting: int, places: int) -> list[str]:
        """Return a line of all runs, and one for each that is running."""
        counts = f"{self.done} of {self.total} done, {len(self._running)} running"
        counts += f", {self.failed} failed" if self.failed else ""
        if not places and (waiting or self._running):
            counts += ", waiting for a worker"
        elif (left := self.seconds_left(waiting, places)) is not None:
            counts += f", about {span(left)} left"
        return [counts, *(self._line(run, begun) for run, begun in self._running.values())]

    def seconds_left(self, waiting: int, places: int) -> float | None:
        """Return how long the rest takes if each run takes as long as those that are done."""
        if not self._took or not places:
            return None
        each, now = sum(self._took) / len(self._took), self.clock()
        rest = [max(0.0, each - (now - begun.since)) for _, begun in self._running.values()]
        work = sum(rest) + waiting * each
        return max([work / places, *rest])

    def _line(self, run: PlannedRun, begun: _Begun) -> str:
        with suppress(ValueError, OSError):  # a line that is no JSON is the run's own fault
            begun.follower.read()
        losses = [line for line in begun.follower.lines if "loss" in line]
        parts = [f"  {name_of(run)}: {span(self.clock() - begun.since)}"]
        if losses:
            last = losses[-1]
            parts += [f"step {last['step']}"] if "step" in last else []
            parts.append(f"loss {last['loss']:.4g}")
        return ", ".join(parts)


def name_of(run: PlannedRun) -> str:
    """Return what people call a run: its sweep, row and seed."""
    return f"{run.sweep}, {run.row}, seed {run.seed}"


def span(seconds: float) -> str:
    """Return a time in words, as ``45 s``, ``12 min`` or ``3 h 5 min``.

    Example:
        >>> span(45), span(730), span(11100)
        ('45 s', '12 min', '3 h 5 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class TerminalScreen:
    """Replaces the last lines of a terminal, which standard error is."""

    def __init__(self) -> None:
        self._shown = 0

    def event(self, text: str) -> None:
        """Leave a line about a failure; all else is seen in the state."""
        if text.startswith("failed"):
            self.state([])
            complain(text)

    def state(self, lines: Sequence[str]) -> None:
        """Go up over the lines shown before, and write others."""
        width = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._shown}F\x1b[J" if self._shown else ""
        self._shown = len(lines)
        sys.stderr.write(up + "".join(f"{line[:width]}\n" for line in lines))
        sys.stderr.flush()


class NotebookScreen:
    """Replaces an output of the notebook's cell."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        self._failures: list[str] = []
        self._last: list[str] = []

    def event(self, text: str) -> None:
        """Keep failures above the state."""
        if text.startswith("failed"):
            self._failures.append(text)

    def state(self, lines: Sequence[str]) -> None:
        """Show other lines."""
        now = [*self._failures, *lines]
        if now != self._last:
            self._last = now
            self._handle.update({"text/plain": "\n".join(now)}, raw=True)


class LineScreen:
    """Writes a line for what happens, and now and then the state."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def event(self, text: str) -> None:
        """Write a line."""
        complain(text)

    def state(self, lines: Sequence[str]) -> None:
        """Write the lines once a minute."""
        if time.monotonic() - self._last >= _LINES_EVERY:
            self._last = time.monotonic()
            complain("\n".join(lines))


@contextmanager
def open_screen() -> Iterator[Screen]:
    """Choose the screen that suits where this process writes; a terminal is left clean."""
    if display := _display():
        yield NotebookScreen(display)
    elif interactive():
        screen = TerminalScreen()
        try:
            yield screen
        finally:
            screen.state([])
    else:
        yield LineScreen()


def _display() -> Callable[..., Any] | None:
    """Return IPython's ``display`` where this process is the kernel of a notebook."""
    if "ipykernel" not in sys.modules or "IPython" not in sys.modules:
        return None
    from IPython import get_ipython
    from IPython.display import display

    return display if getattr(get_ipython(), "kernel", None) is not None else None
