from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.oracle_search import show_local_search
from tests.plots.factories import bar_lengths, row_names

RESULTS = pd.DataFrame({"row": "it", "window": [1, 11, 3], "AP": [50.0, 80.0, 60.0]})
RATES = pd.DataFrame(
    {
        "keypoint": ["nose", "left_hip", "tail", "all"],
        "within_1": [5.0, 0.0, np.nan, 2.0],
        "within_3": [20.0, 10.0, np.nan, 15.0],
        "within_11": [70.0, 60.0, np.nan, 65.0],
        "within_19": [80.0, 60.0, np.nan, 72.0],
        "missing": [10.0, 0.0, np.nan, 4.0],
    }
)
PUBLISHED = pd.DataFrame(
    {"row": ["plain", "searched", "learned"], "window": [1, 11, np.nan], "AP": [60.1, 88.9, 70.0]}
)


def draw(results: pd.DataFrame = RESULTS, rates: pd.DataFrame = RATES, **more: Any) -> Figure:
    given = {"window": 11, "drawn": (3, 19), "published_about": "other data", **more}
    return show_local_search(results, rates, PUBLISHED, **given)


def names(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_published_and_measured_numbers_have_axes_of_their_own() -> None:
    theirs, ours, _ = draw().axes
    points = [tuple(map(float, line.get_xydata()[0])) for line in theirs.lines[:2]]
    assert points == [(1, 60.1), (11, 88.9)]
    assert list(theirs.lines[2].get_ydata()) == [70.0, 70.0]  # without a window: a line
    assert "other data" in theirs.get_title() and ours.get_title() == "measured here,\nit"
    assert not {60.1, 88.9, 70.0} & {float(y) for line in ours.lines for y in line.get_ydata()}
    assert theirs.get_ylim() != ours.get_ylim()


def test_measured_numbers_are_a_line_over_the_windows_in_order() -> None:
    _, ours, _ = draw().axes
    (line,) = (line for line in ours.lines if line.get_marker() not in ("", "None"))
    assert list(line.get_xdata()) == [1, 3, 11] and list(line.get_ydata()) == [50, 60, 80]
    assert sorted(text.get_text() for text in ours.texts) == ["50.0", "80.0"]


def test_each_row_has_a_line(no_overlap: Any) -> None:
    adapted = RESULTS.assign(row="adapted", AP=RESULTS["AP"] + 8)
    figure = draw(pd.concat([RESULTS.assign(row="center-offset"), adapted]))
    ours = figure.axes[1]
    lines = [line for line in ours.lines if line.get_marker() not in ("", "None")]
    assert [list(line.get_ydata()) for line in lines] == [[50, 60, 80], [58, 68, 88]]
    assert names(ours) == ["center-offset", "adapted"] and ours.get_title() == "measured here"
    no_overlap(figure)


def test_windows_are_stacked_from_the_smallest() -> None:
    ax = draw().axes[2]
    assert names(ax) == ["within 3×3", "within 11×11", "within 19×19", "farther off", "not found"]
    lengths = bar_lengths(ax)
    np.testing.assert_allclose(lengths[:3].cumsum(axis=0)[:, 0], [20, 70, 80])
    np.testing.assert_allclose(lengths[:, 1], [10, 50, 0, 40, 0])
    np.testing.assert_allclose(lengths.sum(axis=0), [100, 100, 0, 100])
    assert lengths[-1].tolist() == [10, 0, 0, 4]
    assert [text.get_text() for text in ax.texts] == ["70", "60", "–", "65"]
    assert row_names(ax)[1] == "left hip"


def test_the_window_of_the_figure_is_always_drawn() -> None:
    _, _, ax = draw(drawn=(), window=3).axes
    assert names(ax) == ["within 3×3", "farther off", "not found"]


def test_text_does_not_overlap(no_overlap: Any) -> None:
    rates = pd.concat([RATES] * 4, ignore_index=True)
    results = RESULTS.assign(row="a system with a long name")
    no_overlap(draw(results, rates, drawn=(1, 3, 19), title="what it adds " * 9))


def test_nothing_measured_of_any_keypoint_is_drawn_too() -> None:
    nothing = RATES.assign(**{name: np.nan for name in RATES if name != "keypoint"})
    sheet = draw(RESULTS.assign(AP=0.0), nothing)
    sheet.draw_without_rendering()
    assert [text.get_text() for text in sheet.axes[2].texts] == ["–"] * 4


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['AP'\]"):
        draw(RESULTS.drop(columns="AP"))
    with pytest.raises(ValueError, match=r"lacks the columns \['within_7'\]"):
        draw(drawn=(7,))
    with pytest.raises(ValueError, match="window 19 is not among those measured"):
        draw(window=19)
    with pytest.raises(ValueError, match="published_about"):
        draw(published_about=" ")
    with pytest.raises(ValueError, match="no row"):
        draw(rates=RATES[:0])
