"""LOGO-CAP's numbers agree with what its text says of them, and with its tables."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd
import pytest

from poselib.papers.published import published, published_table

TABLES = ["1 val", "1 test-dev", "2 val", "2 test", "3", "4", "5", "6", "7", "Fig. 2"]
COUNTS = [83, 90, 9, 9, 21, 20, 35, 30, 15, 3]
AP = ["AP", "AP50", "AP75", "APM", "APL"]


def value(table: str, row: str, metric: str = "AP") -> float:
    return published_table("logocap", table).loc[row, metric]


def test_it_holds_every_table_once() -> None:
    numbers = published("logocap")
    assert list(numbers.columns) == ["table", "row", "metric", "value", "source"]
    assert numbers.groupby("table", sort=False).size().to_dict() == dict(
        zip(TABLES, COUNTS, strict=True)
    )
    assert not numbers.duplicated(["table", "row", "metric"]).any()
    assert pd.api.types.is_float_dtype(numbers["value"]) and numbers["value"].notna().all()
    assert numbers[numbers["metric"].isin(AP)]["value"].between(29, 100).all()


@pytest.mark.parametrize(
    ("table", "better", "worse", "gain"),
    [
        # Section 4.2.
        ("1 val", "LOGO-CAP, HRNet-W48", "AE, HrHRNet-W48", 2.3),
        ("1 val", "LOGO-CAP, HRNet-W32", "HGG, Hourglass", 9.2),
        ("1 val", "LOGO-CAP, HRNet-W32", "DEKR, HRNet-W32, without rescoring", 2.4),
        ("1 val", "LOGO-CAP, HRNet-W48", "DEKR, HRNet-W48, without rescoring", 1.9),
        # The text says 2.5, and the table has 68.4 and 70.8.
        ("1 test-dev", "LOGO-CAP, HRNet-W48", "AE, HrHRNet-W48", 2.4),
        ("1 test-dev", "LOGO-CAP, HRNet-W32", "DEKR, HRNet-W32, without rescoring", 1.6),
        ("1 test-dev", "LOGO-CAP, HRNet-W48", "DEKR, HRNet-W48, without rescoring", 1.5),
        ("1 test-dev", "LOGO-CAP, HRNet-W48", "Mask-RCNN, ResNet-50-FPN", 7.7),
        # Section 4.3.
        ("2 val", "LOGO-CAP, HRNet-W48", "DEKR, HRNet-W48", 2.4),
        ("2 test", "LOGO-CAP, HRNet-W48", "DEKR, HRNet-W48", 2.2),
        ("2 val", "LOGO-CAP, HRNet-W32", "DEKR, HRNet-W32", 39.0 - 37.9),
        ("2 test", "LOGO-CAP, HRNet-W32", "DEKR, HRNet-W32", 38.1 - 36.5),
        # Sections 4.5 and 1.
        ("5", "OKS Loss", "Baseline", 6.1),
        ("Fig. 2", "LOGO-CAP", "Center-offset", 9.9),
    ],
)
def test_gains_are_those_named_in_the_text(
    table: str, better: str, worse: str, gain: float
) -> None:
    assert value(table, better) - value(table, worse) == pytest.approx(gain, abs=1e-6)


def test_rows_that_are_printed_twice_agree() -> None:
    ours = published_table("logocap", "1 val").loc["LOGO-CAP, HRNet-W32"]
    whole = {"5": "OKS Loss+Reweigh+AttNorm", "6": "11x11, 3+1", "7": "KEMs+KAMs"}
    for table, row in whole.items():
        assert (published_table("logocap", table).loc[row, AP] == ours).all()
    assert value("6", "11x11, 3+1", "fps") == value("3", "LOGO-CAP, HRNet-W32", "fps")
    beside = published_table("logocap", "1 val")["AP"]
    for row, found in published_table("logocap", "3")["AP"].items():
        others = {"AE, HRNet-W32": "AE, HrHRNet-W32"}
        name = others.get(str(row), f"{row}, with rescoring" if "DEKR" in str(row) else row)
        assert found == beside[name]


def test_other_papers_have_the_same_numbers_of_the_same_methods() -> None:
    # The text from which Table 1 was read puts the names of these a line too low.
    ours, dekr = published_table("logocap", "1 val"), published_table("dekr", "2")
    assert (ours.loc["AE, HrHRNet-W48", AP[:3]] == dekr.loc["HrHRNet-W48 + AE", AP[:3]]).all()
    assert (ours.loc["HGG, Hourglass", AP[:3]] == dekr.loc["HGG", AP[:3]]).all()
    testdev, grm = published_table("logocap", "1 test-dev"), published_table("grm", "IV")
    assert (testdev.loc["HGG, Hourglass, multi-scale", AP] == grm.loc["HGG, multi-scale", AP]).all()
    assert (testdev.loc["SPM, Hourglass", AP] == published_table("dekr", "4").loc["SPM*", AP]).all()
    for width in ("W32", "W48"):
        rescored = f"DEKR, HRNet-{width}, with rescoring"
        for here, table in ((ours, "2"), (testdev, "4")):
            theirs = published_table("dekr", table).loc[f"DEKR, HRNet-{width}", AP]
            assert (here.loc[rescored, AP] == theirs).all()


def test_times_fit_each_other() -> None:
    speed, parts = published_table("logocap", "3"), published_table("logocap", "4")
    assert (speed["time_ms"] * speed["fps"]).tolist() == pytest.approx([1000] * 7, rel=0.01)
    for width in ("W32", "W48"):
        assert parts.loc[width].sum() == pytest.approx(
            speed.loc[f"LOGO-CAP, HRNet-{width}", "time_ms"], abs=2
        )
        # "about 10 ms on average" (Section 4.4).
        assert parts.loc[width].drop("backbone_ms").sum() == pytest.approx(10, abs=2)


# The tables again, read from the paper's text.
PAPER = "002_7ea940960ee01f64.txt"
ROOT = Path(__file__).resolve().parents[2]
# The metrics of a half or whole table, and the cells of a line that have them.
PLACES = {
    "1 val": (AP, range(3, 8)),
    "1 test-dev": (AP, range(8, 13)),
    "2 val": (AP[:1], range(3, 4)),
    "2 test": (AP[:1], range(4, 5)),
    "3": (["AP", "time_ms", "fps"], (1, 3, 4)),
    "4": (["backbone_ms", "local_kems_ms", "local_kams_ms", "global_kams_ms"], range(2, 6)),
    "5": (AP, range(4, 9)),
    "6": ([*AP, "fps"], range(2, 8)),
    "7": (AP, range(1, 6)),
}
# Methods of Table 1 whose names are a line too low in the text, by the network of that line.
SLIPPED = {
    ("HGG [13]", "HrHRNet-W48"): "AE [5, 20]",
    ("SimplePose [15]", "Hourglass"): "HGG [13]",
    ("SimplePose [15]", "IMHN"): "SimplePose [15]",
}


@pytest.fixture(scope="module")
def text() -> list[str]:
    folder = Path(os.environ.get("POSELIB_PAPERS") or ROOT / "../shared/papers").resolve()
    if not (folder / PAPER).is_file():
        pytest.skip(f"{folder} holds no {PAPER}; set POSELIB_PAPERS to the folder of the papers")
    return (folder / PAPER).read_text(encoding="utf-8").splitlines()


def printed(text: list[str], number: str) -> list[list[str]]:
    """The cells of a table's lines, without its heading."""
    start = next(i for i, line in enumerate(text) if line.startswith(f"Table {number}."))
    first = next(i for i in range(start, len(text)) if "\t" in text[i])
    last = next(i for i in range(first, len(text)) if "\t" not in text[i])
    rows = [[cell.strip() for cell in line.split("\t")] for line in text[first:last]]
    return rows[2 if number == "1" else 1 :]


