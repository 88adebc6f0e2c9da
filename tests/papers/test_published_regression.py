"""The numbers of DEKR and GRM/MFA agree with the tables and sentences of their papers."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

import pandas as pd
import pytest

from poselib.papers.published import published, published_table

PAPERS = {
    "dekr": ("DEKR", "003_9e7b077314474377.txt"),
    "grm": ("GRM/MFA", "001_73b2b3da386844fe.txt"),
}
ROOT = Path(__file__).resolve().parents[2]
# One line per method, the metrics in columns.
COMPARISONS = [
    ("dekr", "2"),
    ("dekr", "4"),
    ("dekr", "5"),
    ("dekr", "7"),
    ("grm", "I"),
    ("grm", "II"),
    ("grm", "III"),
    ("grm", "IV"),
]
EMPTY = {"", "–", "—"}


def read_table(paper: str, table: str) -> list[list[str]]:
    """Return the cells of a table in a paper's text, its heading first, without markup."""
    folder = Path(os.environ.get("POSELIB_PAPERS") or ROOT / "../shared/papers").resolve()
    name = PAPERS[paper][1]
    if not (folder / name).is_file():
        pytest.skip(f"{folder} holds no {name}; set POSELIB_PAPERS to the folder of the papers")
    text = (folder / name).read_text(encoding="utf-8").splitlines()
    caption = re.compile(rf"Table {table}\. |TABLE {table}\s*$")
    start = next(i for i, line in enumerate(text) if caption.match(line))
    first = next(i for i in range(start, len(text)) if "\t" in text[i])
    lines = takewhile(lambda line: "\t" in line, text[first:])
    return [[clean(cell) for cell in line.split("\t")] for line in lines]


def clean(cell: str) -> str:
    """Drop gains beside a number, emphasis, and the spaces around superscripts."""
    cell = re.sub(r"\$.*?\$ ?-?[\d.]*|<su[bp]>[-↑↓][\d.]*</su[bp]>", "", cell)
    return re.sub(r" ?<.*?>", "", cell).strip()


def number(cell: str) -> float:
    return float(cell.replace("69/7", "69.7"))  # GRM/MFA, Table IV, AR^M of PersonLab


def rows_of_the_text(paper: str, table: str) -> list[tuple[str, str, dict[str, float]]]:
    """Return (method, cited work, numbers by metric) of each row; several scales are named."""
    heading, *lines = read_table(paper, table)
    names = [name.replace(" ", "").replace("Inputsize", "input_size") for name in heading]
    first = sum(name not in ("input_size", "Jitter", "Miss", "Inversion", "Swap") and
                not name.startswith(("AP", "AR")) for name in names)  # fmt: skip
    scales, rows = "", []
    for cells in lines:
        if not "".join(cells[1:]):
            scales = ", multi-scale" if "multi" in cells[0] else ""
            continue
        if first == 1:
            method, _, cited = cells[0].partition(" [")
        else:
            parts = [part for part, cell in zip(names, cells[:first], strict=False) if cell]
            method, cited = "+".join(parts) or "Baseline", ""
        numbers = {n: number(c) for n, c in zip(names[first:], cells[first:], strict=True)
                   if c not in EMPTY}  # fmt: skip
        rows.append((method + scales, cited.rstrip("]"), numbers))
    return rows


def named_here(paper: str, method: str, numbers: dict[str, float]) -> str:
    ours = re.match(r"(?:Our approach|Ours) \((.*)\)(.*)", method)
    if ours:
        return f"{PAPERS[paper][0]}, {ours[1]}{ours[2]}"
    if method.startswith("PersonLab"):
        return method.replace("PersonLab", f"PersonLab at {numbers['input_size']:.0f} px")
    return method


@pytest.mark.parametrize(("paper", "table"), COMPARISONS)
def test_every_number_of_the_text_is_here_and_no_other(paper: str, table: str) -> None:
    here = published(paper).query("table == @table")
    expected = {
        (named_here(paper, method, numbers), metric): value
        for method, _, numbers in rows_of_the_text(paper, table)
        for metric, value in numbers.items()
    }
    keys = zip(here["row"], here["metric"], strict=True)
    found = dict(zip(keys, here["value"], strict=True))
    assert found == expected and len(expected) >= 20


@pytest.mark.parametrize(("paper", "table"), COMPARISONS)
def test_the_cited_work_is_named_where_the_table_names_it(paper: str, table: str) -> None:
    here = published(paper).query("table == @table").drop_duplicates("row").set_index("row")
    for method, cited, numbers in rows_of_the_text(paper, table):
        if cited and not method.startswith("Our"):
            assert here.loc[named_here(paper, method, numbers), "source"].endswith(f"[{cited}]")


def test_complexities_are_those_of_the_text() -> None:
    _, *sizes = read_table("dekr", "3")
    numbers = [number(cell) for line in sizes for cell in line[1:]]
    assert published("dekr").query("table == '3'")["value"].tolist() == numbers
    _, _, *rows = read_table("dekr", "1")
    numbers = [number(cell) for line in rows for cell in line[1:]]
    assert published("dekr").query("table == '1'")["value"].tolist() == numbers


def test_matching_is_that_of_the_text() -> None:
    _, *rows = read_table("dekr", "6")
    numbers = [number(cell) for line in rows for cell in line[1:]]
    assert published("dekr").query("table == '6'")["value"].tolist() == numbers


@pytest.mark.parametrize(
    ("paper", "table", "better", "worse", "gain"),
    [
        ("dekr", "5", "AA", "Baseline", 3.5),
        ("dekr", "5", "AA+SR", "AA", 2.6),
        ("dekr", "5", "SR", "Baseline", 1.7),
        ("dekr", "Sec. 4.3", "DEKR", "AE", 68.0 - 64.4),
        ("dekr", "2", "DEKR, HRNet-W32", "CenterNet-HG", 4.0),
        ("dekr", "4", "DEKR, HRNet-W48", "HrHRNet-W48 + AE", 1.6),
        ("grm", "I", "GRM+MFA", "Baseline", 0.8),
        ("grm", "II", "GRM/MFA, HRNet-W32", "DEKR-W32", 1.1),
        ("grm", "II", "GRM/MFA, HRNet-W32, multi-scale", "DEKR-W32, multi-scale", 1.2),
    ],
)
def test_gains_are_those_named_in_the_text(
    paper: str, table: str, better: str, worse: str, gain: float
) -> None:
    ap = published_table(paper, table)["AP"]
    assert ap[better] - ap[worse] == pytest.approx(gain, abs=1e-6)


def test_rows_that_are_printed_twice_agree() -> None:
    grouping, ablation = published_table("dekr", "Sec. 4.3"), published_table("dekr", "5")
    assert grouping.loc["Baseline", "AP"] == ablation.loc["Baseline", "AP"]
    assert grouping.loc["DEKR", "AP"] == ablation.loc["AA+SR", "AP"]
    whole = published_table("grm", "I").loc["GRM+MFA"]
    ours = published_table("grm", "II").loc["GRM/MFA, HRNet-W32"]
    assert (ours[whole.index] == whole).all()
    assert pd.api.types.is_float_dtype(published("grm")["value"])
