from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.breakdown import show_breakdown

TIMES = pd.DataFrame(
    {"read": [1.0, 3.0], "convolve": [2.0, 40.0], "rest": [np.nan, 0.5]},
    index=["1 person", "30 people"],
)
PANELS = {"published": TIMES.drop(columns="rest").reindex(columns=TIMES.columns), "here": TIMES}


def test_stages_follow_one_another_and_their_sum_stands_behind() -> None:
    figure = show_breakdown({**PANELS, "elsewhere": TIMES.head(1) * 100}, title="stages")
    drawn, spare = figure.axes[:3], figure.axes[3]
    assert [ax.get_title() for ax in drawn] == ["published", "here", "elsewhere"]
    assert not spare.axison
    texts = [[text.get_text() for text in ax.texts] for ax in drawn]
    assert texts == [["3.00", "43.0"], ["3.00", "43.5"], ["300"]]
    bars = np.array([[bar.get_x(), bar.get_width()] for bar in drawn[1].patches]).reshape(3, 2, 2)
    np.testing.assert_allclose(bars[..., 1].T, TIMES.fillna(0.0))
    np.testing.assert_allclose(bars[1:, :, 0], bars[:-1].sum(axis=-1))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(TIMES)


def test_each_panel_has_its_own_cases() -> None:
    published, here = show_breakdown({"a": TIMES, "b": TIMES.tail(1)}).axes
    labels = [[t.get_text() for t in ax.get_yticklabels()] for ax in (published, here)]
    assert labels == [["1 person", "30 people"], ["30 people"]]
    low, high = published.get_ylim()
    assert low > high  # the first case is on top


def test_sums_stay_inside() -> None:
    figure = show_breakdown({"a": TIMES * 1000, "b": TIMES / 1000, "c": TIMES * 0})
    figure.draw_without_rendering()
    for ax in figure.axes[:3]:
        assert all(t.get_window_extent().x1 <= ax.get_window_extent().x1 for t in ax.texts)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show_breakdown({}), "nothing to draw"),
        (lambda: show_breakdown({"a": TIMES.head(0)}), "nothing to draw"),
        (lambda: show_breakdown({"a": TIMES[[]]}), "one to 6 stages"),
        (lambda: show_breakdown({"a": TIMES, "b": TIMES[["read"]]}), "'b' has other stages"),
    ],
)
def test_bad_panels_are_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
