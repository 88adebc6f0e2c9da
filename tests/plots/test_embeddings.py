from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from poselib.losses.hard_keypoints import iqr_outlier_weights
from poselib.plots.embeddings import add_tag_strips, quartiles, show_embeddings
from poselib.plots.style import BLUE, GREEN, ORANGE
from poselib.skeletons import COCO, CROWDPOSE


@pytest.fixture
def people():
    """Three people at 0, 1 and 2; the second has a wrist far away, the third no face."""
    rng = np.random.default_rng(0)
    tags = np.arange(3)[:, None] + rng.uniform(-0.02, 0.02, (3, 17))
    tags[1, COCO.index("right_wrist")] = 3
    present = np.ones((3, 17), bool)
    present[2, :5] = False
    tags[2, :5] = -99
    return tags, present


def points(ax, gid):
    return [line.get_xydata() for line in ax.lines if line.get_gid() == gid]


def test_quartiles_by_hand():
    assert quartiles(np.arange(1, 10)) == (3, 7)
    assert quartiles(np.arange(1, 11)) == (3, 8)  # of ranks 2.25 and 6.75
    assert quartiles(np.array([5.0])) == (5, 5)


def test_boxes_and_outliers_are_those_of_the_loss(people):
    tags, present = people
    sets = torch.tensor(tags)[None, ..., None], torch.tensor(present)[None]
    weights = iqr_outlier_weights(*sets, None, 2.0)[0].numpy()
    assert np.argwhere(weights == 2).tolist() == [[1, COCO.index("right_wrist")]]
    ax = show_embeddings({"": tags}, present, COCO).axes[0]
    assert [text.get_text() for text in ax.texts] == ["right wrist"]
    assert [p[:, 1].tolist() for p in points(ax, "outliers")] == [[], [3.0], []]
    for n, box in enumerate(ax.patches):
        ranked = np.sort(tags[n, present[n]])
        last = len(ranked) - 1
        span = box.get_path().get_extents()
        assert (span.y0, span.y1) == (ranked[last // 4], ranked[(3 * last + 3) // 4])


def test_each_person_has_a_column_of_the_keypoints_it_has(people):
    tags, present = people
    ax = show_embeddings({"": tags}, present, COCO).axes[0]
    columns = points(ax, "keypoints")
    assert [len(c) for c in columns] == [17, 16, 12]
    for n, column in enumerate(columns):
        assert (np.abs(column[:, 0] - n) < 0.5).all()
    np.testing.assert_allclose(np.sort(columns[2][:, 1]), np.sort(tags[2, 5:]))
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        f"person {n}" for n in (1, 2, 3)
    ]


def test_reference_is_the_mean(people):
    tags, present = people
    ax = show_embeddings({"": tags}, present, COCO).axes[0]
    diamonds = [line for line in ax.lines if line.get_marker() == "D"]
    means = [tags[0].mean(), tags[1].mean(), tags[2, 5:].mean()]
    np.testing.assert_allclose([line.get_ydata()[0] for line in diamonds], means)


@pytest.mark.parametrize("hierarchy", ["anatomy", "spatial_prior"])
def test_group_means_are_those_of_the_hierarchy(people, hierarchy):
    tags, present = people
    ax = show_embeddings({"": tags}, present, COCO, hierarchy=hierarchy).axes[0]
    squares = [line for line in ax.lines if line.get_marker() == "s"]
    groups = COCO.group_indices(hierarchy)
    expected = [
        tags[n, present[n] & (groups == g)].mean()
        for n in range(3)
        for g in np.unique(groups[present[n]])
    ]
    np.testing.assert_allclose([line.get_ydata()[0] for line in squares], expected)


def test_one_row_a_model(people):
    tags, present = people
    figure = show_embeddings({"without": tags, "with": tags + 9}, present, COCO)
    assert [ax.get_title() for ax in figure.axes] == ["without", "with"]
    low, high = (np.concatenate(points(ax, "keypoints"))[:, 1] for ax in figure.axes)
    np.testing.assert_allclose(high, low + 9)


def test_of_nobody_nothing_is_drawn():
    (ax,) = show_embeddings({"": np.zeros((2, 17))}, np.zeros((2, 17), bool), COCO).axes
    assert not ax.collections and not ax.lines and not ax.get_xticklabels()


def test_wrong_input_is_refused(people):
    tags, present = people
    with pytest.raises(ValueError, match="14"):
        show_embeddings({"": tags}, present, CROWDPOSE)
    with pytest.raises(ValueError, match="at least one"):
        show_embeddings({}, present, COCO)
    with pytest.raises(ValueError, match="hierarchy"):
        show_embeddings({"": tags}, present, COCO, hierarchy="alphabet")


def test_strips_have_the_same_outliers_and_name_their_dots(people):
    tags, present = people
    shown = np.where(present, tags, np.nan)
    ax, wrist = Figure().subplots(), COCO.index("right_wrist")
    means = np.nanmean(shown, axis=1)
    fills, colors = {(1, wrist): GREEN}, [ORANGE, BLUE, GREEN]
    dots = add_tag_strips(
        ax, shown, colors, ["1", "2", "3"], fills=fills, references=means, threshold=0.5
    )
    assert len(dots) == present.sum()
    assert all(shown[n, k] == y and abs(x - n) < 0.5 for x, y, n, k in dots)
    assert [p[:, 1].tolist() for p in points(ax, "outliers")] == [[3.0]]
    assert [p[:, 1].tolist() for p in points(ax, "references")] == [means.tolist()]
    assert [bar.get_height() for bar in ax.patches] == [1.0] * 3
    faces = ax.collections[0].get_facecolors()[:, :3]
    (index,) = [i for i, dot in enumerate(dots) if dot[2:] == (1, wrist)]
    np.testing.assert_allclose(faces[index], GREEN)
    assert add_tag_strips(Figure().subplots(), np.zeros((0, 17)), [], []) == []
