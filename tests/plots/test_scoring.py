from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.scoring import percent_ranks, show_scoring

OKS = np.linspace(0, 1, 40)
SCORES = {"by heat": OKS**2, "by the net": 1 - OKS}
LOSSES = [0.2, 0.1, 0.05]


def test_each_scoring_has_a_panel_and_so_has_the_learning() -> None:
    figure = show_scoring(OKS, SCORES, LOSSES, constant=0.12, title="People of here")
    assert [ax.get_title() for ax in figure.axes] == [*SCORES, "regression of the OKS"]
    assert figure.get_suptitle() == "People of here"
    for ax, scores in zip(figure.axes, SCORES.values(), strict=False):
        points = np.asarray(ax.collections[0].get_offsets())
        np.testing.assert_allclose(points, np.stack([percent_ranks(scores), OKS], axis=1))
        ranked = OKS[np.argsort(scores)].reshape(10, 4)  # tenths, from the lowest scores
        np.testing.assert_allclose(ax.lines[0].get_ydata(), ranked.mean(axis=1))
        np.testing.assert_allclose(ax.lines[0].get_xdata(), np.arange(5, 100, 10))
    curve, constant = figure.axes[-1].lines
    np.testing.assert_allclose(curve.get_xydata(), [[1, 0.2], [2, 0.1], [3, 0.05]])
    assert set(constant.get_ydata()) == {0.12}
    low, high = figure.axes[-1].get_ylim()
    assert low == 0 and 0.2 < high < 0.3


def test_points_fade_where_there_are_many_but_not_in_the_legend() -> None:
    rng = np.random.default_rng(0)
    few, many = (
        show_scoring(v, {"a": v}, LOSSES, constant=1.0).axes[0]
        for v in (rng.random(20), rng.random(5000))
    )
    assert many.collections[0].get_alpha() < few.collections[0].get_alpha() < 1
    assert {handle.get_alpha() for handle in many.get_legend().legend_handles} == {None}


def test_ranks_by_hand() -> None:
    """Each detection takes a quarter, its rank is the middle of that; equal scores share theirs."""
    assert percent_ranks([0.1, -3, 900, 2]).tolist() == [37.5, 12.5, 87.5, 62.5]
    assert percent_ranks([1, 1, 0, 2]).tolist() == [50, 50, 12.5, 87.5]
    assert percent_ranks([]).shape == (0,)


def test_nobody_and_errors_that_are_no_numbers_are_drawn() -> None:
    figure = show_scoring([], {"a": []}, [np.nan, np.inf], constant=np.nan)
    figure.canvas.draw()
    assert figure.axes[-1].get_ylim() == (0, 1)


@pytest.mark.parametrize(
    ("scores", "losses"),
    [({}, LOSSES), ({"a": OKS}, [])],
)
def test_what_cannot_be_drawn(scores: dict, losses: list) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        show_scoring(OKS, scores, losses, constant=0.1)
