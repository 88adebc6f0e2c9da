from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.ablation import show_ablation


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": ["a", "b", "a", "b", "a"],
            "seed": [0, 0, 1, 1, 2],
            "AP": [40.0, 50.0, 42.0, 54.0, 44.0],
            "AR": [1.0, 2.0, 1.0, np.nan, 1.0],
        }
    )


PUBLISHED = pd.DataFrame({"AP": [64.2]}, index=["b"])


def draw(results: pd.DataFrame, metrics: dict[str, str], rows: str = "ab", **more: Any) -> Figure:
    more = {"published": PUBLISHED, "published_on": "CrowdPose test", **more}
    return show_ablation(results, metrics, rows=list(rows), **more)


def test_every_seed_and_the_means_are_drawn(results: pd.DataFrame) -> None:
    _, ax = draw(results, {"AP": "average precision"}).axes
    assert ax.get_title() == "average precision"
    bars = [container.lines[0] for container in ax.containers]
    assert [(float(bar.get_xdata()[0]), float(bar.get_ydata()[0])) for bar in bars] == [
        (42.0, 0.0),
        (52.0, 1.0),
    ]
    whiskers = [container.lines[2][0].get_segments()[0] for container in ax.containers]
    np.testing.assert_allclose(whiskers[0][:, 0], [40, 44])  # sample deviation of 40, 42, 44
    dots = [line.get_xdata() for line in ax.lines if line.get_marker() == "o"]
    assert sorted(len(each) for each in dots) == [2, 3]


def test_rows_without_runs_keep_their_place(results: pd.DataFrame) -> None:
    first, ap, ar = draw(results, {"AP": "AP", "AR": "AR"}, rows="cba").axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["c", "b", "a"]
    assert first.get_ylim() == ap.get_ylim() == (2.5, -0.5)
    assert sorted(float(c.lines[0].get_ydata()[0]) for c in ap.containers) == [1, 2]
    assert len(ar.containers) == 2  # a seed without the metric does not count


def test_published_numbers_have_panels_of_their_own(results: pd.DataFrame) -> None:
    theirs, ours = draw(results, {"AP": "AP"}).axes
    assert "CrowdPose test" in theirs.get_title() and ours.get_title() == "AP"
    np.testing.assert_array_equal(theirs.lines[0].get_xdata(), [np.nan, 64.2])
    with pytest.raises(ValueError, match="on which data"):
        draw(results, {"AP": "AP"}, published_on=" ")


def test_many_panels_stand_in_two_lines(results: pd.DataFrame) -> None:
    many = pd.DataFrame({name: [1.0, 2.0] for name in ("AP", "AR", "swap")}, index=["a", "b"])
    metrics = {"AP": "AP", "AR": "AR"}
    figure = draw(results, metrics, published=many)
    assert len({ax.get_position().y0 for ax in figure.axes}) == 1
    figure = draw(results.assign(miss=1.0), {**metrics, "miss": "misses"}, published=many)
    assert [ax.get_title().partition("\n")[0] for ax in figure.axes] == [
        *("published AP", "published AR", "published swap"),
        *("AP", "AR", "misses"),
    ]
    figure.draw_without_rendering()
    above, below = figure.axes[:3], figure.axes[3:]
    assert min(ax.get_position().y0 for ax in above) > max(ax.get_position().y1 for ax in below)
    for ax in (above[0], below[0]):
        labels = [label for label in ax.get_yticklabels() if label.get_visible()]
        assert [label.get_text() for label in labels] == ["a", "b"]
        assert {label.get_fontsize() for label in labels} == {9.0}


def test_fewer_panels_in_a_line_leave_the_rest_empty(results: pd.DataFrame) -> None:
    many = pd.DataFrame({str(n): [1.0, 2.0] for n in range(5)}, index=["a", "b"])
    figure = draw(results, {"AP": "AP"}, published=many)
    assert len(figure.axes) == 6 and figure.axes[-1].get_title() == "AP"


def test_a_missing_column_is_named(results: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"lack the columns \['AP9'\]"):
        draw(results, {"AP9": "AP"})
