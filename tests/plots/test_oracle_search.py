from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.oracle_search import show_local_search

RESULTS = pd.DataFrame(
    {
        "row": ["it"] * 3 + ["another"] * 3,
        "window": [1, 11, 3, 1, 3, 11],
        "AP": [50.0, 80.0, 60.0, 40.0, 45.0, 47.0],
    }
)
SHARES = pd.DataFrame(
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


def draw(results: pd.DataFrame = RESULTS, shares: pd.DataFrame = SHARES, **more: Any) -> Figure:
    given = {"window": 11, "drawn": (3, 19), "published_about": "other data", **more}
    return show_local_search(results, shares, PUBLISHED, **given)


def bars(ax: Axes) -> dict[str, list[float]]:
    return {
        str(each.get_label()): [float(bar.get_width()) for bar in each] for each in ax.containers
    }


def test_published_and_measured_numbers_have_axes_of_their_own() -> None:
    theirs, ours, _ = draw().axes
    points = [tuple(map(float, line.get_xydata()[0])) for line in theirs.lines[:2]]
    assert points == [(1, 60.1), (11, 88.9)]
    assert list(theirs.lines[2].get_ydata()) == [70.0, 70.0]  # without a window: a line
    assert "other data" in theirs.get_title() and ours.get_title() == "measured here"
    assert not {60.1, 88.9, 70.0} & {float(y) for line in ours.lines for y in line.get_ydata()}
    assert theirs.get_ylim() != ours.get_ylim()


def test_each_way_is_a_line_over_the_windows_in_order() -> None:
    _, ours, _ = draw().axes
    first, second = (line for line in ours.lines if line.get_marker() not in ("", "None"))
    assert [line.get_label() for line in (first, second)] == ["it", "another"]
    assert list(first.get_xdata()) == [1, 3, 11] and list(first.get_ydata()) == [50, 60, 80]
    assert list(second.get_ydata()) == [40, 45, 47]
    assert first.get_color() != second.get_color()
    assert not ours.texts  # numbers of several lines would be on one another
    _, alone, _ = draw(RESULTS[:3]).axes
    assert [text.get_text() for text in alone.texts] == ["50.0", "80.0"]


def test_shares_are_drawn_with_small_windows_over_large_ones() -> None:
    _, _, ax = draw().axes
    drawn = bars(ax)
    assert list(drawn) == ["within 3×3", "within 11×11", "within 19×19", "farther off", "not found"]
    assert drawn["within 3×3"] == [20, 10, 0, 15] and drawn["within 19×19"] == [80, 60, 0, 72]
    assert drawn["farther off"] == [100, 100, 0, 100] and drawn["not found"] == [10, 0, 0, 4]
    order = [each.patches[0].get_zorder() for each in ax.containers]
    assert order[0] > order[1] > order[2] > order[4] > order[3]
    missing = ax.containers[-1].patches[0]
    assert missing.get_x() + missing.get_width() == 100
    assert [text.get_text() for text in ax.texts] == ["70", "60", "–", "65"]
    assert [label.get_text() for label in ax.get_yticklabels()][1] == "left hip"


def test_the_window_of_the_figure_is_always_drawn() -> None:
    _, _, ax = draw(drawn=(), window=3).axes
    assert list(bars(ax)) == ["within 3×3", "farther off", "not found"]


@pytest.mark.parametrize("ways", [1, 5])
def test_text_does_not_overlap(ways: int) -> None:
    names = [f"a way with a long name {n}" for n in range(ways)]
    results = pd.concat(
        [RESULTS[:3].assign(row=name, AP=RESULTS["AP"] + n) for n, name in enumerate(names)]
    )
    shares = pd.concat([SHARES] * 4, ignore_index=True)
    sheet = draw(results, shares, drawn=(1, 3, 19), title="what it adds " * 9)
    sheet.draw_without_rendering()
    texts = [text for ax in sheet.axes for text in (ax.title, ax.xaxis.label, *ax.texts)]
    texts += [label for ax in sheet.axes for label in ax.get_yticklabels() if label.get_text()]
    texts += [text for ax in sheet.axes if ax.get_legend() for text in ax.get_legend().get_texts()]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert all(box.x0 >= 0 and box.x1 <= sheet.bbox.x1 for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= sheet.bbox.y1 for box in boxes)
    for i, a in enumerate(boxes):
        assert not any(a.overlaps(b) for b in boxes[i + 1 :])


def test_nothing_measured_of_any_keypoint_is_drawn_too() -> None:
    nothing = SHARES.assign(**{name: np.nan for name in SHARES if name != "keypoint"})
    sheet = draw(RESULTS.assign(AP=0.0), nothing)
    sheet.draw_without_rendering()
    assert [text.get_text() for text in sheet.axes[2].texts] == ["–"] * 4


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"lack the columns \['AP', 'within_7'\]"):
        draw(RESULTS.drop(columns="AP"), drawn=(7,))
    with pytest.raises(ValueError, match="window 19 is not among those measured"):
        draw(window=19)
    with pytest.raises(ValueError, match="published_about"):
        draw(published_about=" ")
    many = pd.concat([RESULTS[:3].assign(row=str(n)) for n in range(6)])
    with pytest.raises(ValueError, match="one to 5 ways can be drawn, not 6"):
        draw(many)
    with pytest.raises(ValueError, match="no keypoint"):
        draw(shares=SHARES[:0])
