from __future__ import annotations

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from poselib.plots.style import (
    SIDES,
    display_name,
    legend_under,
    name_rows,
    new_figure,
    panel_grid,
    partner_colors,
    person_colors,
    show_image,
    side_color,
    theme,
    to_pale_gray,
    wrapped,
)


def test_a_notebook_gets_one_picture_of_page_width():
    figure = new_figure(2.0, title="a title")
    figure.subplots()
    data, metadata = figure._repr_png_()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert metadata == {"width": 900}
    assert pixels.shape[1] > 900
    assert isinstance(figure, Figure)


@pytest.mark.parametrize("name", ["set$_$1", "a$\\frac{$b$", "$x^$"])
def test_names_are_no_formulas(name: str) -> None:
    @theme
    def drawn() -> Figure:
        figure = new_figure(2.0, title=name)
        ax = figure.subplots()
        ax.set(title=name, xlabel=name)
        ax.plot([0, 1], label=name)
        name_rows(ax, [name])
        ax.legend()
        return figure

    figure = drawn()
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text() == name]
    assert len(texts) >= 5 and not any(text.get_parse_math() for text in texts)


def test_names_that_are_no_letters_are_drawn_with_escapes() -> None:
    figure, (ax,) = panel_grid([(64, 64)], 1, title="caf\udce9")
    show_image(ax, np.zeros((3, 64, 64), np.uint8), "\udcff.png")
    name_rows(ax, ["b\udce9"])
    figure.draw_without_rendering()
    assert figure.get_suptitle() == "caf\\udce9" and ax.get_title() == "\\udcff.png"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b\\udce9"]


def test_ipython_displays_a_figure_once():
    formatters = pytest.importorskip("IPython.core.formatters")
    shell = formatters.DisplayFormatter()
    figure = new_figure(1.0)
    figure.subplots()
    data, _ = shell.format(figure)
    assert set(data) == {"image/png", "text/plain"}


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_text_stays_inside(columns, no_overlap):
    image = np.zeros((3, 60, 100), np.uint8)
    figure, axes = panel_grid([(60, 100)] * 5, columns, title="a heading " * 12)
    for ax in axes:
        show_image(ax, image, "a rather long title of a single panel, with more to say than fits")
    no_overlap(figure)


def test_the_style_ends_with_the_figure():
    before = dict(matplotlib.rcParams)
    assert theme(lambda: new_figure(1.0).subplots())().title.get_fontsize() == 9
    assert dict(matplotlib.rcParams) == before


def test_panels_are_as_many_as_images_and_keep_their_aspect():
    figure, axes = panel_grid([(60, 100), (100, 60), (50, 50)], 2)
    assert len(axes) == 3 and len(figure.axes) == 4 and not figure.axes[3].axison
    show_image(axes[1], np.zeros((3, 100, 60), np.uint8))
    figure.draw_without_rendering()
    box = axes[1].get_window_extent()
    assert box.height / box.width == pytest.approx(100 / 60, rel=0.01)


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        panel_grid([], 2)
    with pytest.raises(ValueError, match="columns"):
        panel_grid([(1, 1)], 0)


def test_lines_are_broken_to_a_width():
    assert wrapped("one two three four", 0.8).count("\n") == 1
    assert wrapped("kept\nlines", 9) == "kept\nlines"


def test_names_of_keypoints_are_words():
    assert display_name("left_hip") == "left hip"


@pytest.mark.parametrize("height", [2.0, 6.0])
def test_a_legend_under_axes_leaves_their_labels_free(height):
    figure = new_figure(height)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], label="a line")
    ax.set_xlabel("steps")
    legend_under(ax, columns=1)
    figure.draw_without_rendering()
    legend, label = ax.get_legend().get_window_extent(), ax.xaxis.label.get_window_extent()
    assert figure.bbox.y0 <= legend.y0 < legend.y1 <= label.y0 < label.y1 <= ax.bbox.y0


@pytest.mark.parametrize("count", [0, 1, 7, 8, 40])
def test_people_have_distinct_colors(count):
    colors = person_colors(count)
    assert len(colors) == count == len(set(colors))
    assert all(0 <= part <= 1 for color in colors for part in color)
    if count > 1:
        gaps = np.linalg.norm(np.array(colors)[:, None] - np.array(colors)[None], axis=-1)
        assert gaps[~np.eye(count, dtype=bool)].min() > 0.02


def test_first_colors_do_not_depend_on_the_number_of_people():
    assert person_colors(30)[:9] == person_colors(9)


def test_the_sides_of_a_person_differ_in_lightness():
    for color in person_colors(12):
        left, center, right = (sum(side_color(color, s)) for s in ("left", "center", "right"))
        assert left > center > right


def test_grayed_image_has_no_color():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 6), dtype=np.uint8)
    gray = to_pale_gray(image)
    assert gray.dtype == np.uint8 and (gray[0] == gray[1]).all() and (gray >= 140).all()


def test_detections_take_the_color_of_their_partner_or_one_of_their_own():
    colors = person_colors(5)
    assert partner_colors(3, [2, -1, 0, -1]) == [colors[n] for n in (2, 3, 0, 4)]
    assert partner_colors(2, []) == []


def test_the_legend_does_not_call_the_midline_a_center():
    assert list(SIDES) == ["left side of a person", "right side", "midline"]
