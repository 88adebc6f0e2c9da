from __future__ import annotations

import numpy as np
import pytest

from poselib.plots.shapes import capsule, marker, people_shapes, person_unit
from poselib.plots.style import INK, WHITE, person_colors
from poselib.skeletons import COCO, CROWDPOSE


def test_capsule_is_as_wide_as_asked_everywhere():
    a, b = np.array([3.0, 4.0]), np.array([13.0, 9.0])
    outline = capsule(a, b, 2.0)
    along = np.clip((outline - a) @ (b - a) / np.sum((b - a) ** 2), 0, 1)
    distance = np.linalg.norm(outline - (a + along[:, None] * (b - a)), axis=1)
    np.testing.assert_allclose(distance, 2.0)


def test_capsule_of_a_point_is_finite():
    assert np.isfinite(capsule(np.ones(2), np.ones(2), 1.0)).all()


@pytest.mark.parametrize("side", ["left", "right", "center"])
def test_markers_are_centered(side):
    np.testing.assert_allclose(marker(np.array([5.0, 6.0]), 3.0, side).mean(axis=0), (5, 6))


def test_unit_follows_the_person_within_bounds():
    size = (480, 640)
    small, middle, large = (person_unit(np.array([[0.0, 0], [0, h]]), size) for h in (5, 250, 5000))
    assert small < middle < large < 0.01 * 800
    assert person_unit(np.zeros((0, 2)), size) == small


def test_hidden_and_non_finite_keypoints_have_no_shapes(scene):
    points = scene.keypoints[..., :2].copy()
    points[0, 10] = np.nan
    shown = scene.keypoints[..., 2] > 0
    hollow = scene.keypoints[..., 2] == 1
    first, second = people_shapes(points, shown, hollow, COCO, person_colors(2), (96, 128))
    assert len(first.keypoints) == 2 * 16  # an outline and a filling each
    assert len(second.keypoints) == 2 * 12
    ends = {tuple(sorted(pair)) for pair in COCO.limb_indices.tolist()}
    assert len(first.limbs) == 2 * sum(10 not in pair for pair in ends)
    assert len(second.limbs) == 2 * sum(min(pair) >= 5 for pair in ends)


def test_hollow_markers_are_white_inside(scene):
    shown = scene.keypoints[..., 2] > 0
    hollow = scene.keypoints[..., 2] == 1
    shapes = people_shapes(
        scene.keypoints[..., :2], shown, hollow, COCO, person_colors(2), (96, 128)
    )
    fillings = [color for _, color in shapes[0].keypoints[1::2]]
    wrist = COCO.index("left_wrist")
    assert [k for k, color in enumerate(fillings) if color == WHITE] == [wrist]
    assert shapes[0].keypoints[2 * wrist][1] != INK


def test_another_skeletons_keypoints_are_refused(scene):
    with pytest.raises(ValueError, match=r"crowdpose.*\(2, 17, 2\)"):
        people_shapes(
            scene.keypoints[..., :2], np.ones((2, 17), bool), np.zeros((2, 17), bool),
            CROWDPOSE, person_colors(2), (96, 128),
        )  # fmt: skip