def compared(cells: list[str], method: str, rescoring: str) -> tuple[str, str]:
    """The row's name here and the work that is cited, in Tables 1 to 3."""
    method = SLIPPED.get((method, cells[2]), method)
    work, _, cited = method.removesuffix(" (Ours)").partition(" [")
    network = cells[2].partition(" (")[0]
    words = f", {rescoring}" if work == "DEKR" and rescoring else ""
    return f"{work}, {network}{words}", re.sub(", *", ", ", cited.rstrip("]"))


def ablated(number: str, cells: list[str], name: str) -> str:
    """The row's name here, in Tables 4 to 7."""
    if number == "4":
        people = {"-": "", "1": ", 1 person", "30": ", 30 persons"}
        return name + people[cells[1]]
    if number == "5":
        parts = ("OKS Loss", "Reweigh", "AttNorm")
        used = [part for part, cell in zip(parts, cells[1:4], strict=True) if cell == "✓"]
        return "+".join(used) or "Baseline"
    if number == "6":
        return f"{cells[0].replace(' × ', 'x')}, {cells[1]}"
    whole = re.search(r"\((.*)\)", cells[0])
    return whole[1].replace(" ", "") if whole else cells[0].removesuffix(" only")


def numbers_of(text: list[str], table: str) -> dict[tuple[str, str], tuple[float, str]]:
    """Value and source of every number that the text has of a table, by row and metric."""
    number, (metrics, places) = table.partition(" ")[0], PLACES[table]
    found, name, rescoring = {}, "", ""
    for cells in printed(text, number):
        method = cells[0] if number not in "12" or "LOGO-CAP" in cells[0] else cells[1]
        name = method or name
        if "Rescoring" in cells[2]:
            rescoring = "without rescoring" if "w/o" in cells[2] else "with rescoring"
        if number in "123":
            row, cited = compared(cells, name, rescoring)
        else:
            row, cited = ablated(number, cells, name), ""
        source = f"LOGO-CAP, {PAPER}" + (f", citing [{cited}]" if cited else "")
        for metric, place in zip(metrics, places, strict=True):
            digits = re.sub(r"\s*(\[†\]|†|—|ms)$", "", cells[place])
            if digits:
                several = ", multi-scale" if "†" in cells[place] else ""
                # SPM's AP^L on test-dev is printed as a fraction.
                percent = float(digits) * (100 if digits.startswith("0.") else 1)
                found[row + several, metric] = pytest.approx(percent), source
    return found


@pytest.mark.parametrize("table", PLACES)
def test_every_number_of_the_text_is_here_and_no_other(text: list[str], table: str) -> None:
    here = published("logocap").query("table == @table")
    keys = zip(here["row"], here["metric"], strict=True)
    values = zip(here["value"], here["source"], strict=True)
    assert dict(zip(keys, values, strict=True)) == numbers_of(text, table)


def test_the_figure_has_the_numbers_of_the_text(text: list[str]) -> None:
    whole = " ".join(text)
    for row, words in (
        ("Center-offset", r"it obtains ([\d.]+) average precision"),
        ("Local search, 11x11", r"empirical upper-bound of ([\d.]+) AP is obtained"),
        ("LOGO-CAP", r"It obtains ([\d.]+) AP in the fully-annotated subset"),
    ):
        assert float(re.search(words, whole)[1]) == value("Fig. 2", row)  # type: ignore[index]
