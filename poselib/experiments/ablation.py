"""Ablation studies: what their files declare, and what their trained runs hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.engine.trainer import METRICS
from poselib.experiments.ablation_checks import check_ablation
from poselib.experiments.parameters import Scalar, notebook_parameters, parse_options
from poselib.experiments.runs import RunRecord
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.experiments.sweep_checks import check_parameters_of_sweep
from poselib.ops.field_types import check_field_types
from poselib.ops.io import is_finite, read_json, visible_files
from poselib.papers.published import published_table
from poselib.systems import OptionValue, check_options
from poselib.wording import shown

_END = 0.1  # of the steps, over which the final loss is averaged


# What all rows of a study have in common: they are tested on the same images.
_SHARED = ("dataset", "system", "skeleton", "size")
_REQUIRED = ("claim", "baseline", "metrics")


def _no_changes() -> dict[str, dict[str, OptionValue]]:
    return {"default": {}}


@dataclass(frozen=True)
class Ablation:
    """How the rows of a sweep are evaluated and shown: the object ``ablation`` of a sweep file.

    A file must say ``claim``, ``baseline`` and ``metrics``.

    Attributes:
        claim: Markdown: what the paper claims.
        title: Markdown: what is compared; by default what the sweep is ``about``.
        setup: Markdown: what the rows are.
        paper: short name of the paper; empty if it is none of the library's.
        table: its published table, as ``published_table`` has it; empty if there is none.
        published: columns of that table that have panels.
        published_values: published numbers where there is no table: by panel and line.
        published_on: data of the published numbers.
        decodings: decoding options, by name; by default one that changes nothing. Each row is shown
            with the first of them; a sweep of one row is shown with all.
        renew: test video networks as they are trained: starting anew after as many frames as
            their clips have, instead of keeping their state throughout a video.
        lines: further lines of the table: label, then row and decoding.
        baseline: line whose differences to the others are the gains.
        metrics: columns of the table.
        outcome: metrics whose gains are reported in words; by default the first.
        figure: heading of the figure, by default ``title``; without panels there is none.
        panels: headings of the figure's panels, by metric, by default of each of ``metrics``;
            ``<metric>_gain`` shows a gain.
        smoke: rows that the preset smoke trains.
        timed_images: images on which a network of each row is timed; 0 for no timing.
        loss: the training loss to plot: ``term`` of ``metrics.jsonl``, ``column`` for its final
            value, ``compared`` (two rows), ``panels``, ``heading`` and ``figure``.
        within: comparison of the decodings of one network: ``name`` of its table, ``baseline``,
            ``text``, and the heading of a ``figure`` if there is to be one.
    """

    claim: str
    baseline: str
    metrics: Sequence[str]
    outcome: Sequence[str]
    title: str
    figure: str
    panels: Mapping[str, str]
    setup: str = ""
    paper: str = ""
    decodings: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=_no_changes)
    renew: bool = False
    table: str = ""
    published: tuple[str, ...] = ()
    published_values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published_on: str = ""
    lines: Mapping[str, tuple[str, str]] = field(default_factory=dict)
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

    def lines_of(self, rows: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return row and decoding of each line of the table, by its label."""
        if len(rows) == 1:
            return {name: (rows[0], name) for name in self.decodings}
        first = next(iter(self.decodings))
        further = {label: (row, name) for label, (row, name) in self.lines.items()}
        return {**{row: (row, first) for row in rows}, **further}


def read_ablation(path: Path | str) -> Ablation:
    """Read the object ``ablation`` of a sweep file.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it has no such object, a field is unknown, missing or of another type, or names
            what is unknown: see ``check_ablation``.
    """
    whole = read_json(Path(path))
    content = whole.get("ablation")
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object named 'ablation'")
    known = [each.name for each in fields(Ablation)]
    if unknown := sorted(set(content) - set(known)):
        raise ValueError(f"{path}: ablation: unknown fields {shown(unknown)}; known: {known}")
    for name in _REQUIRED:
        if not content.get(name):
            raise ValueError(f"{path}: ablation: missing {name!r}, or it is empty")
    try:
        check_field_types(Ablation, content)
    except ValueError as error:
        raise ValueError(f"{path}: ablation: {error}") from error
    metrics, title = content["metrics"], content.get("title", whole.get("about", ""))
    panels = content.get("panels", {name: name for name in metrics})
    defaults = {"title": title, "outcome": metrics[:1], "panels": panels}
    ablation = Ablation(**{**defaults, "figure": title if panels else "", **content})
    try:
        check_ablation(ablation, list(whole.get("rows", ())))
    except ValueError as error:
        raise ValueError(f"{path}: ablation: {error}") from error
    return ablation


