from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.palette import as_bytes, greyed, person_colours, side_colour


@pytest.mark.parametrize("count", [0, 1, 7, 8, 40])
def test_people_have_distinct_colours(count):
    colours = person_colours(count)
    assert len(colours) == count == len(set(colours))
    assert all(0 <= part <= 1 for colour in colours for part in colour)
    if count > 1:
        gaps = np.linalg.norm(np.array(colours)[:, None] - np.array(colours)[None], axis=-1)
        assert gaps[~np.eye(count, dtype=bool)].min() > 0.02


def test_first_colours_do_not_depend_on_the_number_of_people():
    assert person_colours(30)[:9] == person_colours(9)


def test_the_sides_of_a_person_differ_in_lightness():
    for colour in person_colours(12):
        left, centre, right = (sum(side_colour(colour, s)) for s in ("left", "centre", "right"))
        assert left > centre > right


def test_colours_become_bytes():
    assert as_bytes((1.0, 0.5, 0.0)) == (255, 128, 0)


def test_greyed_image_has_no_colour():
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 6), dtype=np.uint8)
    grey = greyed(image)
    assert grey.dtype == np.uint8 and (grey[0] == grey[1]).all() and (grey >= 140).all()
