from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from poselib.plots.grouping import people_in, show_distances, show_grouping
from poselib.plots.paths import reference_paths, show_reference_paths
from poselib.skeletons import COCO


@dataclass(frozen=True)
class Step:
    """What a decoder records; written out, so that plots need no decoder."""

    keypoint: int
    cells: np.ndarray
    tags: np.ndarray
    references: np.ndarray
    people: np.ndarray
    started: np.ndarray
    distances: np.ndarray


def step(keypoint, cells, tags, people, started, nearest=None):
    distances = np.full(17, np.nan)
    for k, value in (nearest or {}).items():
        distances[k] = value
    return Step(
        keypoint, np.array(cells), np.array(tags, float)[:, None], np.zeros((0, 1)),
        np.array(people), np.array(started), distances,
    )  # fmt: skip


@pytest.fixture
def steps():
    """Noses start two people, hips join them, and a wrist starts a third."""
    return [
        step(0, [[10, 5], [25, 8]], [0.0, 2.0], [0, 1], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 0], [False, False], {11: 0.2, 9: 3.0}),
        step(9, [[30, 12]], [5.0], [2], [True], {9: 2.8}),
    ]


def gids(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def test_one_panel_a_step_names_the_type_and_its_distance(scene, steps):
    figure = show_grouping(scene.image, steps, COCO, stride=4)
    titles = [ax.get_title() for ax in figure.axes if ax.axison]
    assert (
        titles
        == [
            "1. nose\nstarts 2 people",
            "2. left hip\ndistance 0.200",
            "3. left wrist\ndistance 2.800, starts 1\nperson",
        ]
        or titles[2].replace("\n", " ") == "3. left wrist distance 2.800, starts 1 person"
    )


def test_people_grow_and_new_keypoints_are_ringed(scene, steps):
    axes = show_grouping(scene.image, steps, COCO, stride=4).axes
    counts = [
        [len(c.get_paths()) // 2 for c in ax.collections if "keypoints" in (c.get_gid() or "")]
        for ax in axes
    ]
    assert counts == [[1, 1], [2, 2], [2, 2, 1]]
    (ring,) = gids(axes[1], "new")
    np.testing.assert_allclose(ring.get_xydata(), [[106, 82], [42, 74]])  # (cell + 0.5) * 4


def test_a_person_keeps_its_colour_and_size_through_the_steps(scene, steps):
    axes = show_grouping(scene.image, steps, COCO, stride=4).axes
    marks = [next(c for c in ax.collections if c.get_gid() == "person 0 keypoints") for ax in axes]
    first = [mark.get_paths()[0].get_extents().size for mark in marks]
    np.testing.assert_allclose(first[1:], first[:1] * 2)
    assert len({tuple(mark.get_facecolor()[1]) for mark in marks}) == 1


def test_chosen_steps_alone(scene, steps):
    figure = show_grouping(scene.image, steps, COCO, stride=4, numbers=[3])
    (ax,) = figure.axes
    assert ax.get_title().startswith("3. left wrist")
    assert len(gids(ax, "person 1 keypoints")) == 1
    with pytest.raises(ValueError, match="1 to 3"):
        show_grouping(scene.image, steps, COCO, numbers=[0])


def test_references_are_running_means(steps):
    paths = reference_paths(steps)[..., 0]
    nan = np.nan
    np.testing.assert_allclose(paths, [[0, 2, nan], [0.1, 2.1, nan], [0.1, 2.1, 5]])


def test_orders_are_compared_on_one_axis_with_the_same_colours(steps):
    # The same people, found in another order and hence numbered otherwise.
    other = [
        step(9, [[30, 12]], [5.0], [0], [True]),
        step(0, [[25, 8], [10, 5]], [2.0, 0.0], [1, 2], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 2], [False, False]),
    ]
    figure = show_reference_paths({"fixed": steps, "progressive": other}, COCO)
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert second.get_title() == "progressive: 3 people found"
    labels = [label.get_text() for label in second.get_xticklabels()]
    assert labels == ["left wrist", "nose", "left hip"]
    colours = [
        {round(float(line.get_ydata()[-1]), 3): line.get_color() for line in gids(ax, "reference")}
        for ax in (first, second)
    ]
    assert colours[0] == colours[1] and len(set(colours[0].values())) == 3


def test_one_grouping_needs_no_name(steps):
    figure = show_reference_paths(steps, COCO)
    assert figure.axes[0].get_title() == "3 people found"
    assert people_in(steps) == 3 and people_in([]) == 0


def test_distances_frame_the_chosen_type(steps):
    ax = show_distances(steps, COCO).axes[0]
    frames = [(box.get_x() + 0.5, box.get_y() + 0.5) for box in gids(ax, "chosen")]
    assert frames == [(0, 0), (1, 11), (2, 9)]
    table = np.ma.filled(ax.images[0].get_array(), np.nan)
    assert table.shape == (17, 3) and table[11, 1] == 0.2 and np.isnan(table[:, 0]).all()


def test_a_fixed_order_knows_no_distances(steps):
    unknown = [step(0, [[1, 1]], [0.0], [0], [True])]
    show_distances(unknown, COCO).canvas.draw()
    show_grouping(np.zeros((3, 8, 8), np.uint8), unknown, COCO).canvas.draw()


def test_no_steps_is_an_error(scene):
    with pytest.raises(ValueError, match="no candidates"):
        show_grouping(scene.image, [], COCO)
    with pytest.raises(ValueError, match="step"):
        show_reference_paths({"a": []}, COCO)
    with pytest.raises(ValueError, match="step"):
        show_distances([], COCO)
