"""Joint limits, proportions and the chirality of the body."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic import body, pose_sampling
from poselib.data.synthetic.scene import keypoint_indices
from poselib.skeletons import SKELETONS


def random_bodies(people: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    family = rng.integers(0, len(pose_sampling.FAMILIES), people)
    angles, proportions = (
        pose_sampling.sample_angles(rng, family),
        body.sample_proportions(rng, people),
    )
    return angles, body.forward_kinematics(angles, proportions)


def at_rest(**angles: float) -> dict[str, np.ndarray]:
    row = np.array([[angles.get(name, 0.0) for name in pose_sampling.ANGLES]])
    points = body.forward_kinematics(row, body.sample_proportions(np.random.default_rng(0), 1))[0]
    return dict(zip(body.POINTS, points, strict=True))


def bend(points: np.ndarray, a: str, b: str, c: str) -> np.ndarray:
    first = points[:, body.POINT_INDEX[b]] - points[:, body.POINT_INDEX[a]]
    second = points[:, body.POINT_INDEX[c]] - points[:, body.POINT_INDEX[b]]
    cosine = (first * second).sum(-1) / np.linalg.norm(first, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine / np.linalg.norm(second, axis=-1), -1, 1)))


def test_pose_families_keep_the_joint_limits() -> None:
    low, high = np.array(list(pose_sampling.LIMITS.values())).T
    for family, spans in zip(pose_sampling.FAMILIES, pose_sampling.FAMILY_RANGES, strict=True):
        assert (spans[:, 0] <= spans[:, 1]).all(), family
        assert (spans[:, 0] >= low).all() and (spans[:, 1] <= high).all(), family
    angles, _ = random_bodies()
    assert (angles >= low).all() and (angles <= high).all()


def test_ranges_of_signed_rotations_are_symmetric() -> None:
    for name in ("bend", "twist", "head_yaw", "head_roll"):
        column = pose_sampling.ANGLES.index(name)
        np.testing.assert_array_equal(
            pose_sampling.FAMILY_RANGES[:, column, 0], -pose_sampling.FAMILY_RANGES[:, column, 1]
        )


def test_sides_of_asymmetric_poses_are_exchanged_for_half_of_the_people() -> None:
    walking = np.full(200, pose_sampling.FAMILIES.index("walking"))
    angles = pose_sampling.sample_angles(np.random.default_rng(0), walking)
    left = angles[:, pose_sampling.ANGLES.index("left_hip")]
    right = angles[:, pose_sampling.ANGLES.index("right_hip")]
    assert 0.35 < (left > right).mean() < 0.65
    assert ((left >= 12) ^ (right >= 12)).all()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("angle", "chain"),
    [("elbow", ("shoulder", "elbow", "wrist")), ("knee", ("hip", "knee", "ankle"))],
)
def test_forward_kinematics_bends_joints_by_the_sampled_angle(
    side: str, angle: str, chain: tuple[str, ...]
) -> None:
    angles, points = random_bodies()
    wanted = angles[:, pose_sampling.ANGLES.index(f"{side}_{angle}")]
    measured = bend(points, *(f"{side}_{joint}" for joint in chain))
    np.testing.assert_allclose(measured, wanted, atol=1e-4)


def test_forward_kinematics_bends_knees_backwards_and_elbows_forwards() -> None:
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


def test_bone_lengths_do_not_depend_on_the_pose() -> None:
    proportions = body.sample_proportions(np.random.default_rng(4), 1)
    family = np.arange(len(pose_sampling.FAMILIES)).repeat(20)
    angles = pose_sampling.sample_angles(np.random.default_rng(5), family)
    points = body.forward_kinematics(angles, proportions.repeat(len(family), 0))
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")):
        for side in pose_sampling.SIDES:
            ends = (
                points[:, body.POINT_INDEX[f"{side}_{a}"]]
                - points[:, body.POINT_INDEX[f"{side}_{b}"]]
            )
            assert np.ptp(np.linalg.norm(ends, axis=-1)) < 1e-9


def test_standing_height_is_the_unit() -> None:
    points = np.array(list(at_rest().values()))
    assert np.ptp(points[:, 1]) == pytest.approx(1.0, abs=0.06)
    angles, proportions = (
        np.zeros((50, len(pose_sampling.ANGLES))),
        body.sample_proportions(np.random.default_rng(1), 50),
    )
    tall = np.ptp(body.forward_kinematics(angles, proportions)[..., 1], axis=1)
    assert tall.std() < 0.01


def test_proportions_differ() -> None:
    lengths = body.sample_proportions(np.random.default_rng(2), 200)
    assert (lengths.std(0) / lengths.mean(0) > 0.01).all()
    arm, forearm, leg = (body.LENGTHS.index(n) for n in ("upper_arm", "forearm", "leg"))
    assert (lengths[:, arm] > lengths[:, forearm]).all() and (lengths[:, leg] > 0.2).all()


def test_projection_chirality_of_front_side_and_back_views() -> None:
    points = np.array(list(at_rest().values()))[None]
    left, right, nose, skull = (
        body.POINT_INDEX[n] for n in ("left_shoulder", "right_shoulder", "nose", "skull")
    )
    front, side, back = (
        body.project(points, np.array([yaw]), np.zeros(1), 0.0)[0] for yaw in (0.0, 90.0, 180.0)
    )
    assert front[left, 0] > front[right, 0] and front[nose, 2] > front[skull, 2]
    assert back[left, 0] < back[right, 0] and back[nose, 2] < back[skull, 2]
    assert side[nose, 0] > side[skull, 0], "a yaw of 90 faces the image's right"


def test_projection_from_above_lowers_near_points() -> None:
    points = np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    seen = body.project(points, np.zeros(1), np.zeros(1), 10.0)[0]
    assert seen[1, 1] > seen[0, 1]


def test_body_has_the_keypoints_of_every_skeleton() -> None:
    for skeleton in SKELETONS.values():
        points = [body.KEYPOINTS[k] for k in keypoint_indices(skeleton)]
        # The bottom of the head is the top of the neck.
        assert points == [name.replace("head_bottom", "upper_neck") for name in skeleton.keypoints]
    assert {"pelvis", "thorax", "upper_neck", "head_top", "chest", "belly"} <= set(body.KEYPOINTS)
