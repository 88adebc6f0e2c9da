from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.gains import show_gains

RESULTS = pd.DataFrame(
    {"row": ["one", "two", "one", "two"], "AP": [0.1, 0.5, -0.3, 0.7], "jitter": [1.0, 2, 3, 4]}
)
PUBLISHED = pd.DataFrame(
    {"two": [0.3, 0.5, 0.4], "one": [0.0, -0.2, np.nan]}, index=["a", "b", "c"]
)


def draw(results: pd.DataFrame = RESULTS, rows: str = "one two", **more: Any) -> Figure:
    given = {"published": PUBLISHED, "published_about": "AP, elsewhere", **more}
    return show_gains(results, {"AP": "AP here", "jitter": "jitter"}, rows=rows.split(), **given)


def names(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_published_and_measured_differences_have_panels_and_rows_of_their_own() -> None:
    theirs, ap, jitter = draw().axes
    assert [ax.get_title() for ax in (theirs, ap, jitter)] == ["AP, elsewhere", "AP here", "jitter"]
    assert (names(theirs), names(ap)) == (["a", "b", "c"], ["one", "two"])
    one, two = (line for line in theirs.lines if line.get_marker() == "D")
    np.testing.assert_array_equal(one.get_xdata(), [0.0, -0.2, np.nan])
    np.testing.assert_array_equal(two.get_xdata(), [0.3, 0.5, 0.4])
    assert one.get_markerfacecolor() != two.get_markerfacecolor()


def test_every_seed_and_the_means_are_drawn_beside_nothing_gained() -> None:
    _, ap, _ = figure_axes = draw().axes
    means = [float(bar.lines[0].get_xdata()[0]) for bar in ap.containers]
    assert means == pytest.approx([-0.1, 0.6])
    dots = [line.get_xdata() for line in ap.lines if line.get_marker() == "o"]
    assert sorted(len(each) for each in dots) == [2, 2]
    for ax in figure_axes:
        (zero,) = (line for line in ax.lines if line.get_gid() == "nothing")
        assert list(zero.get_xdata()) == [0, 0]


def test_text_does_not_overlap() -> None:
    labels = [f"COCO test-dev2017, W{n}" for n in range(6)]
    published = pd.DataFrame({"one scale": 0.1, "several scales": 0.4}, index=labels)
    results = RESULTS.assign(row=RESULTS["row"].map({"one": "one scale", "two": "several scales"}))
    sheet = show_gains(
        results,
        {"AP": "AP, here", "jitter": "jitter, here"},
        published,
        published_about="published AP",
        rows=["one scale", "several scales"],
        title="what it adds " * 9,
    )
    sheet.draw_without_rendering()
    texts = [ax.title for ax in sheet.axes]
    texts += [label for ax in sheet.axes for label in ax.get_yticklabels() if label.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert all(box.x0 >= 0 and box.x1 <= sheet.bbox.x1 for box in boxes)
    for i, a in enumerate(boxes):
        assert not any(a.overlaps(b) for b in boxes[i + 1 :])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"lack the columns \['jitter', 'two'\]"):
        draw(RESULTS.drop(columns="jitter"), published=PUBLISHED[["one"]])
    with pytest.raises(ValueError, match="what is published must be named"):
        draw(published_about=" ")
    with pytest.raises(ValueError, match=r"two rows .*not \['one'\]"):
        draw(rows="one")
