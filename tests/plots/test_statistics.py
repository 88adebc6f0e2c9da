from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.statistics import show_statistics
from poselib.skeletons import COCO
from tests.plots.factories import bar_lengths

PEOPLE = np.array([0, 1, 1, 3])
CROWDING = np.array([0.0, 0.0, 0.0, 0.5])


def test_bars_are_what_was_counted() -> None:
    visibility = np.tile([1, 1, 2], (17, 1))
    sheet = show_statistics(PEOPLE, CROWDING, visibility, np.full(5, 400.0), COCO, title="data")
    people, crowds, sizes, seen = sheet.axes
    bars = {bar.get_center()[0]: bar.get_height() for bar in people.patches}
    assert bars == {0: 1, 1: 2, 3: 1} and people.get_xlim() == (-0.5, 3.5)
    assert sum(bar.get_height() for bar in crowds.patches) == 1
    assert "mean 20" in sizes.get_title()
    np.testing.assert_allclose(bar_lengths(seen), np.tile([[50], [25], [25]], 17))


def test_nobody_can_be_drawn_and_wrong_shapes_are_named() -> None:
    empty = np.zeros((17, 3))
    assert show_statistics([0], [0.0], empty, [], COCO).axes
    with pytest.raises(ValueError, match=r"not \(4,\), \(3,\)"):
        show_statistics(PEOPLE, CROWDING[:3], empty, [], COCO)
