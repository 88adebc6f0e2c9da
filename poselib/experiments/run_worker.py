"""One run of a sweep, as a worker executes it: alone, once, and with its end in words."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from poselib.experiments.notebooks import NotebookError, run_notebook
from poselib.experiments.reused_weights import take_up_weights
from poselib.experiments.sweep import PlannedRun

_DEVICES = "CUDA_VISIBLE_DEVICES"
_ONE_AT_A_TIME = threading.Lock()  # also where a worker was started with more threads


@dataclass(frozen=True)
class Ended:
    """How the execution of a run ended.

    Attributes:
        state: ``"done before"``, ``"done"`` or ``"failed"``.
        error: of a failed one, its cell and what was raised, in one line.
    """

    state: str
    error: str = ""


def log_of(run: PlannedRun, runs_dir: Path) -> Path:
    """Return the file to which the process of a run writes."""
    return runs_dir / "notebooks" / f"{run.run_id}.log"


def execute_run(
    run: PlannedRun,
    runs_dir: Path,
    folders: Mapping[str, str],
    timeout: float,
    threads: int | None = None,
    gpus: Sequence[str] = (),
    weights: str = "",
) -> Ended:
    """Execute a run in a kernel of its own, unless it is finished.

    If another process executes it, as one whose sweep was killed a moment ago, this one waits for
    its end first. A cell that raises is no exception here: it would raise again.

    Args:
        runs_dir: receives the run; its executed notebook and log go to ``notebooks`` in it.
        folders: further parameters, which do not change its results.
        timeout: seconds that one cell may take.
        threads: of the run; by default what the environment of the worker says.
        gpus: of this machine, as ``CUDA_VISIBLE_DEVICES`` names them: the worker takes one.
        weights: ``reused_weights.weights_basis`` of the run; empty to train in any case.
    """
    log = log_of(run, runs_dir)
    log.parent.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME, log.open("a") as output, _alone(output):
        if run.record(runs_dir) is not None:
            return Ended("done before")
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(threads)
        if gpus:
            os.environ[_DEVICES] = _mine(gpus)
        values = {**run.parameters, **folders, "runs_dir": str(runs_dir), "run_id": run.run_id}
        _take_up(run, runs_dir, weights, output)
        try:
            run_notebook(run.notebook, log.parent, values, timeout, stream=output, name=run.run_id)
        except (NotebookError, ValueError, OSError) as error:
            output.write(f"{error}\n")
            return Ended("failed", error.line if isinstance(error, NotebookError) else str(error))
    if run.record(runs_dir) is None:
        return Ended("failed", "the notebook ended without an error, and the run is not finished")
    return Ended("done")


def _take_up(run: PlannedRun, runs_dir: Path, weights: str, log: TextIO) -> None:
    """Take up weights of an earlier run if there are any; a fault only costs a training."""
    try:
        if earlier := take_up_weights(run, runs_dir, weights):
            log.write(f"{run.run_id}: evaluates again what {earlier.id} trained\n")
    except (OSError, ValueError) as error:
        log.write(f"{run.run_id}: is trained, as weights could not be taken up: {error}\n")


def dask_setup(worker: object) -> None:
    """Leave interrupts to the sweep: a terminal sends Ctrl-C to its workers as well.

    Dask calls this where a worker of this machine begins.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda number, frame: None)


def end_runs(run_ids: Sequence[str]) -> None:
    """End the kernel of this worker at once, if it executes one of some runs."""
    from poselib.experiments.kernels import ThisInterpreter

    if ThisInterpreter.copy.name.partition(".")[0] in run_ids and ThisInterpreter.process:
        with suppress(ProcessLookupError):
            os.kill(ThisInterpreter.process, getattr(signal, "SIGKILL", signal.SIGTERM))


def _mine(gpus: Sequence[str]) -> str:
    from distributed import get_worker

    return gpus[int(get_worker().name) % len(gpus)]


@contextmanager
def _alone(log: TextIO) -> Iterator[None]:
    """Hold the log, which the kernel inherits: whoever waits for it waits for the kernel too.

    File systems and systems that cannot lock files do without.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with suppress(OSError):
        fcntl.flock(log, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(log, fcntl.LOCK_UN)
