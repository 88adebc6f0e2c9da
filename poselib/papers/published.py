"""Published numbers, shown beside measured ones and never mixed with them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_FOLDER = Path(__file__).with_name("published")


def published(paper: str) -> pd.DataFrame:
    """Return the numbers in a paper's tables, as in the paper: AP and AR in percent.

    Returns:
        One row per number, with the columns ``table`` (as numbered in the paper, and for a table of
        two sets of images which of them, as in ``"1 val"``), ``row``, ``metric``, ``value`` and
        ``source``: the paper, the file of its text that the number was read from, and the work
        that it cites the number from, by the paper's own reference number. Rows that the paper
        calls "ours" have the name of its method.

    Raises:
        ValueError: the paper has no file; the message lists those that have.
    """
    known = sorted(path.stem for path in _FOLDER.glob("*.csv"))
    if paper not in known:
        raise ValueError(f"no published numbers of {paper!r}; there are those of {known}")
    return pd.read_csv(_FOLDER / f"{paper}.csv", dtype={"table": str, "row": str})


def published_table(paper: str, table: str) -> pd.DataFrame:
    """Return one table of a paper: a line per row, a column per metric.

    Raises:
        ValueError: the paper or the table is unknown.
    """
    numbers = published(paper)
    known = list(dict.fromkeys(numbers["table"]))
    if table not in known:
        raise ValueError(f"paper {paper!r} has no table {table!r}; it has {known}")
    chosen = numbers[numbers["table"] == table]
    rows, metrics = chosen["row"].unique(), chosen["metric"].unique()
    shape = chosen.pivot(index="row", columns="metric", values="value")
    return shape.loc[rows, metrics].rename_axis(columns=None)
