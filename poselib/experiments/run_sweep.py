"""Execution of planned runs on workers, several at a time, each once.

Finished runs are not executed again, interrupted ones are resumed, and one failure does not stop
the others.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselib.experiments.clusters import Cluster, open_cluster
from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.reused_weights import weights_basis
from poselib.experiments.run_worker import Ended, end_runs, execute_run
from poselib.experiments.run_worker import log_of as log_of
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.sweep_progress import SweepProgress, open_screen

if TYPE_CHECKING:
    from distributed import Future

DAY = 86400.0
_LOOK = 1.0  # seconds between two looks at the runs


@dataclass(frozen=True)
class Outcome:
    """How a planned run ended.

    Attributes:
        run: the run.
        state: ``"done before"``, ``"done"`` or ``"failed"``.
        log: output of its process, or None if it did not have to run.
        error: of a failed run, its cell and what was raised, in one line.
    """

    run: PlannedRun
    state: str
    log: Path | None
    error: str = ""


def execute_runs(
    runs: Sequence[PlannedRun],
    runs_dir: Path | str,
    workers: int = 1,
    folders: Mapping[str, str] | None = None,
    timeout: float = DAY,
    scheduler: str | None = None,
    on_end: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Execute planned runs, several at a time, and return how each ended, in the given order.

    Runs of equal id are executed once. Each has a kernel of its own in a worker of its own: one of
    ``workers`` processes of this machine, among which the cores are divided, or one of a Dask
    scheduler, which must see the same files. A run whose worker is killed begins again on another.

    Args:
        runs_dir: receives the runs; executed notebooks and logs go to ``notebooks`` in it.
        folders: further parameters of every run that do not change its results, as ``device``.
        timeout: seconds that one cell may take.
        scheduler: its address, as ``"tcp://node1:8786"``, or the file that it wrote with
            ``--scheduler-file``; ``workers`` does not count then.
        on_end: receives each run that is executed here, as it ends.

    Raises:
        ValueError: ``workers`` is below 1, or there is no scheduler or GPU where one is wanted.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout}")
    runs_dir = Path(runs_dir).resolve()
    once = {run.run_id: run for run in runs}
    waiting = [run for run in once.values() if run.record(runs_dir) is None]
    outcomes = {run.run_id: Outcome(run, "done before", None) for run in once.values()}
    if waiting:
        given = dict(folders or {})
        count = min(workers, len(waiting))
        with (
            open_cluster(count, _device(waiting[0], given), scheduler) as cluster,
            open_screen() as screen,
        ):
            progress = SweepProgress(len(once), len(once) - len(waiting), runs_dir, screen)
            sweep = _Sweep(cluster, runs_dir, given, timeout, progress)
            with closing(sweep.execute(waiting)) as ends:
                for run, ended in ends:
                    outcome = _outcome(run, ended, runs_dir)
                    outcomes[run.run_id] = outcome
                    if on_end is not None:
                        on_end(outcome)
    return [outcomes[run.run_id] for run in runs]


def _outcome(run: PlannedRun, ended: Ended, runs_dir: Path) -> Outcome:
    log = None if ended.state == "done before" else log_of(run, runs_dir)
    return Outcome(run, ended.state, log, ended.error)


@dataclass
class _Sweep:
    """Runs on their way.

    Workers get one run each and the next when it has ended: were more handed to one, its end
    would count against runs that it never began.
    """

    cluster: Cluster
    runs_dir: Path
    folders: Mapping[str, str]
    timeout: float
    progress: SweepProgress
    running: dict[Future, PlannedRun] = field(default_factory=dict)
    moved: threading.Event = field(default_factory=threading.Event)

    def execute(self, runs: Sequence[PlannedRun]) -> Generator[tuple[PlannedRun, Ended]]:
        """Yield each run as it ends."""
        waiting = deque(runs)
        try:
            while waiting or self.running:
                places = self.cluster.places()
                while waiting and len(self.running) < places and not self.cluster.lost:
                    self._begin(waiting.popleft())
                self.progress.show(len(waiting), places)
                self.moved.wait(_LOOK)
                self.moved.clear()
                for future in [each for each in self.running if each.done()]:
                    run, ended = self.running.pop(future), _ended(future)
                    future.release()
                    self.progress.ended(run, ended.state, ended.error)
                    yield run, ended
                while waiting and self.cluster.lost and not self.running:
                    yield waiting.popleft(), Ended("failed", "not begun: the scheduler is gone")
            self.progress.show(0, 0)
        finally:
            self._end_all()

    def _begin(self, run: PlannedRun) -> None:
        future = self.cluster.client.submit(
            execute_run,
            run,
            self.runs_dir,
            self.folders,
            self.timeout,
            self.cluster.threads,
            self.cluster.gpus,
            weights_basis(run),
            key=f"{run.run_id}-{secrets.token_hex(4)}",
            pure=False,
            retries=0,  # what a cell raises it would raise again
            resources=dict(self.cluster.resources),
        )
        future.add_done_callback(lambda _: self.moved.set())
        self.running[future] = run
        self.progress.began(run)

    def _end_all(self) -> None:
        """End what is still running, as after an interrupt, with its kernels."""
        if self.running and not self.cluster.lost:
            ids = [run.run_id for run in self.running.values()]
            with suppress(Exception):
                self.cluster.client.cancel(list(self.running), force=True)
                self.cluster.client.run(end_runs, ids)


def _ended(future: Future) -> Ended:
    """Return how a run ended, whatever became of its worker."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    if future.status != "error":
        return Ended("failed", "cancelled: the scheduler is gone, or another process cancelled it")
    error: Any = future.exception()
    if isinstance(error, KilledWorker):
        return Ended("failed", f"its worker was killed, {error.allowed_failures + 1} times")
    return Ended("failed", f"{type(error).__name__}: {error}")


def _device(run: PlannedRun, folders: Mapping[str, str]) -> str:
    """Return the device that runs are told, or that their notebook chooses."""
    return str({**notebook_parameters(run.notebook), **run.parameters, **folders}.get("device", ""))