def check_runs(
    path: Path | str, ablation: Ablation, runs: Sequence[PlannedRun]
) -> dict[str, Scalar]:
    """Return what rows must have in common: ``dataset``, ``system``, ``skeleton`` and ``size``.

    Raises:
        ValueError: rows differ in one of them, or the system has no such option of a row or a
            decoding, or one of another type.
    """
    shared = {name: _shared(path, runs, name) for name in _SHARED}
    given = {run.row: parse_options(str(run.parameters.get("options", ""))) for run in runs}
    for name, options in (*given.items(), *ablation.decodings.items()):
        try:
            check_options(str(shared["system"]), options)
        except ValueError as error:
            raise ValueError(f"{path}: {name!r}: {error}") from error
    return shared


def study_runs(
    path: Path | str,
    preset: str,
    seeds: str,
    *,
    steps: int = 0,
    rows: Sequence[str] | None = None,
) -> tuple[PlannedRun, ...]:
    """Plan the runs of an ablation as ``open_study`` does; nothing is opened.

    Args:
        rows: those to plan; by default all that the preset takes.

    Raises:
        FileNotFoundError, ValueError: as ``open_study``.
    """
    parts = seeds.split()
    if not parts or not all(part.isdecimal() for part in parts):
        raise ValueError(f"seeds must be whole numbers, as '0 1 2', not {seeds!r}")
    smoke, numbers = preset == "smoke", [int(part) for part in parts]
    if rows is None and smoke:
        rows = list(read_ablation(path).smoke) or None
    sweep, common = read_sweep(path), given_parameters(preset, steps)
    check_parameters_of_sweep(sweep)
    return tuple(plan(sweep, numbers[:1] if smoke else numbers, common, rows))


def given_parameters(preset: str, steps: int = 0) -> dict[str, Scalar]:
    """Return the parameters that the runs of an ablation are given: steps only if there are any.

    A sweep may have steps of its own.
    """
    return {"preset": preset, **({"steps": steps} if steps else {})}


def _shared(path: Path | str, runs: Sequence[PlannedRun], name: str) -> Scalar:
    defaults = notebook_parameters(runs[0].notebook)
    values = {run.parameters.get(name, defaults.get(name)) for run in runs}
    if len(values) > 1:
        raise ValueError(f"{path}: rows differ in {name}: {sorted(map(str, values))}")
    return values.pop()


def trained_file(record: RunRecord) -> Path:
    """Return the trained system of a finished run.

    Raises:
        FileNotFoundError: its folder holds no trained system or several.
    """
    files = visible_files(record.folder, "*.safetensors")
    if len(files) != 1:
        raise FileNotFoundError(
            f"{record.folder} holds {len(files)} .safetensors files, expected one"
        )
    return files[0]


def training_losses(finished: Sequence[tuple[PlannedRun, RunRecord]], term: str) -> pd.DataFrame:
    """Return a term of the training loss of finished runs, as it was logged.

    Args:
        finished: one run or more, with their records.
        term: its name in ``metrics.jsonl``, such as ``"offset"``, or ``"loss"``, their sum.

    Returns:
        One line per run and logged step, of long trainings per some steps: ``row``, ``seed``,
        ``run``, ``step`` and ``loss``: the term of that step's batch times its weight.

    Raises:
        ValueError: a run has no such term, and the message lists those that it has; or what it
            logged is no number.
    """
    parts = []
    for run, record in finished:
        lines = pd.DataFrame(record.losses)
        if term not in lines:
            known = sorted({*lines} - {"step"})
            raise ValueError(
                f"run {record.folder} has no term {term!r} of the loss; it has {known}"
            )
        noted = lines.dropna(subset=[term])
        if odd := [value for value in noted[term] if not is_finite(value)]:
            raise ValueError(
                f"{record.folder / METRICS}: {term}: expected finite numbers, found {shown(odd[0])}"
            )
        named = {"row": run.row, "seed": run.seed, "run": record.id}
        parts.append(pd.DataFrame({**named, "step": noted["step"], "loss": noted[term]}))
    return pd.concat(parts, ignore_index=True)


def final_losses(losses: pd.DataFrame) -> pd.Series:
    """Return the mean loss of each run over the last tenth of its steps.

    Returns:
        One number per run, indexed by its id.
    """
    last = losses.groupby("run")["step"].transform("max")
    ending = losses[losses["step"] > (1 - _END) * last]
    return ending.groupby("run")["loss"].mean()
