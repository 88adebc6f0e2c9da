"""The record of a run: tasks within a budget of time, and what came out, written at once."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from poselib.benchmarks.hardware.bench import Bench, Row
from poselib.benchmarks.hardware.plan import Task
from poselib.benchmarks.hardware.verdicts import judge
from poselib.engine.timing import machine
from poselib.experiments.provenance import provenance
from poselib.ops.console import one_line, say
from poselib.ops.io import read_json, write_json

_LETTERS = 300  # of an error
_PATIENCE = 2.0  # times what a task takes, and some seconds more
_MORE = 20.0


class Record:
    """What was measured, kept as the sidecar of the figure that shows it.

    Args:
        path: JSON file, written after every row.
        bench: what was measured with.
        parameters: of the command.
        earlier: whether the tasks that the file already has are kept and not repeated.
    """

    def __init__(
        self, path: Path, bench: Bench, parameters: Mapping[str, Any], earlier: bool = False
    ) -> None:
        self.path, self.bench = path, bench
        self.content: dict[str, Any] = {
            "figure": path.with_suffix(".png").name,
            "notebook": "",
            "created": datetime.now(UTC).isoformat(timespec="microseconds"),
            "parameters": {**parameters, "machine": machine(bench.device)},
            "seed": bench.seed,
            "runs": [],
            "outcome": "",
            **provenance(),
            "seconds": 0.0,
            "verdicts": [],
            "rows": [],
            "failed": [],
            "skipped": [],
            "done": [],
        }
        if earlier and path.exists():
            before = read_json(path)
            rows = [row for row in before["rows"] if row["of"] in before["done"]]
            self.content |= {"rows": rows, "done": before["done"]}

    def run(self, tasks: Sequence[Task], seconds: float) -> None:
        """Run tasks one after the other, for at most about this long.

        One that takes longer than what is left is not begun. One that is not done by then, or takes
        more than twice as long as it should, is interrupted, and one that fails does not end the
        others. All of this is recorded.
        """
        begin, todo = time.monotonic(), [t for t in tasks if t.name not in self.content["done"]]
        for number, task in enumerate(todo, start=1):
            left = seconds - (time.monotonic() - begin)
            if task.seconds > left:
                about = f"takes about {task.seconds:.0f} s; " if task.seconds else ""
                reason = f"{about}{max(left, 0):.0f} s were left"
                self.content["skipped"].append({"task": task.name, "reason": reason})
                continue
            say(f"{number}/{len(todo)} {task.name} ({left:.0f} s left)")
            limit = _PATIENCE * task.seconds + _MORE if task.seconds else left
            self._run(task, min(left, limit))
            self.content["seconds"] = round(time.monotonic() - begin, 1)
            self.write()
        self.write()

    def _run(self, task: Task, seconds: float) -> None:
        try:
            with time_limit(seconds):
                for row in task.run():
                    self.content["rows"].append({"of": task.name, **row})
                    say(f"    {_told(row)}")
                    self.write()
        except (Exception, OutOfTime) as error:  # compilers and drivers raise every kind
            said = str(error) if isinstance(error, OutOfTime) else one_line(error)
            said = said or " ".join(f"{type(error).__name__}: {error}".split())
            said = said[:_LETTERS]
            self.content["failed"].append({"task": task.name, "error": said})
            say(f"    failed: {said}")
        else:
            self.content["done"].append(task.name)
        if task.compiled:
            torch.compiler.reset()
        if self.bench.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()

    def write(self) -> None:
        """Write all that is known so far."""
        self.content["verdicts"] = judge(self.content["rows"])
        met = [each["met"] for each in self.content["verdicts"] if each["met"] is not None]
        self.content["outcome"] = f"{sum(met)} of {len(met)} targets that were measured are met"
        write_json(self.path, self.content)


class OutOfTime(BaseException):
    """The time of a task is up; no ``Exception``, which compilers catch and work around."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in a block that takes longer, where the system can interrupt it."""
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and hasattr(signal, "setitimer")):
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTime(f"was not done after the {seconds:.0f} s that it was given")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(row: Row) -> str:
    if "AP" in row:
        return f"AP {100 * row['AP']:.2f}%"
    rate = f", {row['images_per_second']:.0f} images/s" if "images_per_second" in row else ""
    return f"{row['part']}, {row['people']} people: {row['ms']:.2f} ms{rate}"
