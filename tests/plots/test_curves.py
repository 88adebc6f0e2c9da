from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from poselib.plots.curves import show_rates, show_training


@pytest.fixture
def records():
    lines = []
    for step in range(10, 310, 10):
        terms = {"heatmap": 1 / step, "pull": 0.5 / step, "push": 0.0 if step < 50 else 0.1}
        lines.append({"step": step, "lr": 1e-3, "loss": sum(terms.values()), **terms})
        if step % 100 == 0:
            lines.append({"step": step, "AP": step / 1000, "AP50": step / 500, "images": 200})
    return lines


def test_losses_validation_and_rate_have_a_panel_each(records):
    figure = show_training(records)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["weighted training loss", "validation", "learning rate"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["sum of all terms", "heatmap", "pull", "push"]
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels == ["AP, last 0.300", "AP50, last 0.600"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xdata(), [100, 200, 300])


def test_losses_are_drawn_pale_and_averaged_over_a_tenth_of_them(records):
    raw, mean = show_training(records).axes[0].lines[:2]
    losses = np.array([line["loss"] for line in records if "loss" in line])
    np.testing.assert_allclose(raw.get_ydata(), losses)
    threes = (losses[:-2] + losses[1:-1] + losses[2:]) / 3
    np.testing.assert_allclose(mean.get_ydata()[1:-1], threes)
    assert raw.get_alpha() < 1 and mean.get_alpha() is None


def test_a_data_frame_is_as_good(records):
    assert len(show_training(pd.DataFrame(records)).axes) == 3


def test_other_figures_are_drawn_where_there_is_no_ap(records):
    others = pd.DataFrame(records).drop(columns=["AP", "AP50"])
    (label,) = show_training(others).axes[1].get_legend().get_texts()
    assert label.get_text() == "images, last 200.000"


def test_without_validation_or_rate():
    figure = show_training([{"step": s, "loss": 1 / s} for s in range(1, 5)])
    assert len(figure.axes) == 1 and len(figure.axes[0].lines) == 2


def test_one_line_and_a_loss_of_zero_have_no_place_on_a_logarithmic_axis():
    losses, rate = show_training([{"step": 1, "loss": 0.0, "lr": 0.1}]).axes
    assert losses.get_yscale() == "log"
    assert [np.isnan(line.get_ydata()).all() for line in losses.lines] == [True, True]
    np.testing.assert_array_equal(rate.lines[0].get_xydata(), [[1, 0.1]])


def test_a_single_value_is_a_point(records):
    losses, rate = show_training([{"step": 1, "loss": 0.5, "lr": 0.1}]).axes
    assert [line.get_marker() for line in (*losses.lines, *rate.lines)] == ["o", "o", "o"]
    assert {line.get_marker() for line in show_training(records).axes[0].lines} <= {"", "None"}


def test_a_training_too_short_for_a_record_has_a_sentence():
    for lines in ([], pd.DataFrame(), [{"step": 1, "AP": 0.3}], [{"step": 1, "loss": None}]):
        figure = show_training(lines, title="2 steps")
        assert not figure.axes and "No loss was recorded" in figure.texts[-1].get_text()
        assert figure.get_suptitle() == "2 steps"


def test_lines_without_a_step_are_refused():
    with pytest.raises(ValueError, match="'step' and 'loss'"):
        show_training([{"loss": 1.0}])


def test_powers_of_ten_are_set_as_such(records):
    figure = show_training(records)
    figure.draw_without_rendering()
    labels = [label for label in figure.axes[0].get_yticklabels(which="both") if label.get_text()]
    assert labels and all(label.get_parse_math() for label in labels)


def test_rates_are_lines_on_one_scale():
    one = pd.DataFrame({"kept": [0.9, 0.8], "renewed": [0.7, 0.2]}, index=[1, 4])
    figure = show_rates({"masked": one, "others": one + 0.1}, xlabel="frames", ylabel="PCK")
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim() == (0, 1)
    np.testing.assert_allclose(left.lines[1].get_xydata(), [[1, 0.7], [4, 0.2]])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1.0, 0.9])
    assert left.lines[0].get_color() == right.lines[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["kept", "renewed"]
    with pytest.raises(ValueError, match="has the lines"):
        show_rates({"a": one, "b": one[["kept"]]})
    with pytest.raises(ValueError, match="no panel"):
        show_rates({})
