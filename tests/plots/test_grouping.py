from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.grouping import (
    people_in,
    reference_paths,
    show_distances,
    show_grouping,
    show_reference_paths,
)
from poselib.skeletons import COCO
from tests.plots.factories import row_names, step


def gids(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def test_one_panel_a_step_names_the_type_and_its_distance(scene, steps):
    figure = show_grouping(scene.image, steps, COCO, stride=(4, 4))
    titles = [ax.get_title() for ax in figure.axes if ax.axison]
    assert titles[:2] == ["1. nose\nstarts 2 people", "2. left hip\ndistance 0.200"]
    assert " ".join(titles[2].split()) == "3. left wrist distance 2.800, starts 1 person"


def test_people_grow_and_new_keypoints_are_ringed(scene, steps):
    axes = show_grouping(scene.image, steps, COCO, stride=(4, 4)).axes
    counts = [
        [len(c.get_paths()) // 2 for c in ax.collections if "keypoints" in (c.get_gid() or "")]
        for ax in axes
    ]
    assert counts == [[1, 1], [2, 2], [2, 2, 1]]
    (ring,) = gids(axes[1], "new")
    np.testing.assert_allclose(ring.get_xydata(), [[106, 82], [42, 74]])  # (cell + 0.5) * 4


def test_a_person_keeps_its_color_and_size_through_the_steps(scene, steps):
    axes = show_grouping(scene.image, steps, COCO, stride=(4, 4)).axes
    marks = [next(c for c in ax.collections if c.get_gid() == "person 0 keypoints") for ax in axes]
    first = [mark.get_paths()[0].get_extents().size for mark in marks]
    np.testing.assert_allclose(first[1:], first[:1] * 2)
    assert len({tuple(mark.get_facecolor()[1]) for mark in marks}) == 1


def test_people_are_counted(steps):
    assert people_in(steps) == 3 and people_in([]) == 0


def test_distances_frame_the_chosen_type(steps):
    ax = show_distances(steps, COCO).axes[0]
    assert [box.get_xy() for box in gids(ax, "chosen")] == [(0, 0), (1, 11), (2, 9)]
    table = np.ma.filled(ax.collections[0].get_array(), np.nan).reshape(17, 3)
    assert table[11, 1] == 0.2 and np.isnan(table[:, 0]).all()
    assert row_names(ax)[11] == "left hip"


@pytest.mark.slow
def test_a_fixed_order_knows_no_distances(steps):
    unknown = [step(0, [[1, 1]], [0.0], [0], [True])]
    ax = show_distances(unknown, COCO).axes[0]
    cells = ax.collections[0].get_array()
    assert np.ma.getmaskarray(cells).all() and len(gids(ax, "chosen")) == 1
    figure = show_grouping(np.zeros((3, 8, 8), np.uint8), unknown, COCO, stride=(1, 1))
    assert figure.axes[0].get_title() == "1. nose\nstarts 1 person"


def test_no_steps_is_an_error(scene):
    with pytest.raises(ValueError, match="no candidates"):
        show_grouping(scene.image, [], COCO, stride=(1, 1))
    with pytest.raises(ValueError, match="step"):
        show_distances([], COCO)


def test_references_are_running_means(steps):
    paths = reference_paths(steps)[..., 0]
    nan = np.nan
    np.testing.assert_allclose(paths, [[0, 2, nan], [0.1, 2.1, nan], [0.1, 2.1, 5]])


def test_people_of_one_number_have_one_color(steps):
    # The same people, found in another order and hence numbered otherwise.
    other = [
        step(9, [[30, 12]], [5.0], [0], [True]),
        step(0, [[25, 8], [10, 5]], [2.0, 0.0], [1, 2], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 2], [False, False]),
    ]
    groupings = {"fixed": steps, "progressive": other}
    numbers = {"fixed": np.array([0, 1, 2]), "progressive": np.array([2, 1, 0])}
    first, second = show_reference_paths(groupings, COCO, numbers=numbers).axes
    assert first.get_ylim() == second.get_ylim()
    assert second.get_title() == "progressive: 3 people found"
    labels = [label.get_text() for label in second.get_xticklabels()]
    assert labels == ["left wrist", "nose", "left hip"]
    colors = [
        {round(float(line.get_ydata()[-1]), 3): line.get_color() for line in gids(ax, "reference")}
        for ax in (first, second)
    ]
    assert colors[0] == colors[1] and len(set(colors[0].values())) == 3
    own = show_reference_paths(groupings, COCO).axes[1]
    drawn = [[line.get_color() for line in gids(ax, "reference")] for ax in (first, own)]
    assert drawn[0] == drawn[1]


def test_groupings_without_steps_are_refused():
    for groupings in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least one step"):
            show_reference_paths(groupings, COCO)
