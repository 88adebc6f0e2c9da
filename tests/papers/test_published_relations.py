"""The numbers of RPSTN/JRE agree with the tables and sentences of the paper."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from poselib.papers.outcomes import outcomes, paper_items
from poselib.papers.published import published, published_table

PAPER = "004_6d6043391037db4c.txt"
ROOT = Path(__file__).resolve().parents[2]
PARTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Columns of Penn Action's 13 joints: the head once, every other part on both sides.
WEIGHTS = np.array([1] + [2] * 6) / 13
METRICS = {
    "Head": "head", "Sho.": "shoulder", "Elb.": "elbow", "Wri.": "wrist", "Hip": "hip",
    "Knee": "knee", "Ank.": "ankle", "mPCK": "total", "Mean": "total",
}  # fmt: skip
OTHERS = {
    "Params": "params_mi", "Params (M)": "params_mi", "FLOPs (G)": "gmac_gi", "GFLOPs": "gmac_gi",
    "Time (ms)": "time_ms", "AP": "AP", "AP^{50}": "AP50", "AP^{75}": "AP75", "AP^M": "APM",
    "AP^L": "APL", "AR": "AR",
}  # fmt: skip
TABLES = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")


@pytest.fixture(scope="module")
def text() -> list[str]:
    folder = Path(os.environ.get("POSELIB_PAPERS") or ROOT / "../shared/papers").resolve()
    if not (folder / PAPER).is_file():
        pytest.skip(f"{folder} holds no {PAPER}; set POSELIB_PAPERS to the folder of the papers")
    return (folder / PAPER).read_text(encoding="utf-8").splitlines()


def lines_of(text: list[str], table: str) -> list[list[str]]:
    """Return the cells of a table, its heading first."""
    caption = re.compile(rf"\s*TABLE {table}(\s|$)")
    start = next(i for i, line in enumerate(text) if caption.match(line))
    first = next(i for i in range(start, len(text)) if "\t" in text[i])
    lines = takewhile(lambda line: "\t" in line, text[first:])
    return [[cell.strip() for cell in line.split("\t")] for line in lines]


def metric_named(table: str, heading: str) -> str:
    if table == "IX":
        name = heading.replace("w-", "w").replace("@avg", "")
        return re.sub(r"@0\.(\d+)", lambda m: m[1].ljust(2, "0"), name)
    if heading in METRICS:
        return f"{'AP' if table == 'VII' else 'PCK'}_{METRICS[heading]}"
    return OTHERS[heading.replace("$", "").strip()]


def row_named(table: str, cells: list[str], before: str) -> tuple[str, str]:
    """Return the row's name here and the work that it cites."""
    name, _, cited = cells[0].partition("[")
    network = re.search(r"\(ResNet-?(\d+)\)", name)
    name = re.sub(r" ?\(.*?\)", "", name).strip().replace("Iqal", "Iqbal")
    if table == "IV":
        # a name stands in the middle line of its rows
        return f"{name or before or 'RPSTN'}, {cells[1].replace('-', ' ')}", ""
    if network and table != "I":
        name = f"{name}, ResNet-{network[1]}"
    return name, cited.rstrip("]")


def numbers_of_the_text(text: list[str], table: str) -> dict[tuple[str, str, str], float]:
    """Return the numbers by table, row and metric."""
    heading, *lines = lines_of(text, table)
    skipped, part, name, numbers = 2 if table == "IV" else 1, "", "", {}
    for cells in lines:
        if not cells[0] and table in ("I", "V", "VI"):  # a heading across the table
            joined = "".join(cells).replace(" ", "")
            part = {"V": "person", "Vt": "torso"}.get("V" + "t" * ("torso" in joined), "")
            continue
        name, _ = row_named(table, cells, name.partition(",")[0])
        key = f"{table} {part}" if part and table != "I" else table
        for metric, cell in zip(heading[skipped:], cells[skipped:], strict=True):
            if cell != "-":
                value = float(re.match(r"[\d.]+", cell)[0])
                numbers[key, name, metric_named(table, metric)] = value
    return numbers


@pytest.mark.parametrize("table", TABLES)
def test_every_number_of_the_text_is_here_and_no_other(text: list[str], table: str) -> None:
    here = published("rpstn")
    here = here[here["table"].str.split().str[0] == table]
    found = {(r.table, r.row, r.metric): r.value for r in here.itertuples()}
    assert found == numbers_of_the_text(text, table) and len(found) >= 30


@pytest.mark.parametrize("table", ["V", "VI", "VII", "VIII", "IX"])
def test_the_cited_work_is_named_where_the_table_names_it(text: list[str], table: str) -> None:
    here = published("rpstn")
    here = here[here["table"].str.split().str[0] == table]
    cited = dict(
        row_named(table, cells, "") for cells in lines_of(text, table)[1:] if "[" in cells[0]
    )
    assert cited
    for row, source in here[["row", "source"]].itertuples(index=False):
        _, _, work = source.partition(", citing ")
        assert work == (f"[{cited[row]}]" if row in cited else ""), row


def test_it_holds_every_table_once() -> None:
    numbers = published("rpstn")
    assert len(numbers) == 664
    assert not numbers.duplicated(["table", "row", "metric"]).any()
    assert list(dict.fromkeys(name.split()[0] for name in numbers["table"])) == list(TABLES)


