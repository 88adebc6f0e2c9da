from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.complexity import show_parts

GMAC = pd.DataFrame(
    {"stem": [2.0, 2.0], "stages": [30.0, 7.25], "heads": [0.0, 4.0]}, index=["full", "light"]
)
PANELS = {"512 px": GMAC, "640 px": 2 * GMAC, "768 px": 3 * GMAC}


def texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in ax.texts] for ax in figure.axes]


def test_bars_are_the_parts_and_their_sum_is_written_behind() -> None:
    figure = show_parts(PANELS, title="what it takes", digits=2)
    drawn, spare = figure.axes[:3], figure.axes[3]
    assert [ax.get_title() for ax in drawn] == list(PANELS) and not spare.axison
    assert texts(figure)[0] == ["32.00", "13.25"] and texts(figure)[1] == ["64.00", "26.50"]
    for ax, table in zip(drawn, PANELS.values(), strict=True):
        bars = np.array([[bar.get_x(), bar.get_width()] for bar in ax.patches]).reshape(3, 2, 2)
        np.testing.assert_allclose(bars[..., 1].T, table)
        np.testing.assert_allclose(bars[1:, :, 0], bars[:-1].sum(axis=-1))
        assert ax.get_xlim()[1] > table.sum(axis=1).max()
    assert [label.get_text() for label in drawn[0].get_yticklabels()] == ["full", "light"]
    low, high = drawn[0].get_ylim()
    assert low > high  # the first network is on top
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(GMAC)
    colors = [patch.get_facecolor() for patch in legend.get_patches()]
    assert colors == [bar.get_facecolor() for bar in drawn[0].patches[::2]]
    assert len(set(colors)) == 3


def test_numbers_stay_inside_and_apart() -> None:
    table = pd.concat([GMAC * 1000] * 3).set_axis([f"network {n}" for n in range(6)])
    figure = show_parts({"a": table, "b": table, "c": table, "d": table})
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts]
        assert all(box.x1 <= ax.get_window_extent().x1 for box in boxes)
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show_parts({}), "nothing to draw"),
        (lambda: show_parts({"a": GMAC.head(0)}), "nothing to draw"),
        (lambda: show_parts({"a": GMAC[[]]}), "one to 7 parts"),
        (lambda: show_parts({"a": pd.concat([GMAC] * 3, axis=1)}), "one to 7 parts"),
        (lambda: show_parts({"a": GMAC, "b": GMAC.iloc[::-1]}), "'b' has other rows"),
        (lambda: show_parts({"a": GMAC, "b": GMAC[["stem"]]}), "'b' has other rows"),
        (lambda: show_parts({"a": GMAC.replace(30.0, np.nan)}), "'a' lacks a number"),
    ],
)
def test_bad_panels_are_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
