"""Run sweeps: execute a notebook many times, several processes at a time.

From a shell: ``python -m poselib.experiments.run_sweep notebooks/sweeps/NAME.json --seeds 0 1 2``.
Finished runs are not executed again, interrupted ones are resumed, and one failure does not stop
the others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from poselib.experiments.ablation import check_runs, read_ablation
from poselib.experiments.parameters import add_parameter_options, cli_parameters
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.ops.console import complain, say
from poselib.ops.io import read_json
from poselib.ops.processor import usable_cores

_DAY = 86400.0
# Metrics of a finished run in the report, as far as it has them.
_SHOWN = ("AP", "AP50", "AR", "pck_torso_total")


@dataclass(frozen=True)
class Outcome:
    """How a planned run ended.

    Attributes:
        run: the run.
        state: ``"done before"``, ``"done"`` or ``"failed"``.
        log: output of its process, or None if it did not have to run.
    """

    run: PlannedRun
    state: str
    log: Path | None


def execute_runs(
    runs: Sequence[PlannedRun],
    runs_dir: Path | str,
    workers: int = 1,
    folders: Mapping[str, str] | None = None,
    timeout: float = _DAY,
) -> list[Outcome]:
    """Execute planned runs, several at a time, and return how each ended, in the given order.

    Runs of equal id are executed once. The cores are divided among the processes.

    Args:
        runs_dir: receives the runs; executed notebooks and logs go to ``notebooks`` in it.
        folders: further parameters of every run that do not change its results, as ``device``.
        timeout: seconds that one cell may take.

    Raises:
        ValueError: ``workers`` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    runs_dir = Path(runs_dir).resolve()
    once = {run.run_id: run for run in runs}
    waiting = [run for run in once.values() if run.record(runs_dir) is None]
    outcomes = {run.run_id: Outcome(run, "done before", None) for run in once.values()}
    environment = _environment(min(workers, len(waiting) or 1))
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(once), initial=len(once) - len(waiting), desc="runs", unit="run") as bar,
    ):
        started = [
            pool.submit(_execute, run, runs_dir, dict(folders or {}), timeout, environment)
            for run in waiting
        ]
        try:
            for future in as_completed(started):
                outcome = future.result()
                outcomes[outcome.run.run_id] = outcome
                bar.update()
        except BaseException:
            # Runs that have not begun must not begin; those that have get the same Ctrl-C.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [outcomes[run.run_id] for run in runs]


def log_of(run: PlannedRun, runs_dir: Path) -> Path:
    """Return the file to which the process of a run writes."""
    return runs_dir / "notebooks" / f"{run.run_id}.log"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sweeps from the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        runs = [run for path in options.sweeps for run in _plans(path, options)]
        given = {"device": options.device} if options.device else {}
        outcomes = execute_runs(runs, options.runs, options.workers, given, options.timeout)
    except (ValueError, OSError) as error:
        complain(f"{error}")
        return 1
    _report(outcomes, options.runs)
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def _plans(path: Path, options: argparse.Namespace) -> list[PlannedRun]:
    sweep = read_sweep(path)
    runs = plan(sweep, options.seeds, cli_parameters(sweep.notebook, options), options.rows)
    if "ablation" in read_json(path):
        # A fault of it must not wait until everything is trained.
        check_runs(path, read_ablation(path), runs)
    return runs


def _report(outcomes: Sequence[Outcome], runs_dir: Path) -> None:
    lines = []
    for outcome in outcomes:
        record = outcome.run.record(runs_dir)
        metrics = record.metrics if record else {}
        lines.append(
            {
                "row": outcome.run.row,
                "seed": outcome.run.seed,
                "run": record.id if record else outcome.run.run_id,
                **{name: metrics.get(name) for name in _SHOWN},
                "state": outcome.state,
            }
        )
    table = pd.DataFrame(lines).dropna(axis=1, how="all").drop_duplicates()
    say(table.to_string(index=False, float_format="%.3f"))
    for outcome in outcomes:
        if outcome.state == "failed":
            say(f"failed: {outcome.run.row}, seed {outcome.run.seed}: {outcome.log}")


def _execute(
    run: PlannedRun,
    runs_dir: Path,
    folders: Mapping[str, str],
    timeout: float,
    environment: Mapping[str, str],
) -> Outcome:
    if run.record(runs_dir) is not None:  # made by another process in the meantime
        return Outcome(run, "done before", None)
    log = log_of(run, runs_dir)
    log.parent.mkdir(parents=True, exist_ok=True)
    values = {**run.parameters, **folders, "runs_dir": str(runs_dir), "run_id": run.run_id}
    given = [text for key, value in values.items() for text in ("-p", key, str(value))]
    command = [sys.executable, "-m", "poselib.experiments.notebooks", str(run.notebook), *given]
    command += ["--output", str(log.parent), "--timeout", str(timeout)]
    with log.open("ab") as output:
        status = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, env=dict(environment), check=False
        ).returncode
    # A notebook may end without an error and without a finished run: that is a failure too.
    good = status == 0 and run.record(runs_dir) is not None
    return Outcome(run, "done" if good else "failed", log)


def _environment(workers: int) -> dict[str, str]:
    """Return this process's environment with the cores divided among the workers."""
    threads = max(1, usable_cores() // workers)
    return {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m poselib.experiments.run_sweep")
    parser.add_argument("sweeps", type=Path, nargs="+", help="sweep files, as notebooks/sweeps/*")
    add_parameter_options(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", help="only these rows")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side")
    parser.add_argument("--device", help="where to train: cpu, cuda or auto")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=_DAY, help="seconds for one cell")
    return parser


if __name__ == "__main__":
    sys.exit(main())
