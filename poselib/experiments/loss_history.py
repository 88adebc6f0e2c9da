"""A term of the loss over the steps of trainings, from what their runs have written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from poselib.experiments.sweep import PlannedRun

_END = 0.1  # of the steps


def training_losses(runs: Sequence[PlannedRun], runs_dir: Path | str, term: str) -> pd.DataFrame:
    """Return a term of the training loss of every finished run, as it was written down.

    Args:
        runs: planned; those that are not finished do not count.
        runs_dir: folder of all runs.
        term: its name in ``metrics.jsonl``, such as ``"offset"``, or ``"loss"``, their sum.

    Returns:
        One line a run and noted step: ``row``, ``seed``, ``run``, ``step`` and ``loss``: of the one
        batch of that step, times the weight of the term.

    Raises:
        FileNotFoundError: no run is finished.
        ValueError: a run has no such term; the message tells those that it has.
    """
    parts = [part for run in runs if (part := _noted(run, runs_dir, term)) is not None]
    if not parts:
        raise FileNotFoundError(f"none of the {len(runs)} runs is finished in {runs_dir}")
    return pd.concat(parts, ignore_index=True)


def final_losses(losses: pd.DataFrame) -> pd.Series:
    """Return the mean loss of each run over the last tenth of its steps.

    Args:
        losses: of ``training_losses``.

    Returns:
        One number a run, indexed by its id.
    """
    last = losses.groupby("run")["step"].transform("max")
    ending = losses[losses["step"] > (1 - _END) * last]
    return ending.groupby("run")["loss"].mean()


def _noted(run: PlannedRun, runs_dir: Path | str, term: str) -> pd.DataFrame | None:
    record = run.record(runs_dir)
    if record is None:
        return None
    # Lines without a loss are validations.
    lines = [line for line in record.history if "loss" in line]
    noted = [(line["step"], line[term]) for line in lines if term in line]
    if not noted:
        known = sorted(set().union(*lines) - {"step", "seconds", "lr"})
        raise ValueError(f"run {record.folder} has no term {term!r} of the loss; it has {known}")
    table = pd.DataFrame(noted, columns=["step", "loss"])
    return table.assign(row=run.row, seed=run.seed, run=run.run_id)[
        ["row", "seed", "run", "step", "loss"]
    ]
