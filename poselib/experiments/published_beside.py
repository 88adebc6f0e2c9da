"""The published numbers that stand beside a run: those of its system's paper on its dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from poselib.experiments.run_table import numbers_of
from poselib.papers.catalog import PAPERS
from poselib.papers.comparison_table import METRICS, ComparisonTable
from poselib.systems.published import PUBLISHED


@dataclass(frozen=True)
class PublishedBeside:
    """A table of a paper and the row that a run would have in it.

    Attributes:
        heading: the paper and the table.
        published: one row per method, one column per metric; AP and PCK in percent.
        measured: the run's row, by its name; empty columns are not measured.
        published_on, measured_on: on which images, in words.
        comparable: whether these are the same images.
    """

    heading: str
    published: pd.DataFrame
    measured: pd.DataFrame
    published_on: str
    measured_on: str
    comparable: bool


def published_beside(
    name: str, system: str, dataset: str, metrics: Mapping[str, Any]
) -> list[PublishedBeside]:
    """Return the tables of a system's paper on a dataset, or on the one it stands for.

    On other images they are all the tables whose metrics the run has: not to be compared with.

    Args:
        name: of the run's row.
        dataset: by its name; synthetic ones stand in for the real ones that a paper tests on.
        metrics: of the run.
    """
    tables = PAPERS[system].tables if system in PAPERS else ()
    every = [_beside(name, table, dataset, metrics) for table in tables]
    pairs = list(zip(tables, every, strict=True))
    on = [each for table, each in pairs if dataset in (*table.dataset.split(), table.synthetic)]
    return on or [each for each in every if each.measured.notna().any(axis=None)]


def published_of_model(model: str) -> str:
    """Return the published AP of weights that are known by name, in words; empty for others."""
    entry = PUBLISHED.get(model)
    if entry is None or entry.ap is None:
        return ""
    setting = f", {entry.setting}" if entry.setting else ""
    return f"{model}, published: AP {entry.ap:.1f} on {entry.data}{setting}"


def _beside(
    name: str, table: ComparisonTable, dataset: str, metrics: Mapping[str, Any]
) -> PublishedBeside:
    real = dataset in table.dataset.split()
    numbers, keys = numbers_of(metrics), METRICS[table.protocol]
    row = {
        metric: 100 * numbers[keys[metric]] for metric in table.metrics if keys[metric] in numbers
    }
    stated = metrics.get("measured_on") or dataset or "other images"
    measured = pd.DataFrame([row], [name], columns=table.metrics, dtype=float)
    return PublishedBeside(
        heading=f"{PAPERS[table.paper].title}, Table {table.number}",
        published=table.published[table.metrics],
        measured=measured,
        published_on=table.about,
        measured_on=str(stated) if real else f"{stated}, not the published images",
        comparable=real,
    )
