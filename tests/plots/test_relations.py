from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.plots.relations import (
    RelationRow,
    show_masked_frame,
    show_matrices,
    show_related_maps,
    show_relation_rows,
)
from poselib.poses import Poses
from poselib.skeletons import COCO

K = len(COCO)


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def drawn(ax):
    return np.asarray(ax.collections[0].get_array()).reshape(K, K)


@pytest.fixture
def row(scene) -> RelationRow:
    values = np.random.default_rng(0).uniform(0, 9, (K, K))
    return RelationRow(scene.image, scene.keypoints[:1], values, values / 9, "frame 3")


def test_matrices_have_one_scale_and_the_names_of_the_keypoints() -> None:
    one = np.arange(K * K).reshape(K, K)
    figure = show_matrices({"arms_up": one, "lying": 2 * one}, COCO, title="T")
    left, right = panels(figure)
    assert [ax.get_title() for ax in (left, right)] == ["arms up", "lying"]
    assert (drawn(left) == one).all() and (drawn(right) == 2 * one).all()
    assert {ax.collections[0].norm.vmax for ax in (left, right)} == {2.0 * one.max()}
    assert [t.get_text() for t in left.get_yticklabels()][:2] == ["nose", "left eye"]
    assert len(left.get_xticklabels()) == K and not right.get_yticklabels()


def test_an_image_stands_beside_its_matrices(row) -> None:
    image, correlation, weights = panels(show_relation_rows([row], COCO))
    assert image.get_title() == "frame 3" and len(image.images) == 1
    assert (drawn(correlation) == row.correlation).all() and (drawn(weights) == row.weights).all()
    assert weights.collections[0].norm.vmax == 1
    colors = {t.get_text(): t.get_color() for t in weights.get_yticklabels()}
    wrist, hip = colors["left wrist"], colors["left hip"]
    assert wrist != hip and colors["right hip"] == hip  # the left wrist is hidden


def test_maps_before_and_after_stand_one_above_the_other(scene) -> None:
    before = np.random.default_rng(0).uniform(-1, 5, (K, 12, 16))
    after = np.random.default_rng(1).uniform(0, 1, (K, 12, 16))
    names = ["left_wrist", "nose"]
    figure = show_related_maps(
        scene.image, scene.keypoints[:1], before, after, COCO, names=names, title="T"
    )
    axes = panels(figure)
    assert [ax.get_title() for ax in axes] == [
        "left wrist, before", "nose, before", "left wrist, after", "nose, after"
    ]  # fmt: skip
    wrist = COCO.index("left_wrist")
    for ax, maps in ((axes[0], before), (axes[2], after)):
        shown = ax.images[1]
        np.testing.assert_array_equal(shown.get_array(), np.maximum(maps[wrist], 0))
        assert shown.get_clim() == (0, pytest.approx(maps[wrist].max()))
        (ring,) = [line for line in ax.lines if line.get_gid() == "truth"]
        assert ring.get_xydata().tolist() == [scene.keypoints[0, wrist, :2].tolist()]


def test_hidden_keypoints_are_shown_if_none_is_named(scene) -> None:
    person = scene.keypoints[:1].copy()
    person[0, :5, 2] = 0
    maps = np.ones((K, 4, 4))
    axes = panels(show_related_maps(scene.image, person, maps, maps, COCO))
    names = [ax.get_title().partition(",")[0] for ax in axes[:6]]
    assert "left wrist" in names and "nose" not in names and len(names) == 6


def test_what_does_not_fit_is_refused(row, scene) -> None:
    with pytest.raises(ValueError, match="no matrix"):
        show_matrices({}, COCO)
    with pytest.raises(ValueError, match=r"must be \(17, 17\)"):
        show_matrices({"a": np.zeros((3, 3))}, COCO)
    with pytest.raises(ValueError, match="no image"):
        show_relation_rows([], COCO)
    with pytest.raises(ValueError, match=r"must be \(17, 17\)"):
        show_relation_rows([replace(row, weights=np.zeros((2, 2)))], COCO)
    with pytest.raises(ValueError, match="before must be"):
        show_related_maps(scene.image, scene.keypoints[:1], np.zeros((2, 3, 3)), [], COCO)


def test_a_masked_frame_has_rows_of_pictures_matrices_and_maps(row) -> None:
    points = row.keypoints[:, :, :2]
    poses = Poses(points, np.ones((1, K), np.float32), np.ones(1, np.float32))
    pictures = {"clear": (row.image, poses), "masked": (row.image, poses)}
    rings = {"masked": (points[0, :2], points[0, 2:3])}
    heat = np.arange(12.0).reshape(3, 4)
    maps = {"nose": (row.image, heat)}
    figure = show_masked_frame(pictures, {"W_r": row.weights}, maps, COCO, rings=rings)
    clear, masked, matrix, nose = panels(figure)
    assert [len(ax.lines) for ax in (clear, masked)] == [0, 2]
    found, lost = (np.stack(line.get_data(), 1) for line in masked.lines)
    assert (found == points[0, :2]).all() and (lost == points[0, 2:3]).all()
    # They differ in shape too, for those who do not see red and green.
    assert masked.lines[0].get_marker() != masked.lines[1].get_marker()
    known = show_masked_frame(pictures, {}, {}, COCO, rings=rings, truth=points[0, :4])
    dots = [line for ax in panels(known) for line in ax.lines if line.get_gid() == "truth"]
    assert len(dots) == 2 and (np.stack(dots[0].get_data(), 1) == points[0, :4]).all()
    assert (drawn(matrix) == row.weights).all()
    assert (nose.images[-1].get_array() == heat).all()
    assert len(show_masked_frame(pictures, {}, {}, COCO).subfigs) == 1
    with pytest.raises(ValueError, match="no image"):
        show_masked_frame({}, {}, {}, COCO)