@pytest.mark.parametrize(
    ("table", "better", "worse", "metric", "gain"),
    [
        ("I", "RPSTN", "RPSTN-w/o-JRE", "PCK_total", 2.3),
        ("I", "RPSTN-w/o-JRPSP", "RPSTN-w/o-JRE-JRPSP", "PCK_total", 2.8),
        ("I", "RPSTN", "RPSTN-RF-Head", "PCK_total", 1.2),
        ("I", "RPSTN", "RPSTN-NL", "PCK_wrist", 10.8),
        ("I", "RPSTN", "RPSTN-RePose", "PCK_total", 5.9),
        ("I", "RPSTN", "RPSTN-JRE-2Convs", "PCK_total", 3.0),
        ("I", "RPSTN", "RPSTN-DKD", "PCK_total", 2.3),
        ("I", "RPSTN", "RPSTN-JRPSP-5Convs", "PCK_total", 4.2),
        ("II", "RPSTN, ResNet-50", "RPSTN-Res50-w/o-P", "PCK_total", 0.8),
        ("IV", "RPSTN, 10 frames", "RPSTN-w/o-JRE, 10 frames", "PCK_total", 1.0),
        ("V person", "RPSTN, ResNet-18", "DKD, ResNet-50", "PCK_total", 0.9),
        ("V torso", "RPSTN, ResNet-18", "DKD, ResNet-18", "PCK_total", 4.8),
        ("V torso", "RPSTN, ResNet-50", "DKD, ResNet-50", "PCK_hip", 7.8),
        ("VI torso", "RPSTN, ResNet-50", "DKD, ResNet-50", "PCK_total", 8.4),
        ("VII", "RPSTN", "DCPose", "AP_head", 0.6),
        ("VIII", "SBL-JRE", "SBL", "AP", 0.2),
        ("VIII", "HRNet-W32-JRE", "HRNet-W32", "AP", 0.1),
        ("IX", "RPSTN", "DKD", "wAP", 0.31),
        ("IX", "RPSTN", "HRNet", "AP", 0.33),
    ],
)
def test_gains_are_those_named_in_the_text(
    table: str, better: str, worse: str, metric: str, gain: float
) -> None:
    numbers = published_table("rpstn", table)[metric]
    assert numbers[better] - numbers[worse] == pytest.approx(gain, abs=1e-6)


def test_brackets_of_the_last_table_are_the_differences_of_its_rows(text: list[str]) -> None:
    heading, *lines = lines_of(text, "IX")
    ours = published_table("rpstn", "IX").loc["RPSTN"]
    compared = 0
    for cells in lines[:-1]:
        for name, cell in zip(heading[1:], cells[1:], strict=True):
            value, gap = (float(number) for number in re.findall(r"\d+\.\d+", cell))
            assert ours[metric_named("IX", name)] - value == pytest.approx(gap, abs=1e-6)
            compared += 1
    assert compared == 24


def test_totals_are_means_over_thirteen_joints_but_for_the_doubtful_rows() -> None:
    """Tables I to III; the rows that do not fit are those that probably hold a misprint."""
    apart = set()
    for table in ("I", "II", "III"):
        numbers = published_table("rpstn", table)
        means = numbers[[f"PCK_{part}" for part in PARTS]].to_numpy() @ WEIGHTS
        far = np.abs(means - numbers["PCK_total"]) > 0.1001  # of rounded numbers
        apart |= {(table, row) for row in numbers.index[far]}
    assert apart == {
        ("I", "RPSTN"),  # hip and knee; Tables II, III and V print 96.6 and 96.5
        ("I", "RPSTN-JRPSP-5Convs"),  # head 86.9, probably 96.9
        ("I", "RPSTN-w/o-JRE"),
        ("I", "RPSTN-w/o-JRPSP"),
        ("I", "RPSTN-RePose"),
        ("III", "RPSTN-Res18-w/o-JRE"),
    }


def test_rows_that_are_printed_twice_agree() -> None:
    joints = [f"PCK_{part}" for part in (*PARTS, "total")]
    ours = published_table("rpstn", "II")
    for row, other in (("RPSTN, ResNet-18", "RPSTN-Res18"), ("RPSTN, ResNet-50", "RPSTN-Res50")):
        assert (ours.loc[row, joints] == published_table("rpstn", "III").loc[other, joints]).all()
        assert (ours.loc[row, joints] == published_table("rpstn", "V torso").loc[row, joints]).all()
    first = published_table("rpstn", "I").loc["RPSTN", joints]
    different = first.index[first != ours.loc["RPSTN, ResNet-18", joints]]
    assert list(different) == ["PCK_hip", "PCK_knee"]


def test_every_table_and_figure_is_listed(tmp_path: Path) -> None:
    items = paper_items("rpstn")["item"]
    listed = " ".join(items)
    for name in ("Table I", "Table II", "Table III", "Table IV", "Tables V–VII, IX", "Table VIII"):
        assert name in set(items)
    assert all(f"Fig. {number}" in listed for number in range(5, 12))
    assert set(outcomes("rpstn", tmp_path)["what came out"]) == {"not run yet"}
