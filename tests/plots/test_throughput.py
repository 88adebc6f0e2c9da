from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.throughput import show_throughput
from tests.plots.factories import bar_lengths

PANELS = {
    "one, batch 1": pd.Series({"float32": 20.0, "bf16": 50.0, "compiled": np.nan}),
    "one, batch 32": pd.Series({"float32": 100.0, "bf16": 150.0}),
}
VERDICTS = [
    {"target": "twice as fast", "wanted": "at least 2 times", "measured": "2.5", "met": True},
    {"target": "as exact", "wanted": "no loss", "measured": "0.1", "met": False},
    {"target": "as small", "wanted": "1 MB", "measured": "not measured yet", "met": None},
]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_bars_are_the_rates_and_say_how_many_times_the_first_they_are() -> None:
    figure = show_throughput(PANELS, {"one, batch 1": 40.0}, VERDICTS, unit="images/s")
    first, second = (ax for ax in figure.axes if ax.get_title())
    assert bar_lengths(first).tolist() == [[20, 50, 0]]
    assert bar_lengths(second).tolist() == [[100, 150]]
    assert {"20", "50  ×2.50", "not measured", "150  ×1.50"} <= set(texts(figure))
    dashed = [[line.get_xdata()[0] for line in ax.lines] for ax in (first, second)]
    assert dashed == [[40.0], []]
    assert first.get_xlim()[1] > 50


def test_every_verdict_is_written() -> None:
    written = texts(show_throughput(PANELS, {}, VERDICTS, unit="images/s"))
    assert {"met", "missed", "not measured", "twice as fast", "at least 2 times"} <= set(written)
    assert "met" not in texts(show_throughput(PANELS, {}, (), unit="images/s"))


def test_nothing_to_draw_is_an_error() -> None:
    for panels in ({}, {"one": pd.Series(dtype=float)}):
        with pytest.raises(ValueError, match="nothing to draw"):
            show_throughput(panels, {}, (), unit="images/s")
