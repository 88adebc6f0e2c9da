"""Joint limits, proportions and the chirality of the body."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic import body
from poselib.data.synthetic import pose_sampling as poses
from poselib.skeletons import SKELETONS


def drawn(people: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    family = rng.integers(0, len(poses.FAMILIES), people)
    angles, proportions = poses.draw_angles(rng, family), body.draw_proportions(rng, people)
    return angles, body.pose(angles, proportions)


def at_rest(**angles: float) -> dict[str, np.ndarray]:
    row = np.array([[angles.get(name, 0.0) for name in poses.ANGLES]])
    points = body.pose(row, body.draw_proportions(np.random.default_rng(0), 1))[0]
    return dict(zip(body.POINTS, points, strict=True))


def bend(points: np.ndarray, a: str, b: str, c: str) -> np.ndarray:
    first = points[:, body.POINT[b]] - points[:, body.POINT[a]]
    second = points[:, body.POINT[c]] - points[:, body.POINT[b]]
    cosine = (first * second).sum(-1) / np.linalg.norm(first, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine / np.linalg.norm(second, axis=-1), -1, 1)))


def test_every_family_keeps_the_joint_limits() -> None:
    low, high = np.array(list(poses.LIMITS.values())).T
    for family, spans in zip(poses.FAMILIES, poses.FAMILY_SPANS, strict=True):
        assert (spans[:, 0] <= spans[:, 1]).all(), family
        assert (spans[:, 0] >= low).all() and (spans[:, 1] <= high).all(), family
    angles, _ = drawn()
    assert (angles >= low).all() and (angles <= high).all()


def test_turns_that_a_mirror_would_reverse_are_drawn_alike_to_both_sides() -> None:
    for name in ("bend", "twist", "head_yaw", "head_roll"):
        column = poses.ANGLES.index(name)
        np.testing.assert_array_equal(
            poses.FAMILY_SPANS[:, column, 0], -poses.FAMILY_SPANS[:, column, 1]
        )


def test_both_sides_take_both_roles_of_an_asymmetric_pose() -> None:
    walking = np.full(200, poses.FAMILIES.index("walking"))
    angles = poses.draw_angles(np.random.default_rng(0), walking)
    left = angles[:, poses.ANGLES.index("left_hip")]
    right = angles[:, poses.ANGLES.index("right_hip")]
    assert 0.35 < (left > right).mean() < 0.65
    assert ((left >= 12) ^ (right >= 12)).all()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("angle", "chain"),
    [("elbow", ("shoulder", "elbow", "wrist")), ("knee", ("hip", "knee", "ankle"))],
)
def test_points_bend_by_the_drawn_angle(side: str, angle: str, chain: tuple[str, ...]) -> None:
    angles, points = drawn()
    wanted = angles[:, poses.ANGLES.index(f"{side}_{angle}")]
    measured = bend(points, *(f"{side}_{joint}" for joint in chain))
    np.testing.assert_allclose(measured, wanted, atol=1e-4)


def test_knees_bend_backwards_and_elbows_forwards() -> None:
    points = at_rest(left_hip=40, left_knee=100, right_elbow=90)
    shin = points["left_ankle"] - points["left_knee"]
    # In the plane x = 0, the shin hangs 40 - 100 degrees from the vertical.
    np.testing.assert_allclose(
        shin[1:] / np.linalg.norm(shin),
        [np.cos(np.radians(60)), -np.sin(np.radians(60))],
        atol=1e-9,
    )
    assert points["right_wrist"][2] > points["right_elbow"][2] + 0.1
    assert points["left_toe"][2] > points["left_ankle"][2] - 0.1


def test_bones_keep_their_lengths_in_every_pose() -> None:
    proportions = body.draw_proportions(np.random.default_rng(4), 1)
    family = np.arange(len(poses.FAMILIES)).repeat(20)
    angles = poses.draw_angles(np.random.default_rng(5), family)
    points = body.pose(angles, proportions.repeat(len(family), 0))
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
        for side in poses.SIDES:
            ends = points[:, body.POINT[f"{side}_{a}"]] - points[:, body.POINT[f"{side}_{b}"]]
            assert np.ptp(np.linalg.norm(ends, axis=-1)) < 1e-9


def test_a_standing_body_is_about_one_standing_height_tall() -> None:
    points = np.array(list(at_rest().values()))
    assert np.ptp(points[:, 1]) == pytest.approx(1.0, abs=0.06)
    angles, proportions = (
        np.zeros((50, len(poses.ANGLES))),
        body.draw_proportions(np.random.default_rng(1), 50),
    )
    tall = np.ptp(body.pose(angles, proportions)[..., 1], axis=1)
    assert tall.std() < 0.01


def test_people_differ_in_proportions() -> None:
    lengths = body.draw_proportions(np.random.default_rng(2), 200)
    assert (lengths.std(0) / lengths.mean(0) > 0.01).all()
    arm, forearm, leg = (body.LENGTHS.index(n) for n in ("upper_arm", "forearm", "leg"))
    assert (lengths[:, arm] > lengths[:, forearm]).all() and (lengths[:, leg] > 0.2).all()


def test_left_is_on_the_right_of_the_image_from_the_front_and_on_the_left_from_behind() -> None:
    points = np.array(list(at_rest().values()))[None]
    left, right, nose, skull = (
        body.POINT[n] for n in ("left_shoulder", "right_shoulder", "nose", "skull")
    )
    front, side, back = (
        body.project(points, np.array([yaw]), np.zeros(1), 0.0)[0] for yaw in (0.0, 90.0, 180.0)
    )
    assert front[left, 0] > front[right, 0] and front[nose, 2] > front[skull, 2]
    assert back[left, 0] < back[right, 0] and back[nose, 2] < back[skull, 2]
    assert side[nose, 0] > side[skull, 0], "a yaw of 90 looks to the image's right"


def test_a_camera_above_lowers_what_is_near() -> None:
    points = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    seen = body.project(points, np.zeros(1), np.zeros(1), 10.0)[0]
    assert seen[1, 1] > seen[0, 1]


def test_the_body_serves_every_skeleton() -> None:
    for skeleton in SKELETONS.values():
        assert set(skeleton.keypoints) <= set(body.KEYPOINTS)
    assert {"pelvis", "thorax", "upper_neck", "head_top", "chest", "belly"} <= set(body.KEYPOINTS)
