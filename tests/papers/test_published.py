"""The numbers agree with what the papers say about them in words."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd
import pytest

from poselib.papers.published import published, published_table


def value(table: str, row: str, metric: str) -> float:
    return published_table("hae", table).loc[row, metric]


def test_it_holds_every_table_once() -> None:
    numbers = published("hae")
    assert list(numbers.columns) == ["table", "row", "metric", "value", "source"]
    tables = ["II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI"]
    assert list(numbers["table"].unique()) == tables
    assert not numbers.duplicated(["table", "row", "metric"]).any()
    assert pd.api.types.is_float_dtype(numbers["value"]) and numbers["value"].notna().all()
    rates = numbers[numbers["metric"].str.match("A[PR]")]["value"]
    assert rates.between(30, 100).all()


@pytest.mark.parametrize(
    ("table", "better", "worse", "metric", "gain"),
    [
        ("II", "HAE/PAD, HrHRNet-W32", "AE, HrHRNet-W32", "AP", 1.4),
        ("IV", "HAE/PAD, HrHRNet-W32", "AE, HrHRNet-W32", "AP", 3.4),
        ("IV", "HAE/PAD, HrHRNet-W32", "AE, HrHRNet-W48", "AP", 1.7),
        ("IV", "HAE/PAD, HrHRNet-W32", "RMPE, 4-stack Hourglass", "AP", 6.6),
        ("V", "HAE/PAD", "AE", "AP_elbow", 3.7),
        ("V", "HAE/PAD", "AE", "AP_ankle", 3.6),
        ("VI", "lambda=1.5", "Baseline", "AP", 1.9),
        ("VIII", "OHKM", "Baseline", "AP", 1.3),
        ("VIII", "IQR", "Baseline", "AP", 1.7),
        ("IX", "Baseline", "BUAD", "AP", 0.6),
    ],
)
def test_gains_are_those_named_in_the_text(
    table: str, better: str, worse: str, metric: str, gain: float
) -> None:
    difference = value(table, better, metric) - value(table, worse, metric)
    assert difference == pytest.approx(gain, abs=1e-6)


def test_rows_that_are_printed_twice_agree() -> None:
    baseline = published_table("hae", "XI").loc["Baseline"]
    for table in ("VI", "VII", "VIII"):
        row = published_table("hae", table).loc["Baseline"]
        assert (row == baseline[row.index]).all()
    everything = published_table("hae", "XI").loc["HAL+FPL+PAD"]
    row = published_table("hae", "IX").loc["PAD"]
    assert (row == everything[row.index]).all()


def test_times_add_up() -> None:
    times = published_table("hae", "X")
    assert times.drop(columns="total_ms").sum(axis=1).tolist() == pytest.approx(
        times["total_ms"].tolist()
    )


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'nothing'; there are those of \[.*'hae'"):
        published("nothing")
    with pytest.raises(ValueError, match=r"no table 'XX'; it has \['II'"):
        published_table("hae", "XX")


# The tables again, read from the paper's text.
PAPER = "000_811c7e9d79e54f01.txt"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def text() -> list[str]:
    folder = Path(os.environ.get("POSELIB_PAPERS") or ROOT / "../shared/papers").resolve()
    if not (folder / PAPER).is_file():
        pytest.skip(f"{folder} holds no {PAPER}; set POSELIB_PAPERS to the folder of the papers")
    return (folder / PAPER).read_text(encoding="utf-8").splitlines()


def printed(text: list[str], table: str) -> list[list[str]]:
    """The cells of a table, its heading first, without markup."""
    start = next(i for i, line in enumerate(text) if line.strip() == f"TABLE {table}")
    first = next(i for i in range(start, len(text)) if "\t" in text[i])
    last = next(i for i in range(first, len(text)) if "\t" not in text[i])
    return [[re.sub("<.*?>", "", cell).strip() for cell in line.split("\t")]
            for line in text[first:last]]  # fmt: skip


def names_in(table: str, heading: list[str], cells: list[str], group: str) -> tuple[str, str, int]:
    """The row's name here, the work that is cited, and how many cells name the row."""
    if table in ("II", "III", "IV"):
        work, cited = split_citation(cells[1])
        ours = group == "Ours"
        return f"{'HAE/PAD' if ours else work}, {cells[2]}", "" if ours else cited, 3
    if table == "V":
        work, cited = split_citation(cells[0])
        return "HAE/PAD" if work == "Ours" else work, cited, 1
    if table == "XI":
        parts = [name for name, cell in zip(heading[:3], cells[:3], strict=True) if cell]
        return "+".join(parts) or "Baseline", "", 3
    return f"lambda={cells[0]}" if table == "VI" and cells[0][0].isdigit() else cells[0], "", 1


def split_citation(cell: str) -> tuple[str, str]:
    work, _, cited = cell.partition(" [")
    return work, cited.rstrip("]")


def metric_named(table: str, heading: str) -> str:
    name = heading.replace(" ", "")
    if table == "V":
        return f"AP_{name.lower()}"
    return f"{name.lower()}_ms" if table == "X" else name.replace("#Params", "params_m")


@pytest.mark.parametrize("table", ["II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI"])
def test_every_number_of_the_text_is_here_and_no_other(text: list[str], table: str) -> None:
    heading, *rows = printed(text, table)
    expected, group = {}, ""
    for cells in rows:
        group = cells[0] or group
        row, cited, named = names_in(table, heading, cells, group)
        source = f"HAE, {PAPER}" + (f", citing [{cited}]" if cited else "")
        for name, cell in zip(heading[named:], cells[named:], strict=True):
            if cell.strip("-"):
                expected[row, metric_named(table, name)] = float(cell.rstrip("M")), source
    here = published("hae").query("table == @table")
    keys = zip(here["row"], here["metric"], strict=True)
    values = zip(here["value"], here["source"], strict=True)
    assert dict(zip(keys, values, strict=True)) == expected and len(expected) >= 10
