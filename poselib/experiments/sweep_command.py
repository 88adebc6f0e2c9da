"""Options of the command that executes the runs of sweeps."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselib.experiments.sweep import PlannedRun

SUMMARY = "run every row of an ablation with every seed, several at a time"
DESCRIPTION = """Run every row of ablations, files such as notebooks/sweeps/*.json, with every seed.

Finished runs are skipped, interrupted ones go on, and one that fails stops no other: the same
command does what is left. It ends with a table, and with status 1 if any run failed.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    from poselib.experiments.parameters import add_parameter_options

    add("sweeps", type=Path, nargs="+", metavar="FILE", help="notebooks/sweeps/*.json")
    add_parameter_options(add)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    add("--rows", nargs="+", metavar="ROW", help="only these rows")
    add("--workers", type=int, default=1, metavar="N", help="processes side by side; default: 1")
    text = "use the workers of this Dask scheduler, as tcp://node1:8786 or its file, instead"
    add("--scheduler", metavar="ADDRESS", help=text)
    add("--device", help="where to train: cpu, cuda or auto; of GPUs each run has one")
    add("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="default: runs")
    text = "keep each finished run in runs of this folder, usually figures: a small file each"
    add("--keep", type=Path, metavar="FOLDER", help=text)
    text = "that one cell may take; default: a day"
    add("--timeout", type=float, default=86400.0, metavar="SECONDS", help=text)


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """Execute the runs; return how they ended, and 1 as the status if any failed."""
    from poselib.experiments.run_sweep import execute_runs
    from poselib.experiments.sweep import check_unique
    from poselib.experiments.sweep_checks import check_runs_can_begin
    from poselib.experiments.sweep_report import report
    from poselib.ops.io import check_output

    check_unique("sweep files", [path.resolve() for path in arguments.sweeps])
    check_output(arguments.runs, folder=True)
    runs = [each for path in arguments.sweeps for each in _plans(path, arguments)]
    left = [run for run in runs if run.record(arguments.runs) is None]
    check_runs_can_begin(left, arguments.device or "", elsewhere=bool(arguments.scheduler))
    keep = None
    if arguments.keep:
        check_output(arguments.keep, folder=True)
        keep = partial(_keep, runs_dir=arguments.runs, folder=arguments.keep)
        for each in runs:
            keep(each)
    outcomes = execute_runs(
        runs,
        arguments.runs,
        arguments.workers,
        {"device": arguments.device} if arguments.device else {},
        arguments.timeout,
        arguments.scheduler,
        on_end=(lambda outcome: keep(outcome.run)) if keep else None,
    )
    failed = any(outcome.state == "failed" for outcome in outcomes)
    return report(outcomes, arguments.runs), int(failed)


def _keep(run: PlannedRun, runs_dir: Path, folder: Path) -> None:
    """Keep a run that is finished; the numbers of the preset smoke mean nothing."""
    from poselib.experiments.kept_runs import keep_run

    record = run.record(runs_dir)
    if record is not None and record.params.get("preset") != "smoke":
        keep_run(record, folder)


def _plans(path: Path, arguments: argparse.Namespace) -> list[PlannedRun]:
    from poselib.experiments.parameters import cli_parameters
    from poselib.experiments.sweep import plan, read_sweep
    from poselib.experiments.sweep_checks import check_parameters_of_sweep, shadowed
    from poselib.ops.console import complain
    from poselib.ops.io import read_json

    sweep = read_sweep(path)
    given = cli_parameters(sweep.notebook, arguments)
    check_parameters_of_sweep(sweep, given)
    runs = plan(sweep, arguments.seeds, given, arguments.rows)
    for sentence in shadowed(sweep, given, arguments.rows or list(sweep.rows)):
        complain(sentence)
    if "ablation" in read_json(path):
        from poselib.experiments.ablation import check_runs, read_ablation

        # A fault of it must not wait until everything is trained.
        check_runs(path, read_ablation(path), runs)
    return runs
