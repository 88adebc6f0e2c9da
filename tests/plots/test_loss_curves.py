from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from poselib.plots.loss_curves import show_loss_curves

STEPS = np.arange(10, 410, 10)
LEVELS = {("SR", 0): 1.0, ("SR", 1): 3.0, ("AA", 0): 5.0, ("AA", 1): 9.0}


@pytest.fixture
def losses() -> pd.DataFrame:
    """Straight lines, the second seed's above the first's."""
    parts = [
        pd.DataFrame({"row": row, "run": f"{row}{seed}", "step": STEPS, "loss": level * STEPS})
        for (row, seed), level in LEVELS.items()
    ]
    return pd.concat(parts, ignore_index=True)


RESULTS = pd.DataFrame(
    {"row": ["SR", "AA", "SR", "AA"], "final": [4.0, 5.0, 6.0, 7.0], "AP": [40.0, 42, 44, 46]}
)


def draw(losses: pd.DataFrame, rows: str = "SR AA", **more: Any) -> Figure:
    more = {"metrics": {"final": "its end", "AP": "AP"}, "heading": "offset loss", **more}
    return show_loss_curves(losses, RESULTS, rows=rows.split(), **more)


def test_a_curve_is_the_mean_over_seeds_of_smoothed_losses(losses: pd.DataFrame) -> None:
    curves = draw(losses).axes[0]
    assert curves.get_title() == "offset loss"
    assert [line.get_label() for line in curves.lines] == ["SR", "AA"]
    first, second = (line.get_xydata() for line in curves.lines)
    np.testing.assert_array_equal(first[:, 0], STEPS[STEPS > 40])
    # Four neighbors are averaged, the step and one after it among them: 5 less than the step's.
    inner = slice(0, -1)
    np.testing.assert_allclose(first[inner, 1], 2.0 * (first[inner, 0] - 5))
    np.testing.assert_allclose(second[inner, 1], 7.0 * (second[inner, 0] - 5))


def test_single_batches_are_averaged_away(losses: pd.DataFrame) -> None:
    noisy = losses.assign(loss=1.0 + np.where(losses["step"] % 20 == 0, 0.5, -0.5))
    line = draw(noisy).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata()[:-1], 1.0)


def test_the_band_spans_the_seeds(losses: pd.DataFrame) -> None:
    (band, _) = draw(losses).axes[0].collections
    corners = band.get_paths()[0].vertices
    at = corners[corners[:, 0] == 200, 1]
    np.testing.assert_allclose((at.min(), at.max()), (1.0 * 195, 3.0 * 195))


def test_each_metric_has_a_panel_of_the_rows(losses: pd.DataFrame) -> None:
    _, final, ap = draw(losses).axes
    assert (final.get_title(), ap.get_title()) == ("its end", "AP")
    assert [label.get_text() for label in final.get_yticklabels()] == ["SR", "AA"]
    assert [label.get_text() for label in ap.get_yticklabels()] == ["", ""]
    means = [float(container.lines[0].get_xdata()[0]) for container in ap.containers]
    assert means == [42.0, 44.0]
    assert final.get_ylim() == ap.get_ylim() == (1.5, -0.5)


def test_a_row_without_runs_keeps_its_place_and_its_color(losses: pd.DataFrame) -> None:
    whole, part = draw(losses, "none AA").axes[0], draw(losses).axes[0]
    assert [line.get_label() for line in whole.lines] == ["AA"]
    assert whole.lines[0].get_color() == part.lines[1].get_color()


def test_a_training_of_one_line_is_drawn() -> None:
    losses = pd.DataFrame({"row": ["SR"], "run": ["r"], "step": [4], "loss": [0.1]})
    np.testing.assert_array_equal(draw(losses).axes[0].lines[0].get_xydata(), [[4, 0.1]])


def test_what_cannot_be_drawn_is_refused(losses: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['step'\]"):
        draw(losses.drop(columns="step"))
    with pytest.raises(ValueError, match=r"lacks the columns \['AR'\]"):
        draw(losses, metrics={"AR": "AR"})
    with pytest.raises(ValueError, match=r"rows of \['AA', 'SR'\]"):
        draw(losses, "none nothing")
    with pytest.raises(ValueError, match="one to 6 rows"):
        draw(losses, "AA SR 3 4 5 6 7")
