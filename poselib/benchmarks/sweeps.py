"""How much faster two workers execute a sweep than one, and what a notebook costs besides its work.

Example, on a machine that does nothing else::

    python -m poselib.benchmarks.sweeps --out figures
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from poselib.benchmarks.short_sweeps import write_sweep
from poselib.engine.timing import machine
from poselib.experiments.run_sweep import execute_runs
from poselib.experiments.runs import save_table
from poselib.experiments.sweep import plan, read_sweep
from poselib.ops.console import say

# What its processes execute: this table is as fresh as they are.
STARTS = (
    "poselib.experiments.run_sweep",
    "poselib.experiments.run_worker",
    "poselib.experiments.clusters",
    "poselib.experiments.kernels",
)
_STEPS = 10


def measure_sweep(folder: Path, workers: int, runs: int, work: int) -> dict[str, Any]:
    """Execute a sweep of equal runs that only compute, with one thread each, on own workers.

    Args:
        folder: receives it.
        work: summands of each of 10 steps of a run.

    Returns:
        ``workers``; number of ``runs``; ``seconds`` of all, and from the beginning of the first
        run, without the start of the workers; seconds of ``work`` in a run, the mean; and the
        ``overhead`` of a notebook: what a worker takes for one besides its work, the mean.

    Raises:
        RuntimeError: a run failed.
    """
    folder.mkdir()
    sweep = write_sweep(folder, [str(n) for n in range(runs)], steps=_STEPS, pause=0.0, work=work)
    begin = time.time()
    outcomes = execute_runs(plan(read_sweep(sweep), [0]), folder / "runs", workers)
    end = time.time()
    if faults := [outcome.error for outcome in outcomes if outcome.state != "done"]:
        raise RuntimeError(f"a run failed: {faults[0]}")
    files = (folder / "runs").glob("*/metrics.json")
    metrics = [json.loads(file.read_text()) for file in files]
    ends = [each["began"] + each["seconds"] for each in metrics]
    first, last = min(each["began"] for each in metrics), max(ends)
    worked = sum(each["seconds"] for each in metrics)
    # Between the first beginning and the last end each worker has one start of a kernel less.
    gaps = workers * (last - first) - worked
    return {
        "workers": workers,
        "runs": runs,
        "seconds": round(end - begin, 2),
        "seconds_after_start": round(last - first, 2),
        "work": round(worked / runs, 3),
        "overhead": round(gaps / (runs - workers), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one and two workers, and write a table."""
    parser = argparse.ArgumentParser(prog="python -m poselib.benchmarks.sweeps")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--work", type=int, default=25_000_000, help="of a step: about 0.6 s")
    parser.add_argument("--out", type=Path, help="folder of the table sweep_speed.csv")
    chosen = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    load = [round(each, 1) for each in os.getloadavg()]
    with TemporaryDirectory() as folder:
        rows = [
            measure_sweep(Path(folder, str(count)), count, chosen.runs, chosen.work)
            for count in (1, 2)
        ]
    table = pd.DataFrame(rows).assign(speedup=[1.0, rows[0]["seconds"] / rows[1]["seconds"]])
    say(table.round(2).to_string(index=False))
    outcome = (
        f"two workers are {table['speedup'].iloc[1]:.2f} times as fast as one; a notebook costs "
        f"{table['overhead'].max():.2f} s besides its work; the machine's load was {load[0]}"
    )
    say(outcome)
    if chosen.out:
        command = f"{parser.prog} --runs {chosen.runs} --work {chosen.work}"
        params = {"command": command, "machine": machine()}
        save_table(table.round(3), chosen.out / "sweep_speed.csv", params, outcome=outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
