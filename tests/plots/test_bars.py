"""Stacked bars: lengths, sums, names and colors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.bars import show_error_rates, show_localization_errors, show_parts
from tests.plots.factories import bar_lengths, row_names

TIMES = pd.DataFrame(
    {"read": [1.0, 3.0], "convolve": [2.0, 40.0], "rest": [np.nan, 0.5]},
    index=["1 person", "30 people"],
)
COUNTS = pd.DataFrame(
    {
        "correct": [6, 0, 6], "wrong_person": [2, 0, 2], "fragment": 0, "wrong_side": 0,
        "imprecise": 0, "false_positive": 0,
        "found": [3, 1, 4], "misassigned": [1, 0, 1], "undetected": 0,
    },
    index=["left_hand", "tail", "all"],
)  # fmt: skip
RATES = pd.DataFrame(
    {
        "good": [50, np.nan, 50], "jitter": [25, np.nan, 25], "miss": [0, np.nan, 0],
        "inversion": [12.5, np.nan, 12.5], "swap": [12.5, np.nan, 12.5], "counted": [8, 0, 8],
    },
    index=["left_hand", "tail", "all"],
)  # fmt: skip
GAINS = pd.DataFrame({"gain": [0, 0.03, -0.002, 0.1]}, index=["nothing", "jitter", "miss", "all"])


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend_names(legend: Any) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


def test_parts_are_stacked_with_their_sum_behind() -> None:
    figure = show_parts({"a": TIMES, "b": TIMES * 2, "c": TIMES.head(1) * 100}, unit="ms")
    drawn, spare = figure.axes[:3], figure.axes[3]
    assert [ax.get_title() for ax in drawn] == ["a", "b", "c"] and not spare.axison
    assert [texts(ax) for ax in drawn] == [["3.00", "43.5"], ["6.00", "87.0"], ["300"]]
    np.testing.assert_allclose(bar_lengths(drawn[0]).T, TIMES.fillna(0.0))
    assert row_names(drawn[0]) == list(TIMES.index) and row_names(drawn[2]) == ["1 person"]
    assert not any(label.get_visible() and label.get_text() for label in drawn[1].get_yticklabels())
    low, high = drawn[0].get_ylim()
    assert low > high  # the first row is on top
    (legend,) = figure.legends
    assert legend_names(legend) == list(TIMES)
    colors = [patch.get_facecolor() for patch in legend.get_patches()]
    assert colors == [bars.patches[0].get_facecolor() for bars in drawn[0].containers]
    assert len(set(colors)) == 3
    assert texts(show_parts({"a": TIMES}, digits=1).axes[0]) == ["3.0", "43.5"]


def test_text_does_not_overlap(no_overlap: Any) -> None:
    table = pd.concat([TIMES * 1000] * 3).set_axis([f"network {n}" for n in range(6)])
    no_overlap(show_parts({"a": table, "b": table / 1e6, "c": table * 0, "d": table}, digits=2))


def test_error_rates_are_per_cent_of_each_row() -> None:
    left, right = show_error_rates(COUNTS, title="Errors").axes
    np.testing.assert_allclose(bar_lengths(left)[:2], [[75, 0, 75], [25, 0, 25]])
    np.testing.assert_allclose(bar_lengths(right), [[75, 100, 80], [25, 0, 20], [0, 0, 0]])
    assert left.get_title() == "keypoints predicted, 8 in all"
    assert right.get_title() == "visible keypoints annotated, 5 in all"
    assert row_names(left) == ["left hand", "tail", "all"]
    assert legend_names(left.get_legend())[:2] == ["correct", "wrong person"]
    for ax, kinds in ((left, 6), (right, 3)):
        assert len({patch.get_facecolor() for patch in ax.patches}) == kinds


def test_localization_errors_have_the_color_of_their_gain() -> None:
    left, right = show_localization_errors(RATES, GAINS, title="Errors").axes
    np.testing.assert_allclose(bar_lengths(left)[:, 0], [50, 25, 0, 12.5, 12.5])
    assert (bar_lengths(left)[:, 1] == 0).all()
    assert left.get_title() == "8 keypoints of people found"
    assert legend_names(left.get_legend()) == ["good", "jitter", "miss", "inversion", "swap"]
    assert [bar.get_width() for bar in right.patches] == pytest.approx([3, -0.2, 10])
    assert texts(right) == ["+3.0", "-0.2", "+10.0"] and row_names(right)[0] == "jitter"
    assert right.get_xlim()[0] <= -0.2
    colors = {bars.get_label(): bars.patches[0].get_facecolor() for bars in left.containers}
    jitter, miss, everything = (bar.get_facecolor() for bar in right.patches)
    assert (jitter, miss) == (colors["jitter"], colors["miss"])
    assert everything not in colors.values()


def test_unknown_numbers_are_not_drawn() -> None:
    nothing = pd.DataFrame({"gain": [np.nan] * 3}, index=["nothing", "jitter", "all"])
    left, right = show_localization_errors(RATES.assign(counted=0), nothing).axes
    assert left.get_title() == "0 keypoints of people found" and not any(texts(right))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show_parts({}), "nothing to draw"),
        (lambda: show_parts({"a": TIMES.head(0)}), "nothing to draw"),
        (lambda: show_parts({"a": TIMES[[]]}), "one to 7 columns"),
        (lambda: show_parts({"a": TIMES, "b": TIMES[["read"]]}), "'b' has other columns"),
        (lambda: show_error_rates(COUNTS.drop(columns="found")), r"lacks the columns"),
        (lambda: show_error_rates(COUNTS.iloc[:0]), "no row"),
        (lambda: show_localization_errors(RATES.drop(columns="swap"), GAINS), r"\['swap'\]"),
        (lambda: show_localization_errors(RATES, GAINS[[]]), r"lacks the columns \['gain'\]"),
        (lambda: show_localization_errors(RATES.iloc[:0], GAINS), "no row"),
    ],
)
def test_bad_tables_are_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
