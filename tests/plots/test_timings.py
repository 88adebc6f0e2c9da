from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.timings import show_speed, show_stages, show_tradeoff
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


PRINTED = pd.DataFrame(
    {"method": ["ours", "ours", "other"], "ms": [48.0, 112.0, 560.0], "AP": [69.6, 72.2, 67.1]},
    index=["W32", "W48", "W32"],
)
MEASURED = pd.DataFrame(
    {"method": ["ours", "third"], "ms": [6.0, 6.5], "AP": [40.0, 41.0]}, index=["small", "third"]
)


def test_a_method_looks_alike_in_all_panels() -> None:
    figure = show_tradeoff({"printed": PRINTED, "measured": MEASURED}, title="fast and good")
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["printed", "measured"]
    points, others = left.collections[0], right.collections[0]
    np.testing.assert_allclose(points.get_offsets(), PRINTED[["ms", "AP"]])
    ours, same, other = points.get_facecolors().tolist()
    assert ours == same == others.get_facecolors().tolist()[0] != other
    assert [text.get_text() for text in left.texts] == ["W32", "W48", "W32"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "other", "third"]


def test_panels_have_axes_of_their_own_with_round_times() -> None:
    figure = show_tradeoff({"printed": PRINTED, "measured": MEASURED, "one": MEASURED.head(1)})
    figure.draw_without_rendering()
    for ax, expected in zip(figure.axes, ([50, 100, 200, 500], [5, 6, 7, 8, 9], None), strict=True):
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ax.get_xscale() == "log" and len(ticks) >= 3
        assert expected is None or ticks == pytest.approx(expected)
        box = ax.get_window_extent()
        for text in ax.texts:
            extent = text.get_window_extent()
            assert box.x0 <= extent.x0 and extent.x1 <= box.x1
            assert box.y0 <= extent.y0 and extent.y1 <= box.y1


def test_names_of_networks_that_are_alike_stay_apart() -> None:
    near = MEASURED.assign(method="ours", ms=[6.0, 6.01], AP=[40.0, 40.0])
    figure = show_tradeoff({"measured": near, "printed": PRINTED})
    figure.draw_without_rendering()
    one, other = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not one.overlaps(other)


def test_names_cover_neither_points_nor_one_another() -> None:
    crowd = pd.DataFrame(
        {"method": ["a", "a", "a", "b", "c"], "ms": [45.8, 41.7, 35.1, 20.1, 32.3],
         "AP": [45.8, 46.3, 46.4, 28.2, 43.6]}, index=[f"seed {number}" for number in range(5)],
    )  # fmt: skip
    figure = show_tradeoff({"printed": PRINTED, "measured": crowd})
    figure.draw_without_rendering()
    (ax,) = figure.axes[1:]
    names = [text.get_window_extent() for text in ax.texts]
    points = ax.transData.transform(crowd[["ms", "AP"]].to_numpy(float))
    for number, name in enumerate(names):
        assert not name.count_contains(points)
        assert not name.count_overlaps(names[:number])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show_tradeoff({}), "there is no panel"),
        (lambda: show_tradeoff({"a": PRINTED.head(0)}), "has no row"),
        (lambda: show_tradeoff({"a": PRINTED.drop(columns="ms")}), r"lacks the columns \['ms'"),
        (lambda: show_tradeoff({"a": PRINTED.assign(AP=np.nan)}), "'a' lacks a number"),
        (lambda: show_tradeoff({"a": PRINTED.assign(ms=0.0)}), "a time is not positive"),
        (
            lambda: show_tradeoff(
                {"a": pd.concat([PRINTED.head(1)] * 8).assign(method=list("abcdefgh"))}
            ),
            "up to 7 methods",
        ),
    ],
)
def test_bad_tradeoffs_are_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
