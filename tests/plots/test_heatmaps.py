from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from poselib.plots.heatmaps import (
    TAG_COLORS,
    masked_tags,
    show_heatmaps,
    show_tagmaps,
    show_targets,
    tag_limits,
)
from poselib.skeletons import COCO, CROWDPOSE


def blobs(keypoints, size, stride):
    """One-hot maps: the cell floor(x / stride) of each labeled keypoint is 1."""
    maps = np.zeros((17, size[0] // stride, size[1] // stride))
    for person in keypoints:
        for k, (x, y, seen) in enumerate(person):
            if seen > 0:
                maps[k, int(y // stride), int(x // stride)] = 1
    return maps


def panels(figure):
    return [ax for ax in figure.axes if ax.axison]


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_peak_lands_on_its_keypoint(scene, stride):
    """The drawn rectangle of the hottest cell holds the keypoint's own coordinates."""
    heat = blobs(scene.keypoints[:1], (96, 128), stride)
    figure = show_heatmaps(scene.image, heat, COCO, keypoints=["left_knee"])
    _, ax = panels(figure)
    mesh = ax.images[-1]
    left, right, bottom, top = mesh.get_extent()
    values = np.asarray(mesh.get_array())
    row, column = np.unravel_index(values.argmax(), values.shape)
    wide, high = (right - left) / values.shape[1], (bottom - top) / values.shape[0]
    x, y, _ = scene.keypoints[0, COCO.index("left_knee")]
    assert left + column * wide <= x < left + (column + 1) * wide
    assert top + row * high <= y < top + (row + 1) * high


def test_a_hot_cell_colors_the_pixels_of_its_keypoint(scene):
    heat = blobs(scene.keypoints[:1], (96, 128), 4)
    others = heat.copy()
    others[0] = 0
    cold = show_heatmaps(scene.image, others, COCO, keypoints=["nose"])
    hot = show_heatmaps(scene.image, heat, COCO, keypoints=["nose"])
    pictures = []
    for figure in (cold, hot):
        figure.set_dpi(50)
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()).astype(int))
    ax = panels(hot)[1]
    box = ax.get_window_extent()
    height = pictures[0].shape[0]
    rows = slice(int(height - box.y1) + 2, int(height - box.y0) - 2)
    columns = slice(int(box.x0) + 2, int(box.x1) - 2)
    changed = np.abs(pictures[0] - pictures[1]).sum(-1)[rows, columns] > 30
    ys, xs = np.nonzero(changed)
    display = np.array([columns.start + xs.mean() + 0.5, height - (rows.start + ys.mean() + 0.5)])
    x, y = ax.transData.inverted().transform(display)
    nose = scene.keypoints[0, 0]
    np.testing.assert_allclose((x, y), np.floor(nose[:2] / 4) * 4 + 2, atol=0.5)


def test_heatmap_panels(scene):
    heat = blobs(scene.keypoints, (96, 128), 4)
    figure = show_heatmaps(scene.image, heat, COCO, columns=3, title="heat")
    titles = [ax.get_title() for ax in panels(figure)]
    assert titles[0] == "all keypoints" and titles[1] == "nose" and len(titles) == 6
    np.testing.assert_array_equal(panels(figure)[0].images[-1].get_array(), heat.max(axis=0))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_without_heat_the_image_shows_through(scene, value):
    figure = show_heatmaps(scene.image, np.full((17, 8, 8), value), COCO)
    assert len(panels(figure)) == 8
    assert all((ax.images[-1].get_alpha() == 0).all() for ax in panels(figure))


def test_the_bar_is_as_high_as_the_panel_and_beside_the_last_of_its_row(scene):
    figure = show_heatmaps(scene.image, blobs(scene.keypoints, (96, 128), 4), COCO, columns=3)
    figure.draw_without_rendering()
    ax = panels(figure)[2]
    (bar,) = ax.child_axes
    place, beside = ax.get_window_extent(), bar.get_window_extent()
    np.testing.assert_allclose((beside.y0, beside.y1), (place.y0, place.y1), atol=1)
    assert place.x1 < beside.x0 < beside.x1 < figure.bbox.x1
    assert bar.get_ylabel() == "heatmap value" and bar.get_ylim() == (0, 1)


def test_targets_are_drawn_whole_and_close_up(scene):
    heat = blobs(scene.keypoints, (96, 128), 4)
    figure = show_targets(scene.image, heat, scene.keypoints, COCO)
    whole, close = panels(figure)
    dots = whole.lines[0].get_xydata()
    np.testing.assert_allclose(dots, scene.keypoints[scene.keypoints[..., 2] > 0][:, :2])
    assert "nose" in close.get_title()
    x, y, _ = scene.keypoints[0, 0]
    (cell,) = close.patches
    assert cell.get_x() <= x < cell.get_x() + cell.get_width() == cell.get_x() + 4
    assert cell.get_y() <= y < cell.get_y() + cell.get_height()
    assert close.get_xlim()[0] < x < close.get_xlim()[1]


def test_uncounted_cells_are_shaded(scene):
    heat = blobs(scene.keypoints, (96, 128), 4)
    weights = np.ones((1, 24, 32))
    weights[0, :5] = 0
    figure = show_targets(scene.image, heat, scene.keypoints, COCO, weights=weights)
    shade = np.asarray(panels(figure)[0].images[-1].get_array())[..., 3]
    np.testing.assert_array_equal(shade > 0, weights[0] == 0)


def test_targets_without_people(scene):
    figure = show_targets(scene.image, np.zeros((17, 24, 32)), scene.keypoints[:0], COCO)
    assert "no person" in panels(figure)[1].get_title()


def test_wrong_input_is_refused(scene):
    with pytest.raises(ValueError, match=r"heatmaps must be \(17, h, w\)"):
        show_heatmaps(scene.image, np.zeros((14, 8, 8)), COCO)
    with pytest.raises(ValueError, match="tail"):
        show_heatmaps(scene.image, np.zeros((17, 8, 8)), COCO, keypoints=["tail"])
    with pytest.raises(ValueError, match=r"keypoints must be \(people, 14, 3\)"):
        show_targets(scene.image, np.zeros((14, 8, 8)), scene.keypoints, CROWDPOSE)


@pytest.fixture
def maps():
    """Tags of -1 left and 2 right, wild in the middle; heat on both sides."""
    tags, heat = np.zeros((17, 6, 8)), np.zeros((17, 6, 8))
    tags[..., :3], tags[..., 5:], tags[..., 3:5] = -1, 2, 50
    heat[3, :, 0], heat[4, :, 7] = 1, 0.8
    return tags, heat


def test_each_model_has_a_row_and_a_scale_of_its_own(scene, maps):
    other = (maps[0] * 3, maps[1])
    figure = show_tagmaps(scene.image, {"without": maps, "with": other}, COCO, keypoints=["nose"])
    titles = [ax.get_title() for ax in figure.axes]
    assert len(titles) == 4
    assert titles[0].startswith("without") and titles[2].startswith("with:")
    for ax, (tags, heat) in zip((figure.axes[1], figure.axes[3]), (maps, other), strict=True):
        (bar,) = ax.child_axes
        assert bar.get_ylabel() == "tag value"
        assert ax.images[0].get_clim() == bar.get_ylim() == tag_limits(tags, heat)


def test_limits_come_from_the_people_alone(maps):
    low, high = tag_limits(*maps)
    assert -1.2 < low < -1 and 2 < high < 2.2
    low, high = tag_limits(maps[0] * 0, maps[1] * 0)
    assert low < 0 < high


def test_people_are_colored_by_their_tag_and_the_rest_is_clear(maps):
    colors = masked_tags(*maps, limits=(-1, 2))
    assert (colors[:, 1:7, 3] == 0).all()
    assert (colors[:, [0, 7], 3] > 0.9).all()
    np.testing.assert_allclose(colors[0, 0, :3], colormaps[TAG_COLORS](0.0)[:3])
    np.testing.assert_allclose(colors[0, 7, :3], colormaps[TAG_COLORS](1.0)[:3])


def test_only_tagmaps_without_whole_panels(scene, maps):
    (ax,) = show_tagmaps(scene.image, {"": maps}, COCO, keypoints=[]).axes
    (bar,) = ax.child_axes
    assert ax.get_title() == "on people" and bar.get_ylim() == tag_limits(*maps)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_whole_tagmaps_are_of_the_head_and_a_hip(scene, maps, skeleton):
    kinds = len(skeleton)
    own = {"": (maps[0][:kinds], maps[1][:kinds])}
    titles = [ax.get_title() for ax in show_tagmaps(scene.image, own, skeleton).axes]
    assert any(skeleton.groups["body_parts"][0][0] in title for title in titles)
    assert any("left hip" in title for title in titles)


def test_wrong_tagmaps_are_refused(scene, maps):
    with pytest.raises(ValueError, match="at least one model"):
        show_tagmaps(scene.image, {}, COCO)
    with pytest.raises(ValueError, match="tags must be"):
        show_tagmaps(scene.image, {"a": (maps[0][:14], maps[1])}, COCO)
    with pytest.raises(ValueError, match="tail"):
        show_tagmaps(scene.image, {"a": maps}, COCO, keypoints=["tail"])
