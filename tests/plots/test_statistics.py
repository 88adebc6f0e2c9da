from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.plots.statistics import DatasetStatistics, show_statistics
from poselib.skeletons import COCO
from tests.plots.factories import bar_lengths

PEOPLE = np.array([0, 1, 1, 3])
CROWDING = np.array([0.0, 0.0, 0.0, 0.5])


def test_bars_are_what_was_counted() -> None:
    visibility = np.tile([1, 1, 2], (17, 1))
    counted = DatasetStatistics(PEOPLE, CROWDING, visibility, np.full(5, 400.0), 0)
    sheet = show_statistics(counted, COCO, title="data")
    people, crowds, sizes, seen = sheet.axes
    bars = {bar.get_center()[0]: bar.get_height() for bar in people.patches}
    assert bars == {0: 1, 1: 2, 3: 1} and people.get_xlim() == (-0.5, 3.5)
    assert sum(bar.get_height() for bar in crowds.patches) == 1
    assert "mean 20" in sizes.get_title()
    np.testing.assert_allclose(bar_lengths(seen), np.tile([[50], [25], [25]], 17))


def test_nobody_can_be_drawn_and_no_image_is_refused() -> None:
    empty = np.zeros((17, 3), np.int64)
    nobody = DatasetStatistics(np.zeros(1, np.int64), np.zeros(1), empty, np.zeros(0), 0)
    assert show_statistics(nobody, COCO).axes
    with pytest.raises(ValueError, match="there is no image"):
        show_statistics(replace(nobody, people=np.zeros(0, np.int64)), COCO)
