from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.timings import show_speed, show_stages
from tests.plots.factories import bar_lengths

STAGES = ("nms", "match", "refine")


def speeds() -> pd.DataFrame:
    columns = ["work", "setting", "ms", "lower_ms", "upper_ms", "baseline_ms"]
    rows = [
        ("decoding, 10 people", "1 thread", 25.0, 24.0, 27.0, 1500.0),
        ("decoding, 10 people", "2 threads", 20.0, 19.0, 22.0, 1490.0),
        ("reading the maps once", "1 thread", 4.0, 3.9, 4.2, np.nan),
    ]
    return pd.DataFrame(rows, columns=columns)


def stages() -> pd.DataFrame:
    rows = [
        (variant, people, 10.0, 1.0, factor * people, 11.0 + factor * people)
        for variant, factor in (("plain", 100), ("poselib", 1))
        for people in (1, 10)
    ]
    rows.append(("published", np.nan, 6.1, 7.6, 2584.8, 2606.7))
    return pd.DataFrame(rows, columns=["variant", "people", *STAGES, "total"])


def texts(figure: Figure) -> list[str]:
    return [text.get_text().strip() for ax in figure.axes for text in ax.texts]


def test_ratios_are_written_beside_the_times() -> None:
    figure = show_speed(speeds(), title="how fast")
    assert [ax.get_title() for ax in figure.axes] == ["1 thread", "2 threads"]
    assert texts(figure) == ["×60", "4 ms", "×74.5"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["decoding, 10 people", "reading the maps once"]


def test_shares_are_of_the_chosen_number_of_people() -> None:
    left, right = show_stages(stages(), STAGES, people=10).axes
    assert texts(left.figure)[:3] == ["1.01 s", "21 ms", "2.61 s"]
    expected = np.array([[10, 1, 1000], [10, 1, 10], [6.1, 7.6, 2584.8]])
    np.testing.assert_allclose(
        bar_lengths(left).T, 100 * expected / expected.sum(axis=1, keepdims=True)
    )
    assert [line.get_label() for line in right.lines] == ["plain", "poselib"]
    np.testing.assert_allclose(right.lines[0].get_ydata(), [111.0, 1011.0])


def test_units_follow_the_size() -> None:
    times = speeds().assign(ms=[0.0123, 1.0, 1234.0], baseline_ms=np.nan)
    assert texts(show_speed(times)) == ["12.3 µs", "1.23 s", "1 ms"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show_speed(speeds().drop(columns="ms")), r"lacks the columns \['ms'\]"),
        (lambda: show_speed(speeds().head(0)), "has no row"),
        (lambda: show_speed(speeds().iloc[[0, 0]]), "two rows of .*decoding, 10 people"),
        (lambda: show_stages(stages(), STAGES, people=7), "no row has 7 people"),
        (lambda: show_stages(stages(), ("adjust",), people=1), r"lacks the columns \['adjust'\]"),
    ],
)
def test_bad_tables_are_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
