"""The papers' own numbers, to stand beside measured ones and never among them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_FOLDER = Path(__file__).with_name("published")


def published(paper: str) -> pd.DataFrame:
    """Return the numbers in a paper's tables, as printed there: AP and AR in per cent.

    Args:
        paper: lower-case short name, such as ``"hae"``.

    Returns:
        One row a number, with the columns ``table`` (its number as the paper writes it, and where a
        table shows two sets of images which of them, as in ``"1 val"``), ``row``, ``metric``,
        ``value`` and ``source``: the paper, the file of its text that the number was read from,
        and the work, by the paper's own reference number, that it cites the number from. What a
        paper calls its own has the name of its method.

    Raises:
        ValueError: the paper has no file; the message lists those that have.
    """
    known = sorted(path.stem for path in _FOLDER.glob("*.csv"))
    if paper not in known:
        raise ValueError(f"no published numbers of {paper!r}; there are those of {known}")
    return pd.read_csv(_FOLDER / f"{paper}.csv", dtype={"table": str, "row": str})


def published_table(paper: str, table: str) -> pd.DataFrame:
    """Return one table of a paper in its own shape: a line for each row, a column for each metric.

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
