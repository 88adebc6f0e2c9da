from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.palette import (
    partner_colors,
    person_colors,
    side_color,
    to_pale_gray,
    to_rgb8,
)


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


def test_colors_become_bytes():
    assert to_rgb8((1.0, 0.5, 0.0)) == (255, 128, 0)


def test_grayed_image_has_no_color():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 6), dtype=np.uint8)
    gray = to_pale_gray(image)
    assert gray.dtype == np.uint8 and (gray[0] == gray[1]).all() and (gray >= 140).all()


def test_detections_take_the_color_of_their_partner_or_one_of_their_own():
    colors = person_colors(5)
    assert partner_colors(3, [2, -1, 0, -1]) == [colors[n] for n in (2, 3, 0, 4)]
    assert partner_colors(2, []) == []
