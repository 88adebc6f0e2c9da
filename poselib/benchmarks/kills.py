"""Trainings that are killed at random moments, resumed, and compared with ones left alone.

Example::

    python -m poselib.benchmarks.kills --kills 20 --out figures
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import pandas as pd
import torch

from poselib.benchmarks.tiny_trainings import first_difference, train_by_command, train_tiny
from poselib.data.synthetic.dataset import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.engine.timing import machine
from poselib.engine.trainer import CHECKPOINT, TrainingState
from poselib.experiments.runs import save_table
from poselib.ops.console import say
from poselib.ops.io import TEMPORARY
from poselib.skeletons import COCO
from poselib.systems import SYSTEMS

# Of a training, each of them many times; to write is a part of to save.
PHASES = ("load", "step", "validate", "save", "write")
_METHODS = {"advance": "step", "measure": "validate", "save": "save"}
_SECONDS = 300  # that a training may take
_PATIENCE = 15  # seconds, within which the workers of a killed training end themselves
Train = Callable[[Path], None]


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the nth beginning of a phase.

    Attributes:
        phase: one of ``PHASES``.
        entry: the first beginning being 0.
        delay: seconds.
    """

    phase: str
    entry: int
    delay: float


@dataclass
class Attempt:
    """What became of a process that trains.

    Attributes:
        entries: phase, steps done and time of each beginning, seconds of a clock that all have.
        killed: whether it was; else it ended before.
        workers: ids of its own processes when it was killed.
        ended: when, as the times of ``entries``.
    """

    entries: list[tuple[str, int, float]] = field(default_factory=list)
    killed: bool = False
    workers: tuple[int, ...] = ()
    ended: float = 0.0

    def lengths(self, phase: str) -> list[float]:
        """Return how long each part of a phase took, seconds."""
        pairs = zip(self.entries, self.entries[1:], strict=False)
        return [after[2] - here[2] for here, after in pairs if here[0] == phase]


def attempt(run: Train, folder: Path, moment: Moment | None = None) -> Attempt:
    """Train in a process of its own and kill it, with SIGKILL, at a moment if one is given.

    Raises:
        RuntimeError: it fails, or takes too long.
    """
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_process, args=(run, folder, theirs))
    process.start()
    theirs.close()
    result, entered, end = Attempt(), 0, time.monotonic() + _SECONDS
    while not result.killed and time.monotonic() < end:
        wait([ours, process.sentinel], timeout=_SECONDS)
        if not _receive(ours, result):
            break
        phase = result.entries[-1][0]
        entered += moment is not None and phase == moment.phase
        if moment is not None and phase == moment.phase and entered == moment.entry + 1:
            time.sleep(moment.delay)
            result.workers = _children(process.pid)
            process.kill()
            result.killed, result.ended = True, time.monotonic()
        elif phase == "write":
            ours.send("go on")
    process.join(max(0.0, end - time.monotonic()))
    while _receive(ours, result):
        pass
    result.killed = process.exitcode == -signal.SIGKILL
    if not result.killed and process.exitcode != 0:
        process.kill()
        raise RuntimeError(f"{folder}: a training ended with status {process.exitcode}")
    return result


def _receive(ours: Connection, result: Attempt) -> bool:
    """Take what a process tells; return False if there is nothing."""
    try:
        if not ours.poll():
            return False
        result.entries.append(ours.recv())
    except (EOFError, OSError):
        return False
    return True


def _in_process(run: Train, folder: Path, theirs: Connection) -> None:
    """Train, and tell of each phase as it begins."""
    torch.set_num_threads(1)
    # Loader workers are forked, as from a shell, and not asked of this process's server.
    multiprocessing.set_start_method("fork", force=True)
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    for name, phase in _METHODS.items():
        setattr(TrainingState, name, _told(getattr(TrainingState, name), phase, theirs))
    torch.save = partial(_save_in_parts, torch.save, theirs)
    run(folder)


def _told(method: Callable[..., Any], phase: str, theirs: Connection) -> Callable[..., Any]:
    def watched(state: TrainingState, *arguments: Any) -> None:
        theirs.send((phase, state.step, time.monotonic()))
        method(state, *arguments)
        theirs.send(("load", state.step, time.monotonic()))

    return watched


def _save_in_parts(
    save: Callable[..., None], theirs: Connection, state: dict[str, Any], file: BinaryIO
) -> None:
    """Write a part of a checkpoint, and the rest after the other process had its chance to kill."""
    whole = io.BytesIO()
    save(state, whole)
    content = whole.getvalue()
    cut = random.randrange(len(content))
    file.write(content[:cut])
    file.flush()
    theirs.send(("write", state["step"], time.monotonic()))
    theirs.recv()
    file.write(content[cut:])


def _children(process: int | None) -> tuple[int, ...]:
    file = Path(f"/proc/{process}/task/{process}/children")
    return tuple(map(int, file.read_text().split())) if file.is_file() else ()


