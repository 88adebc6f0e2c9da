"""What of a body shows, and what is painted over what."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic import body
from poselib.data.synthetic import body_parts as parts
from poselib.data.synthetic.pose_sampling import ANGLES


def view(yaw: float, **angles: float) -> np.ndarray:
    row = np.array([[angles.get(name, 0.0) for name in ANGLES]])
    points = body.pose(row, body.draw_proportions(np.random.default_rng(0), 1))
    return body.project(points, np.array([yaw]), np.zeros(1), 0.0)


def seen(yaw: float, name: str) -> bool:
    return bool(parts.facing(view(yaw))[0, body.KEYPOINTS.index(name)])


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
def test_what_faces_the_viewer(yaw: float, shown: list[str], hidden: list[str]) -> None:
    assert all(seen(yaw, name) for name in shown)
    assert not any(seen(yaw, name) for name in hidden)


def before(points: np.ndarray, lower: str, upper: str) -> bool:
    depth = parts.depths(points)[0]
    return bool(depth[parts.PART[lower]] < depth[parts.PART[upper]])


def test_long_hair_hangs_behind_the_neck_from_the_front_and_over_the_shirt_from_behind() -> None:
    for pitch in (-30, 0, 40):
        front, back = (view(yaw, head_pitch=pitch) for yaw in (0, 180))
        assert before(front, "long_hair", "neck") and before(front, "long_hair", "chest")
        assert before(back, "chest", "long_hair") and before(back, "neck", "long_hair")


@pytest.mark.parametrize("yaw", [0, 40, 90, -90])
def test_features_lie_on_the_face_and_hair_behind_it(yaw: float) -> None:
    points = view(yaw)
    for feature in ("left_eye", "right_eye", "nose", "mouth", "left_ear"):
        assert before(points, "face", feature) and before(points, "hair", feature)
    assert before(points, "hair", "face") and before(points, "left_white", "left_eye")
    assert before(view(180), "face", "hair")


def test_the_near_arm_is_painted_last_from_the_side() -> None:
    assert before(view(90), "left_forearm", "chest") and before(view(90), "chest", "right_forearm")
    assert before(view(-90), "right_thigh", "left_thigh")


def test_clothes_hide_and_small_people_have_no_whites_of_the_eyes() -> None:
    worn = np.ones((2, len(parts.PARTS)), dtype=bool)
    worn[0, parts.PART["skirt"]] = False
    facing = parts.facing(view(0)).repeat(2, 0)
    out = parts.shown(facing, worn, np.array([400.0, 60.0]))
    assert out[:, parts.PART["skirt"]].tolist() == [False, True]
    assert out[:, parts.PART["left_white"]].tolist() == [True, False]
    assert not parts.shown(~facing, worn, np.array([400.0, 60.0]))[:, parts.PART["mouth"]].any()


def test_extents_hold_every_keypoint() -> None:
    points = view(30, left_raise=120, right_hip=60)
    left, top, right, bottom = parts.extents(points, np.ones(1))[0]
    xy = points[0, body.KEYPOINT_POINTS, :2]
    assert (xy > [left, top]).all() and (xy < [right, bottom]).all()
