"""Pages of runs and of images, filled into tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.analysis.image_errors import KINDS
from poselib.experiments.run_table import FIRST, RunTable, text_of
from poselib.experiments.runs import RunRecord
from poselib.widgets.table import Table
from poselib.wording import counted

ROWS = 8  # of a page
_USUAL = ("AP", "AR")  # columns that are there unless others are asked for


def show_runs(
    shown: Table,
    table: RunTable,
    values: Mapping[str, Any],
    runs_dir: Path,
    runs: tuple[RunRecord, ...] = (),
) -> list[str]:
    """Show a page of the runs; return sentences on columns that no run has.

    Args:
        values: ``filter``, ``columns``, ``sort``, ``descending`` and ``page``.
        runs: those to mark; the marks stay if there are none.

    Raises:
        ValueError: as ``RunTable.search`` and ``RunTable.sort``.
    """
    columns, missing = [(name, name) for name in FIRST], []
    for name in values["columns"].replace(",", " ").split():
        try:
            columns.append((name, table.column(name)))
        except ValueError:
            missing.append(name)
    rows = table.sort(table.search(values["filter"]), values["sort"], values["descending"])
    pages = max(1, -(-len(rows) // ROWS))
    page = min(max(values["page"], 1), pages)
    part = rows.iloc[(page - 1) * ROWS : page * ROWS][[column for _, column in columns]]
    cells = [
        (str(row[0]), [_cell(name, value) for (name, _), value in zip(columns, row, strict=True)])
        for row in part.itertuples(index=False, name=None)
    ]
    faults = len(table.faults)
    broken = f"; {faults} cannot be read, such as {table.faults[0]}" if faults else ""
    among = "" if len(rows) == len(table.rows) else f"{len(rows)} of "
    marked = dict(zip(("chosen", "second"), (run.id for run in runs), strict=False))
    shown.show(
        columns=[
            [name, name, name not in FIRST and table.rows[column].dtype.kind in "fi"]
            for name, column in columns
        ],
        rows=cells,
        order=values["sort"],
        descending=values["descending"],
        page=page,
        pages=pages,
        caption=f"{among}{counted(len(table.rows), 'run')} in {runs_dir}{broken}",
        **({"second": "", **marked} if runs else {}),
    )
    return [f"no run has a column {name!r}" for name in missing if name not in _USUAL]


def show_worst(shown: Table, ranked: pd.DataFrame, number: int, caption: str, kind: str) -> None:
    """Show the page of ``worst_images`` on which one of them is, by its number from 1."""
    page = (number - 1) // ROWS
    part = ranked.iloc[page * ROWS : (page + 1) * ROWS]
    names = ["id", "people", "detections", "oks", *KINDS]
    titles = {name: name.replace("_", " ") for name in names} | {"id": "image", "oks": "OKS"}
    rows = [
        (str(n), [str(n), *map(text_of, row)])
        for n, row in enumerate(part[names].itertuples(index=False, name=None), page * ROWS + 1)
    ]
    shown.show(
        columns=[["number", "", True], *([name, titles[name], name != "id"] for name in names)],
        rows=rows,
        order=kind,
        descending=kind != "oks",
        page=page + 1,
        pages=-(-len(ranked) // ROWS),
        caption=caption,
        chosen=str(number),
    )


def _cell(name: str, value: Any) -> str:
    if name == "started":
        return str(value)[:16].replace("T", " ")
    return text_of(value)
