"""Ablation studies: what their files declare, and what their trained runs hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import read_json
from poselib.papers.catalog import get_paper
from poselib.papers.published import published_table
from poselib.systems import OptionValue

_END = 0.1  # of the steps, over which the final loss is averaged


@dataclass(frozen=True)
class Ablation:
    """How the rows of a sweep are evaluated and shown: the object ``ablation`` of a sweep file.

    Attributes:
        title, claim, setup: Markdown: what is compared, what the paper claims, what the rows are.
        paper: short name of the paper.
        table: its published table, as ``published_table`` has it; empty if there is none.
        published: columns of that table that have panels.
        published_values: published numbers where there is no table: by panel and line.
        published_on: data of the published numbers.
        decodings: decoding options, by name. Each row is shown with the first of them; a sweep of
            one row is shown with all.
        lines: further lines of the table: label, then row and decoding.
        baseline: line whose differences to the others are the gains.
        metrics: columns of the table.
        outcome: metrics whose gains are reported in words.
        figure: heading of the figure; without panels there is none.
        panels: headings of the figure's panels, by metric; ``<metric>_gain`` shows a gain.
        smoke: rows that the preset smoke trains.
        timed_images: images on which a network of each row is timed; 0 for no timing.
        loss: the training loss to plot: ``term`` of ``metrics.jsonl``, ``column`` for its final
            value, ``compared`` (two rows), ``panels``, ``heading`` and ``figure``.
        within: comparison of the decodings of one network: ``name`` of its table, ``baseline`` and
            ``text``.
    """

    title: str
    claim: str
    setup: str
    paper: str
    baseline: str
    decodings: Mapping[str, Mapping[str, OptionValue]]
    metrics: tuple[str, ...]
    outcome: tuple[str, ...]
    table: str = ""
    published: tuple[str, ...] = ()
    published_values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published_on: str = ""
    lines: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    figure: str = ""
    panels: Mapping[str, str] = field(default_factory=dict)
    smoke: tuple[str, ...] = ()
    timed_images: int = 0
    loss: Mapping[str, Any] = field(default_factory=dict)
    within: Mapping[str, str] = field(default_factory=dict)

    @property
    def published_numbers(self) -> pd.DataFrame:
        """Published numbers of the panels, one line per row; empty if there are none."""
        if self.table:
            return published_table(self.paper, self.table)[list(self.published)]
        return pd.DataFrame(self.published_values)


def read_ablation(path: Path | str) -> Ablation:
    """Read the object ``ablation`` of a sweep file.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it has no such object, a field is unknown or missing, or the paper is unknown.
    """
    content = read_json(Path(path)).get("ablation")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object named 'ablation'")
    known = {each.name for each in fields(Ablation)}
    if unknown := sorted(set(content) - known):
        raise ValueError(f"{path}: ablation: unknown fields {unknown}; known: {sorted(known)}")
    try:
        ablation = Ablation(**content)
    except TypeError as error:
        raise ValueError(f"{path}: ablation: {error}") from error
    get_paper(ablation.paper)
    return ablation


def trained_file(run: PlannedRun, runs_dir: Path | str) -> Path:
    """Return the trained system of a finished run.

    Raises:
        FileNotFoundError: the run is not finished, or its folder holds no trained system or
            several.
    """
    record = run.record(runs_dir)
    if record is None:
        raise FileNotFoundError(f"run {Path(runs_dir) / run.run_id} is not finished")
    files = sorted(record.folder.glob("*.safetensors"))
    if len(files) != 1:
        raise FileNotFoundError(
            f"{record.folder} holds {len(files)} .safetensors files, expected one"
        )
    return files[0]


def training_losses(runs: Sequence[PlannedRun], runs_dir: Path | str, term: str) -> pd.DataFrame:
    """Return a term of the training loss of every finished run, as it was logged.

    Args:
        runs: planned; those that are not finished are left out.
        runs_dir: folder of all runs.
        term: its name in ``metrics.jsonl``, such as ``"offset"``, or ``"loss"``, their sum.

    Returns:
        One line per run and logged step: ``row``, ``seed``, ``run``, ``step`` and ``loss``: the
        term of that step's batch times its weight.

    Raises:
        FileNotFoundError: no run is finished.
        ValueError: a run has no such term; the message lists those that it has.
    """
    parts = []
    for run in runs:
        if (record := run.record(runs_dir)) is None:
            continue
        # Lines without a loss are validations.
        lines = [line for line in record.history if "loss" in line]
        noted = [
            (run.row, run.seed, record.id, line["step"], line[term])
            for line in lines
            if term in line
        ]
        if not noted:
            known = sorted(set().union(*lines) - {"step", "seconds", "lr"})
            raise ValueError(
                f"run {record.folder} has no term {term!r} of the loss; it has {known}"
            )
        parts.append(pd.DataFrame(noted, columns=["row", "seed", "run", "step", "loss"]))
    if not parts:
        raise FileNotFoundError(f"none of the {len(runs)} runs is finished in {runs_dir}")
    return pd.concat(parts, ignore_index=True)


def final_losses(losses: pd.DataFrame) -> pd.Series:
    """Return the mean loss of each run over the last tenth of its steps.

    Args:
        losses: of ``training_losses``.

    Returns:
        One number per run, indexed by its id.
    """
    last = losses.groupby("run")["step"].transform("max")
    ending = losses[losses["step"] > (1 - _END) * last]
    return ending.groupby("run")["loss"].mean()
