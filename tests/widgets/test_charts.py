"""Charts that are drawn anew into a frame that stays."""

from __future__ import annotations

import gc
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("anywidget")

from matplotlib.axes import Axes

from poselib.widgets import charts
from poselib.widgets.charts import Chart


def frame(ax: Axes) -> None:
    ax.set(xlim=(0, 10), ylim=(0, 5), xlabel="step", xticks=range(10))


def pixels(chart: Chart) -> Any:
    return cv2.imdecode(np.frombuffer(chart.picture, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_what_is_drawn_into_a_frame_equals_a_whole_drawing() -> None:
    kept, whole, frames = Chart(2.0, 1.5), Chart(2.0, 1.5), []

    def framed(ax: Axes) -> None:
        frames.append(1)
        frame(ax)

    for x in (2.0, 7.0):

        def draw(ax: Axes, x: float = x) -> None:
            ax.bar(x, 3.0, color="0.9", zorder=1)
            ax.plot([x], [2.0], "ro", zorder=5)

        kept.redraw_within("key", framed, draw, [(x, 2.0, "dot")])
        whole.redraw(lambda ax, draw=draw: (frame(ax), draw(ax))[0], [(x, 2.0, "dot")])
        inside = np.s_[10:-50, 30:-10]  # not the ticks, which are below
        assert np.abs(pixels(kept)[inside] - pixels(whole)[inside]).max() < 40
        assert np.abs(pixels(kept) - pixels(whole)).mean() < 1.0
        np.testing.assert_allclose(kept.labels[0][:2], whole.labels[0][:2], atol=0.5)
    assert frames == [1]
    kept.redraw_within("other", framed, lambda ax: None)
    assert frames == [1, 1]


def test_what_was_drawn_before_is_not_kept() -> None:
    chart = Chart(2.0, 1.5)

    def draw(ax: Axes) -> None:
        ax.bar([1, 2, 3], 3.0)
        ax.errorbar([1, 2], [1, 2], yerr=0.5)

    def objects_after(drawings: int) -> int:
        for _ in range(drawings):
            chart.redraw_within("key", frame, draw)
        gc.collect()
        return len(gc.get_objects())

    objects_after(3)
    assert abs(objects_after(1) - objects_after(10)) < 50


def test_frames_are_shown_again_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_FRAMES", 2)
    chart, drawn = Chart(2.0, 1.5), []

    def shown(top: float) -> tuple[bytes, Any]:
        def framed(ax: Axes) -> None:
            drawn.append(top)
            ax.set(xlim=(0, 10), ylim=(0, top))

        names = [(5.0, top / 2, "dot")]
        chart.redraw_within(top, framed, lambda ax: ax.plot([5], [top / 2], "ro"), names)
        return chart.picture, chart.labels

    tops = (5.0, 50000.0)  # whose labels take more room
    first = [shown(top) for top in tops]
    assert first[0] != first[1]
    assert [shown(top) for top in tops] == first and drawn == [*tops]
    chart.redraw(lambda ax: ax.plot([0, 1], [0, 1]))
    assert shown(tops[0]) == first[0] and drawn == [*tops, tops[0]]
    for top in (6.0, 7.0, tops[0]):  # only the last two are kept
        shown(top)
    assert drawn == [*tops, tops[0], 6.0, 7.0, tops[0]]
