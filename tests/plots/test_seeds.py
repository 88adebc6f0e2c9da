"""Seeds of ablations, gains and loss curves: the numbers drawn are the numbers given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.seeds import show_ablation, show_decodings, show_gains, show_loss_curves
from tests.plots.factories import row_names

RESULTS = pd.DataFrame(
    {
        "row": ["a", "b", "a", "b", "a"],
        "AP": [40.0, 50.0, 42.0, 54.0, 44.0],
        "AR": [1.0, 2.0, 1.0, np.nan, 1.0],
    }
)
PUBLISHED = pd.DataFrame({"AP": [64.2]}, index=["b"])
DIFFERENCES = pd.DataFrame({"b": [0.3, 0.5, 0.4], "a": [0.0, -0.2, np.nan]}, index=["x", "y", "z"])
STEPS = np.arange(10, 410, 10)
LEVELS = {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 5.0, ("b", 1): 9.0}


def ablation(metrics: dict[str, str], rows: str = "ab", **more: Any) -> Figure:
    more = {"results": RESULTS, "published": PUBLISHED, "published_on": "CrowdPose test", **more}
    return show_ablation(metrics=metrics, rows=list(rows), **more)


def gains(rows: str = "ab", **more: Any) -> Figure:
    more = {"results": RESULTS, "published": DIFFERENCES, "published_about": "AP, there", **more}
    return show_gains(metrics={"AP": "AP here", "AR": "AR"}, rows=list(rows), **more)


@pytest.fixture
def losses() -> pd.DataFrame:
    """Straight lines, the second seed's above the first's."""
    parts = [
        pd.DataFrame({"row": row, "run": f"{row}{seed}", "step": STEPS, "loss": level * STEPS})
        for (row, seed), level in LEVELS.items()
    ]
    return pd.concat(parts, ignore_index=True)


def curves(losses: pd.DataFrame, rows: str = "ab", **more: Any) -> Figure:
    more = {"metrics": {"AP": "AP", "AR": "AR"}, "heading": "offset loss", **more}
    return show_loss_curves(losses, RESULTS, rows=list(rows), **more)


def seeds(ax: Axes) -> list[list[float]]:
    """The values of each row that has any, as they are drawn."""
    dots = [np.asarray(c.get_offsets())[:, 0].tolist() for c in ax.collections]
    return [sorted(values) for values in dots if values]


def means(ax: Axes) -> dict[float, float]:
    """The mean of each row by its position, where there is one."""
    (line,) = (line for line in ax.lines if line.get_marker() == "|")
    pairs = line.get_xydata()
    return {float(y): float(x) for x, y in pairs if np.isfinite(x)}


def spans(ax: Axes) -> list[tuple[float, float]]:
    """The ends of the bars of the rows that have one."""
    drawn = [line.get_xdata() for line in ax.lines if line.get_marker() != "|"]
    ends = [(min(x), max(x)) for x in drawn if len(x) > 2]
    return [pair for pair in ends if np.isfinite(pair).all()]


def test_every_seed_their_means_and_deviations_are_drawn() -> None:
    _, ax = ablation({"AP": "average precision"}).axes
    assert ax.get_title() == "average precision"
    assert seeds(ax) == [[40, 42, 44], [50, 54]]
    assert means(ax) == {0: 42, 1: 52}
    assert (40, 44) in spans(ax)  # sample deviation of 40, 42, 44


def test_rows_without_runs_keep_their_place() -> None:
    first, ap, ar = ablation({"AP": "AP", "AR": "AR"}, rows="cba").axes
    assert row_names(first) == ["c", "b", "a"]
    assert first.get_ylim() == ap.get_ylim() == (2.5, -0.5)
    assert means(ap) == {1: 52, 2: 42} and seeds(ar) == [[2], [1, 1, 1]]


def test_published_numbers_have_panels_of_their_own() -> None:
    theirs, ours = ablation({"AP": "precision"}).axes
    assert theirs.get_title() == "published precision\nCrowdPose test"
    assert ours.get_title() == "precision"
    np.testing.assert_array_equal(theirs.lines[0].get_xdata(), [np.nan, 64.2])
    left, ap, _ = gains().axes
    assert (left.get_title(), row_names(left), row_names(ap)) == ("AP, there", [*"xyz"], [*"ab"])
    first, second = (line for line in left.lines if line.get_marker() == "D")
    np.testing.assert_array_equal(first.get_xdata(), DIFFERENCES["a"])
    np.testing.assert_array_equal(second.get_xdata(), DIFFERENCES["b"])
    assert first.get_markerfacecolor() != second.get_markerfacecolor()


@pytest.mark.slow
def test_many_panels_are_drawn_in_two_lines() -> None:
    many = pd.DataFrame({name: [1.0, 2.0] for name in ("AP", "AR", "swap")}, index=["a", "b"])
    metrics = {"AP": "AP", "AR": "AR"}
    assert len({ax.get_position().y0 for ax in ablation(metrics, published=many).axes}) == 1
    figure = ablation(
        {**metrics, "miss": "misses"}, results=RESULTS.assign(miss=1.0), published=many
    )
    assert [ax.get_title().partition("\n")[0] for ax in figure.axes] == [
        *("published AP", "published AR", "published swap", "AP", "AR", "misses")
    ]
    figure.draw_without_rendering()
    above, below = figure.axes[:3], figure.axes[3:]
    assert min(ax.get_position().y0 for ax in above) > max(ax.get_position().y1 for ax in below)
    assert row_names(above[0]) == row_names(below[0]) == ["a", "b"]
    five = pd.DataFrame({str(n): [1.0, 2.0] for n in range(5)}, index=["a", "b"])
    assert len(ablation({"AP": "AP"}, published=five).axes) == 6


def test_gains_are_drawn_beside_zero() -> None:
    _, ap, _ = axes = gains().axes
    assert means(ap) == {0: 42, 1: 52} and seeds(ap) == [[40, 42, 44], [50, 54]]
    # The interval of 40, 42, 44; two seeds have none.
    half = 4.302653 * 2 / 3**0.5
    (span,) = spans(ap)
    np.testing.assert_allclose(span, (42 - half, 42 + half), 1e-6)
    for ax in axes:
        (zero,) = (line for line in ax.lines if line.get_gid() == "no difference")
        assert list(zero.get_xdata()) == [0, 0]


def test_a_curve_is_the_mean_over_seeds_of_smoothed_losses(losses: pd.DataFrame) -> None:
    left, ap, _ = curves(losses).axes
    assert left.get_title() == "offset loss" and means(ap) == {0: 42, 1: 52}
    first, second = (line.get_xydata() for line in left.lines if len(line.get_xdata()))
    np.testing.assert_array_equal(first[:, 0], STEPS[STEPS > 40])
    # Four neighbors are averaged, the step and one after it among them: 5 less than the step's.
    inner = slice(0, -1)
    np.testing.assert_allclose(first[inner, 1], 2.0 * (first[inner, 0] - 5))
    np.testing.assert_allclose(second[inner, 1], 7.0 * (second[inner, 0] - 5))
    corners = left.collections[0].get_paths()[0].vertices
    band = corners[corners[:, 0] == 200, 1]
    np.testing.assert_allclose((band.min(), band.max()), (1.0 * 195, 3.0 * 195))


def test_a_row_without_runs_keeps_its_color(losses: pd.DataFrame) -> None:
    whole, part = curves(losses, "cb").axes[0], curves(losses, "ab").axes[0]
    assert whole.lines[0].get_color() == part.lines[1].get_color()
    one = pd.DataFrame({"row": ["a"], "run": ["r"], "step": [4], "loss": [0.1]})
    np.testing.assert_array_equal(curves(one).axes[0].lines[0].get_xydata(), [[4, 0.1]])


def test_differences_among_other_metrics_have_intervals() -> None:
    both = RESULTS.assign(AP_gain=RESULTS["AP"])
    plain, gained = ablation({"AP": "AP", "AP_gain": "gain"}, results=both).axes[1:]
    assert (40, 44) in spans(plain) and (40, 44) not in spans(gained)


def test_text_does_not_overlap(no_overlap: Any) -> None:
    names = {"a": "one scale", "b": "several scales"}
    labels = [f"COCO test-dev2017, W{n}" for n in range(6)]
    no_overlap(
        gains(
            results=RESULTS.replace(names),
            rows=list(names.values()),
            published=pd.DataFrame(dict.fromkeys(names.values(), 0.4), index=labels),
            title="what it adds " * 9,
        )
    )


def test_what_is_missing_is_named(losses: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['AP9'\]"):
        ablation({"AP9": "AP"})
    with pytest.raises(ValueError, match="on which data"):
        ablation({"AP": "AP"}, published_on=" ")
    with pytest.raises(ValueError, match=r"lacks the columns \['a'\]"):
        gains(published=DIFFERENCES[["b"]])
    with pytest.raises(ValueError, match="what is published must be named"):
        gains(published_about=" ")
    with pytest.raises(ValueError, match=r"two rows .*not \['a'\]"):
        gains("a")
    with pytest.raises(ValueError, match=r"lacks the columns \['step'\]"):
        curves(losses.drop(columns="step"))
    with pytest.raises(ValueError, match=r"rows of \['a', 'b'\]"):
        curves(losses, "xy")
    with pytest.raises(ValueError, match="one to 6 rows"):
        curves(losses, "abcdefg")


def test_every_decoding_has_a_line_over_the_rows(no_overlap: Any) -> None:
    results = pd.DataFrame(
        {
            "row": ["long", "short", "short", "long"] * 2,
            "decoding": ["plain"] * 4 + ["refined"] * 4,
            "AP": [30.0, 10.0, 14.0, 32.0, 50.0, 5.0, 7.0, 54.0],
        }
    )
    given = {"metric": "AP", "label": "AP, %", "rows": ["short", "long"]}
    figure = show_decodings(results, decodings=["refined", "plain"], title="it", **given)
    (ax,) = figure.axes
    marked = [line.get_ydata() for line in ax.lines if line.get_marker() == "o"]
    assert [list(y) for y in marked if len(y)] == [[6, 52], [12, 31]] and ax.get_ylabel() == "AP, %"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["refined", "plain"]
    no_overlap(figure)
    with pytest.raises(ValueError, match=r"lacks the columns \['decoding'\]"):
        show_decodings(results.drop(columns="decoding"), decodings=["plain"], **given)
    with pytest.raises(ValueError, match="at most 7 decodings"):
        show_decodings(results, decodings=list("abcdefgh"), **given)
