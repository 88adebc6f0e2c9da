"""The forest plot: effects and intervals are drawn where they are, by verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.plots.claims import show_claims

VERDICTS = ["yes", "no", "contrary"]
TABLE = pd.DataFrame(
    {
        "paper": ["A", "A", "B", "B"],
        "name": ["one", "two", "three", "four"],
        "unit": ["AP", "AP", "PCK", "time"],
        "published": [1.9, -0.4, 28.8, -1.2],
        "measured": [2.5, 0.2, -3.0, np.nan],
        "low": [1.0, -1.0, -4.0, np.nan],
        "high": [4.0, 1.5, -2.0, np.nan],
        "verdict": ["yes", "no", "contrary", "open"],
    }
)


def test_effects_and_intervals_stand_beside_their_names(no_overlap: Any) -> None:
    figure = show_claims(TABLE, VERDICTS, untested="open", title="claims of the papers")
    left, right = figure.axes
    names = ["A", "one, AP", "two, AP", "B", "three, PCK", "four, time"]
    assert [label.get_text() for label in left.get_yticklabels()] == names
    (published,) = (line for line in left.lines if line.get_marker() == "D")
    np.testing.assert_array_equal(
        published.get_xydata(), [(1.9, 1), (-0.4, 2), (28.8, 4), (-1.2, 5)]
    )
    lines = [line for line in right.lines if line.get_gid() != "no difference"]
    spans = [list(line.get_xdata()) for line in lines if len(line.get_xdata()) == 2]
    assert spans == [[1, 4], [-1, 1.5], [-4, -2]]
    dots = {
        tuple(line.get_xydata()[0]): line.get_marker()
        for line in lines
        if len(line.get_xdata()) == 1
    }
    assert dots == {(2.5, 1): "o", (0.2, 2): "o", (-3.0, 4): "X"}
    assert [text.get_text() for text in left.texts] == ["+1.9", "-0.4", "+28.8", "-1.2"]
    assert right.texts[0].get_text() == "+2.5 [+1.0, +4.0]" and right.texts[3].get_text() == "open"
    for ax, inside in ((left, (-1.2, 28.8)), (right, (-4, 4))):
        low, high = ax.get_xlim()
        assert low < inside[0] and inside[1] < high
    no_overlap(figure)


def test_claims_that_nothing_tests_are_drawn() -> None:
    bare = TABLE.assign(measured=np.nan, low=np.nan, high=np.nan, verdict="open")
    right = show_claims(bare, VERDICTS, untested="open").axes[1]
    assert {text.get_text() for text in right.texts} == {"open"}


def test_other_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['low'\]"):
        show_claims(TABLE.drop(columns="low"), VERDICTS, untested="open")
    with pytest.raises(ValueError, match=r"verdicts must be among .*not \['open'\]"):
        show_claims(TABLE, VERDICTS, untested="closed")
