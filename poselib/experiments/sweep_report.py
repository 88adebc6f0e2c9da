"""How the runs of a sweep ended: a table, each failure, and the commands for what is left."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from poselib.experiments.parameters import Scalar, display_path
from poselib.experiments.run_sweep import Outcome
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.sweep_progress import name_of
from poselib.wording import counted

# Metrics of a finished run in the report, as far as it has them.
_SHOWN = ("AP", "AP50", "AR", "pck_torso_total")


def outcome_table(outcomes: Sequence[Outcome], runs_dir: Path) -> pd.DataFrame:
    """Return one line for each run: its row and seed, metrics that it has, and how it ended."""
    lines = []
    for outcome in outcomes:
        record = outcome.run.record(runs_dir)
        metrics = record.metrics if record else {}
        lines.append(
            {
                "sweep": outcome.run.sweep,
                "row": outcome.run.row,
                "seed": outcome.run.seed,
                "run": record.id if record else outcome.run.run_id,
                **{name: metrics.get(name) for name in _SHOWN},
                "state": outcome.state,
            }
        )
    table = pd.DataFrame(lines).dropna(axis=1, how="all")
    return table.drop(columns="sweep") if table["sweep"].nunique() == 1 else table


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each failed run: which it is, its cell and error, and its log."""
    failed = {each.run.run_id: each for each in outcomes if each.state == "failed"}
    return [f"failed: {name_of(each.run)}: {each.error} ({each.log})" for each in failed.values()]


def report(outcomes: Sequence[Outcome], runs_dir: Path) -> str:
    """Return the table, the failures, and how many runs there are of each state."""
    table = outcome_table(outcomes, runs_dir)
    counts = Counter(each.state for each in {each.run.run_id: each for each in outcomes}.values())
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    shown = table.to_string(index=False, float_format="%.3f")
    return "\n".join([shown, *failures(outcomes), f"{counted(counts.total(), 'run')}: {states}"])


def sweep_commands(
    path: Path | str, runs: Sequence[PlannedRun], given: Mapping[str, Scalar], runs_dir: Path | str
) -> list[str]:
    """Return the commands that execute some runs of a sweep: one for the seeds of the same rows.

    Args:
        path: the sweep file.
        runs: planned from it; these are executed and no others.
        given: parameters that they were planned with beside those of the file.
        runs_dir: folder of all runs.
    """
    rows: dict[int, list[str]] = {}
    for run in runs:
        rows.setdefault(run.seed, []).append(run.row)
    alike: dict[tuple[str, ...], list[str]] = {}
    for seed, some in rows.items():
        alike.setdefault(tuple(some), []).append(str(seed))
    folder = display_path(runs_dir)
    shared = [word for name, value in given.items() for word in _option(name, value)]
    shared += ["--runs", folder] if folder != "runs" else []
    begin, end = ["poselib", "sweep", display_path(path)], ["--workers", "2"]
    return [
        shlex.join([*begin, *shared, "--seeds", *seeds, "--rows", *some, *end])
        for some, seeds in alike.items()
    ]


def _option(name: str, value: Scalar) -> tuple[str, ...]:
    return ("--preset", str(value)) if name == "preset" else ("-p", name, str(value))
