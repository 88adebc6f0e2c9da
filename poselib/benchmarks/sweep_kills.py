"""Sweeps whose workers, scheduler or command are killed at random moments, and then finished.

Example::

    python -m poselib.benchmarks.sweep_kills --kills 20 --out figures
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import psutil

from poselib.benchmarks.short_sweeps import start, start_scheduler, start_worker, write_sweep
from poselib.engine.timing import machine
from poselib.experiments.runs import save_table
from poselib.ops.console import say

# Which processes execute the runs, and which of them is killed. The scheduler of a command's own
# workers is a part of the command.
CASES = (
    ("own workers", "worker"),
    ("cluster", "scheduler"),
    ("cluster", "driver"),
    ("cluster", "worker"),
    ("own workers", "driver"),
)
# What its processes execute: this table is as fresh as they are.
STARTS = (
    "poselib.experiments.sweep",
    "poselib.experiments.run_sweep",
    "poselib.experiments.run_worker",
    "poselib.experiments.clusters",
    "poselib.experiments.kernels",
)
ROWS, SEEDS = ("one", "two"), (0, 1)
_SECONDS = 600  # that a command may take
_PATIENCE = 20  # seconds, within which the processes of a killed one end themselves
_POLL = 0.02


@dataclass
class Setting:
    """A sweep and the processes that execute it.

    Attributes:
        folder: of the sweep, its runs and logs.
        sweep: its file.
        clustered: whether a scheduler and workers of their own execute it.
        processes: that were started.
    """

    folder: Path
    sweep: Path
    clustered: bool
    scheduler: subprocess.Popen[bytes] | None = None
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def begun(self) -> dict[str, int]:
        """Return how often each run has begun, by its id."""
        files = self.runs.glob("*/begun")
        return {file.parent.name: len(file.read_text().split()) for file in files}

    def finished(self) -> dict[str, str]:
        """Return the results of the runs that are finished, by their ids."""
        files = self.runs.glob("*/metrics.json")
        return {file.parent.name: file.read_text() for file in files}

    def open(self) -> None:
        """Start a scheduler and two workers, where they are wanted."""
        if self.clustered:
            self.scheduler, self.address = start_scheduler(self.folder)
            self.workers = [start_worker(self.folder, self.address) for _ in range(2)]
            self.processes += [self.scheduler, *self.workers]

    def command(self) -> subprocess.Popen[bytes]:
        """Start the command that executes the runs; always the same."""
        words = ["poselib.cli", "sweep", self.sweep, "--seeds", *SEEDS, "--runs", self.runs]
        words += ["--scheduler", self.address] if self.clustered else ["--workers", 2]
        self.processes.append(start(self.folder / "driver.log", *words))
        return self.processes[-1]

    def victim(self, kind: str, driver: subprocess.Popen[bytes], rng: random.Random) -> int:
        """Return the id of a process to kill."""
        if kind == "driver":
            return driver.pid
        if kind == "scheduler":
            assert self.scheduler is not None
            return self.scheduler.pid
        if self.clustered:
            return rng.choice(self.workers).pid
        return rng.choice(_own_workers(driver.pid)).pid


def _own_workers(driver: int) -> list[psutil.Process]:
    """Return the processes that a command has started to execute runs."""
    children = psutil.Process(driver).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def setting(folder: Path, clustered: bool) -> Iterator[Setting]:
    """Write a short sweep, start what executes it, and end all of it with the block."""
    folder.mkdir()
    now = Setting(folder, write_sweep(folder, ROWS), clustered)
    try:
        now.open()
        yield now
    finally:
        for process in now.processes:
            process.kill()
            process.wait()


def kill_once(folder: Path, clustered: bool, kind: str, rng: random.Random) -> dict[str, Any]:
    """Kill a process of a sweep at a random moment, let the command finish, and compare.

    Returns:
        ``ms`` after the run before which it came had begun; the runs ``finished`` and ``in_flight``
        then; how many of these began ``again``; how many finished ones were ``lost`` or
        ``repeated``; how many ``others`` began twice; the ``status`` of the command, run again
        where it had to be, and how many runs it left ``unfinished``; and how many processes of the
        killed one ``outlived`` it for long.

    Raises:
        RuntimeError: the sweep is over before the moment has come.
    """
    with setting(folder, clustered) as now:
        driver = now.command()
        after, delay = rng.randrange(len(ROWS) * len(SEEDS)), 1.5 * rng.random()
        _wait_until(lambda: len(now.begun()) > after or driver.poll() is not None)
        time.sleep(delay)
        if driver.poll() is not None:
            raise RuntimeError(f"{folder}: the sweep was over before the kill")
        target = psutil.Process(now.victim(kind, driver, rng))
        children = target.children(recursive=True)
        before = now.finished()
        target.kill()
        done, begun = now.finished(), now.begun()
        if kind == "driver" or (kind == "worker" and clustered):
            # They are this process's children: until it asks, they stay as zombies.
            next(each for each in now.processes if each.pid == target.pid).wait()
        outlived = _outlived(children) if kind != "scheduler" else 0
        if kind == "driver":  # a kernel that was starting may begin its run before it ends
            begun = now.begun()
        status = driver.wait(_SECONDS) if kind != "driver" else None
        if kind == "scheduler":
            now.open()
        if status != 0:
            status = now.command().wait(_SECONDS)
        times, results = now.begun(), now.finished()
    flying = set(begun) - set(done)
    twice = {run for run, count in times.items() if count > 1}
    return {
        "ms": round(1e3 * delay),
        "finished": len(done),
        "in_flight": len(flying),
        "again": len(twice & flying),
        "lost": sum(results.get(run) != text for run, text in {**before, **done}.items()),
        "repeated": len(twice & set(done)),
        "others": len(twice - flying - set(done)),
        "status": status,
        "unfinished": len(ROWS) * len(SEEDS) - len(results),
        "outlived": outlived,
    }


def _wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not reached() and time.monotonic() < end:
        time.sleep(_POLL)


def _outlived(children: Sequence[psutil.Process]) -> int:
    """Return how many processes are still there after a while."""

    def alive() -> int:
        found = 0
        for child in children:
            with suppress(psutil.NoSuchProcess):
                found += child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        return found

    end = time.monotonic() + _PATIENCE
    while alive() and time.monotonic() < end:
        time.sleep(_POLL)
    return alive()


def kill_sweeps(kills: int, seed: int, folder: Path) -> pd.DataFrame:
    """Kill sweeps in each of ``CASES`` in turn; return one row for each: see ``kill_once``."""
    rng, rows = random.Random(seed), list[dict[str, Any]]()
    tries = 0
    while len(rows) < kills:
        where, kind = CASES[len(rows) % len(CASES)]
        tries += 1
        try:
            found = kill_once(folder / str(tries), where == "cluster", kind, rng)
        except RuntimeError:
            if tries > 3 * kills + 3:
                raise
            continue
        rows.append({"executed_by": where, "killed": kind, **found})
    return pd.DataFrame(rows)


def is_good(table: pd.DataFrame) -> pd.Series:
    """Return which kills lost and repeated nothing that was finished, and left nothing undone."""
    faults = ["lost", "repeated", "others", "status", "unfinished", "outlived"]
    return (table[faults] == 0).all(axis=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill short sweeps, and write a table of what came of it."""
    parser = argparse.ArgumentParser(prog="python -m poselib.benchmarks.sweep_kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="folder of the table sweep_kills.csv")
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        table = kill_sweeps(chosen.kills, chosen.seed, Path(folder))
    say(table.to_string(index=False))
    good, (flying, again) = is_good(table), table[["in_flight", "again"]].sum()
    outcome = (
        f"after {int(good.sum())} of {len(table)} kills the same command finishes, nothing done is "
        f"lost or repeated, and {again} of {flying} runs in flight began again"
    )
    say(outcome)
    if chosen.out:
        command = f"{parser.prog} --kills {chosen.kills} --seed {chosen.seed}"
        params = {"command": command, "seed": chosen.seed, "machine": machine()}
        save_table(table, chosen.out / "sweep_kills.csv", params, outcome=outcome)
    return 0 if bool(good.all()) else 1


if __name__ == "__main__":
    sys.exit(main())
