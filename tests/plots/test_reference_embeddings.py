from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.reference_embeddings import reference_paths, show_reference_paths
from poselib.skeletons import COCO
from tests.plots.factories import step


def test_references_are_running_means(steps):
    paths = reference_paths(steps)[..., 0]
    nan = np.nan
    np.testing.assert_allclose(paths, [[0, 2, nan], [0.1, 2.1, nan], [0.1, 2.1, 5]])


def test_orders_are_compared_on_one_axis_with_the_same_colors(steps):
    # The same people, found in another order and hence numbered otherwise.
    other = [
        step(9, [[30, 12]], [5.0], [0], [True]),
        step(0, [[25, 8], [10, 5]], [2.0, 0.0], [1, 2], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 2], [False, False]),
    ]
    first, second = show_reference_paths({"fixed": steps, "progressive": other}, COCO).axes
    assert first.get_ylim() == second.get_ylim()
    assert second.get_title() == "progressive: 3 people found"
    labels = [label.get_text() for label in second.get_xticklabels()]
    assert labels == ["left wrist", "nose", "left hip"]
    colors = [
        {
            round(float(line.get_ydata()[-1]), 3): line.get_color()
            for line in ax.lines
            if line.get_gid() == "reference"
        }
        for ax in (first, second)
    ]
    assert colors[0] == colors[1] and len(set(colors[0].values())) == 3


def test_no_steps_is_an_error():
    for groupings in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least one step"):
            show_reference_paths(groupings, COCO)
