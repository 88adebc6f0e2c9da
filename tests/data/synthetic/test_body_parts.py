"""What of a body shows, and what is painted over what."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic import body, body_parts
from poselib.data.synthetic.pose_sampling import ANGLES


def view(yaw: float, **angles: float) -> np.ndarray:
    row = np.array([[angles.get(name, 0.0) for name in ANGLES]])
    points = body.forward_kinematics(row, body.sample_proportions(np.random.default_rng(0), 1))
    return body.project(points, np.array([yaw]), np.zeros(1), 0.0)


def is_facing(yaw: float, name: str) -> bool:
    return bool(body_parts.facing_viewer(view(yaw))[0, body.KEYPOINTS.index(name)])


@pytest.mark.parametrize(
    ("yaw", "shown", "hidden"),
    [
        (0, ["nose", "left_eye", "right_eye", "left_ear", "right_ear"], []),
        (180, ["left_shoulder", "right_hip"], ["nose", "left_eye", "right_eye", "face"]),
        # Looking to the image's right shows the right side.
        (90, ["nose", "right_eye", "right_ear"], ["left_eye", "left_ear", "left_shoulder"]),
        (-90, ["nose", "left_eye", "left_ear"], ["right_eye", "right_ear", "right_hip"]),
    ],
)
def test_keypoints_facing_the_viewer(yaw: float, shown: list[str], hidden: list[str]) -> None:
    assert all(is_facing(yaw, name) for name in shown)
    assert not any(is_facing(yaw, name) for name in hidden)


def is_painted_before(points: np.ndarray, lower: str, upper: str) -> bool:
    depth = body_parts.part_depths(points)[0]
    return bool(depth[body_parts.PART_INDEX[lower]] < depth[body_parts.PART_INDEX[upper]])


def test_depth_of_long_hair_from_the_front_and_from_behind() -> None:
    for pitch in (-30, 0, 40):
        front, back = (view(yaw, head_pitch=pitch) for yaw in (0, 180))
        assert is_painted_before(front, "long_hair", "neck") and is_painted_before(
            front, "long_hair", "chest"
        )
        assert is_painted_before(back, "chest", "long_hair") and is_painted_before(
            back, "neck", "long_hair"
        )


@pytest.mark.parametrize("yaw", [0, 40, 90, -90])
def test_depth_of_facial_features_and_hair(yaw: float) -> None:
    points = view(yaw)
    for feature in ("left_eye", "right_eye", "nose", "mouth", "left_ear"):
        assert is_painted_before(points, "face", feature) and is_painted_before(
            points, "hair", feature
        )
    assert is_painted_before(points, "hair", "face") and is_painted_before(
        points, "left_white", "left_eye"
    )
    assert is_painted_before(view(180), "face", "hair")


def test_depth_of_near_and_far_limbs_from_the_side() -> None:
    assert is_painted_before(view(90), "left_forearm", "chest") and is_painted_before(
        view(90), "chest", "right_forearm"
    )
    assert is_painted_before(view(-90), "right_thigh", "left_thigh")


def test_visible_parts_depend_on_clothes_and_height() -> None:
    present = np.ones((2, len(body_parts.PARTS)), dtype=bool)
    present[0, body_parts.PART_INDEX["skirt"]] = False
    facing = body_parts.facing_viewer(view(0)).repeat(2, 0)
    out = body_parts.visible_parts(facing, present, np.array([400.0, 60.0]))
    assert out[:, body_parts.PART_INDEX["skirt"]].tolist() == [False, True]
    assert out[:, body_parts.PART_INDEX["left_white"]].tolist() == [True, False]
    assert not body_parts.visible_parts(~facing, present, np.array([400.0, 60.0]))[
        :, body_parts.PART_INDEX["mouth"]
    ].any()


def test_body_boxes_contain_every_keypoint() -> None:
    points = view(30, left_raise=120, right_hip=60)
    left, top, right, bottom = body_parts.body_boxes(points, np.ones(1))[0]
    xy = points[0, body.KEYPOINT_INDICES, :2]
    assert (xy > [left, top]).all() and (xy < [right, bottom]).all()
