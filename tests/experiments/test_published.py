"""The numbers agree with what the papers say about them in words."""

from __future__ import annotations

import pandas as pd
import pytest

from poselib.experiments.published import published, published_table


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
        ("II", "Ours, HrHRNet-W32", "AE, HrHRNet-W32", "AP", 1.4),
        ("IV", "Ours, HrHRNet-W32", "AE, HrHRNet-W32", "AP", 3.4),
        ("IV", "Ours, HrHRNet-W32", "AE, HrHRNet-W48", "AP", 1.7),
        ("IV", "Ours, HrHRNet-W32", "RMPE, 4-stack Hourglass", "AP", 6.6),
        ("V", "Ours", "AE", "AP_elbow", 3.7),
        ("V", "Ours", "AE", "AP_ankle", 3.6),
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
    with pytest.raises(ValueError, match=r"'nothing'; there are those of \['hae'"):
        published("nothing")
    with pytest.raises(ValueError, match=r"no table 'XX'; it has \['II'"):
        published_table("hae", "XX")