def alive(processes: Sequence[int]) -> list[int]:
    """Return those of some processes that are neither gone nor dead."""
    states = {p: Path(f"/proc/{p}/stat") for p in processes}
    return [p for p, f in states.items() if f.is_file() and f.read_text().split()[2] not in "ZX"]


def kill_trainings(
    trainings: Mapping[str, Train], kills: int, seed: int, folder: Path
) -> pd.DataFrame:
    """Kill each training in turn, in each phase in turn, at moments that are drawn; compare.

    A third of the trainings are killed twice.

    Args:
        trainings: by name; each trains in a folder, or resumes the training that it holds.
        seed: of the moments.
        folder: receives the trainings.

    Returns:
        One row per kill: ``training``, its number ``of`` the trainings, the ``phase`` and the
        number of steps ``done`` at which it came, ``ms`` after that began, the step of the
        ``checkpoint`` that was there and the number of ``unfinished`` files, whether the resumed
        training was ``equal`` in the end, the first ``difference``, and ``workers`` of the killed
        process that outlived it for long.

    Raises:
        RuntimeError: a training fails by itself.
    """
    rng, kept = random.Random(seed), dict[str, Attempt]()
    rows: list[dict[str, Any]] = []
    workers: list[tuple[int, ...]] = []
    for number in range(kills):
        name = list(trainings)[number % len(trainings)]
        expected, here = folder / name, folder / f"{name}-{number}"
        if name not in kept:
            kept[name] = attempt(trainings[name], expected)
        mine: list[dict[str, Any]] = []
        for tries in (5, 1)[: min(1 + (number % 3 == 2), kills - len(rows))]:
            phase = PHASES[(len(rows) + len(mine)) % len(PHASES)]
            if killed := _kill(trainings[name], here, kept[name], phase, rng, tries):
                mine.append({"training": name, "of": number, **_circumstances(killed, here)})
                workers.append(killed.workers)
        attempt(trainings[name], here)
        found = first_difference(here, expected)
        rows += [{**row, "equal": not found, "difference": found} for row in mine]
        if len(rows) >= kills:
            break
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and any(map(alive, workers)):
        time.sleep(0.2)
    return pd.DataFrame(rows).assign(workers=[len(alive(each)) for each in workers])


def _kill(
    run: Train, folder: Path, whole: Attempt, phase: str, rng: random.Random, tries: int
) -> Attempt | None:
    """Kill a training in a phase; None if it is over each time before the moment has come."""
    lengths = whole.lengths(phase)
    for number in range(tries):
        if number:
            shutil.rmtree(folder)
        entry = rng.randrange(len(lengths))
        delay = 0.0 if phase == "write" else lengths[entry] * rng.random()
        result = attempt(run, folder, Moment(phase, entry, delay))
        if result.killed:
            return result
    return None


def _circumstances(killed: Attempt, folder: Path) -> dict[str, Any]:
    phase, step, begun = killed.entries[-1]
    path = folder / CHECKPOINT
    return {
        "phase": phase,
        "done": step,
        "ms": round(1e3 * (killed.ended - begun), 1),
        "checkpoint": torch.load(path, weights_only=True)["step"] if path.is_file() else None,
        "unfinished": len(list(folder.glob(f"{TEMPORARY}*"))),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill small trainings of every system and of the command; write a table of what came of it."""
    parser = argparse.ArgumentParser(prog="python -m poselib.benchmarks.kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="folder of the table resume_kills.csv")
    chosen = parser.parse_args(arguments)
    # Processes are forked from one that has imported the library and computed nothing.
    multiprocessing.get_context("forkserver").set_forkserver_preload([train_tiny.__module__])
    with TemporaryDirectory() as folder:
        data = Path(folder, "data")
        write_scenes(data, SceneConfig(size=64, people=(1, 2)), 8, 0, COCO)
        trainings: dict[str, Train] = {
            name: partial(train_tiny, name=name, workers=2 * (number % 2))
            for number, name in enumerate(SYSTEMS)
        }
        trainings["command"] = partial(train_by_command, data=data)
        table = kill_trainings(trainings, chosen.kills, chosen.seed, Path(folder))
    say(table.to_string(index=False))
    outcome = (
        f"{int(table['equal'].sum())} of {len(table)} killed trainings equal the whole ones to the "
        f"bit; {int(table['workers'].sum())} of their processes outlived them by {_PATIENCE} s"
    )
    say(outcome)
    if chosen.out:
        command = f"{parser.prog} --kills {chosen.kills} --seed {chosen.seed}"
        params = {"command": command, "seed": chosen.seed, "machine": machine()}
        save_table(table, chosen.out / "resume_kills.csv", params, outcome=outcome)
    return 0 if bool(table["equal"].all()) and not table["workers"].any() else 1


if __name__ == "__main__":
    sys.exit(main())
