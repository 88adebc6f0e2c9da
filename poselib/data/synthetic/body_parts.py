"""Body parts as shapes: which are visible, their depth order, and the keypoints they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic.body import KEYPOINTS, POINT_INDEX
from poselib.data.synthetic.pose_sampling import SIDES
from poselib.typing import FloatArray


@dataclass(frozen=True)
class Part:
    """A shape around two points: the hull of a circle at each; radii in standing heights.

    ``bias`` is added to the depth of its middle, so that parts at one depth keep an order.
    """

    name: str
    start: str
    end: str
    radii: tuple[float, float]
    bias: float
    color: str


def _pair(name: str, start: str, end: str, radii: tuple[float, float], bias: float) -> list[Part]:
    return [Part(f"{s}_{name}", f"{s}_{start}", f"{s}_{end}", radii, bias, name) for s in SIDES]


def _features() -> list[Part]:
    eyes = [Part(f"{s}_eye", f"{s}_eye", f"{s}_eye", (0.008, 0.008), 0.02, "eye") for s in SIDES]
    whites = [
        Part(f"{s}_white", f"{s}_eye", f"{s}_eye", (0.013, 0.013), 0.019, "white") for s in SIDES
    ]
    return [
        *[Part(f"{s}_ear", f"{s}_ear", f"{s}_ear", (0.012, 0.012), 0.02, "skin") for s in SIDES],
        *whites,
        *eyes,
        Part("nose", "nose", "nose", (0.010, 0.010), 0.022, "nose"),
        Part("mouth", "mouth_left", "mouth_right", (0.005, 0.005), 0.02, "mouth"),
    ]


CAPSULES = (
    *_pair("upper_arm", "shoulder", "elbow", (0.033, 0.026), 0.012),
    *_pair("forearm", "elbow", "wrist", (0.025, 0.018), 0.014),
    *_pair("hand", "wrist", "fingers", (0.019, 0.015), 0.015),
    *_pair("thigh", "hip", "knee", (0.052, 0.036), -0.010),
    *_pair("shin", "knee", "ankle", (0.035, 0.022), -0.012),
    *_pair("foot", "heel", "toe", (0.022, 0.016), -0.011),
    Part("neck", "collar", "upper_neck", (0.030, 0.027), -0.015, "skin"),
    Part("hair", "skull", "skull", (0.061, 0.061), 0.0, "hair"),
    Part("face", "brow", "jaw", (0.045, 0.034), 0.012, "skin"),
    Part("long_hair", "skull", "hair_tip", (0.060, 0.048), 0.0, "hair"),
    *_features(),
)
# Outlines around four points, with a radius for each.
HULLS = (
    ("chest", ("left_armpit", "right_armpit", "left_waist", "right_waist"), (0.036, 0.046), 0.0),
    ("pelvis", ("left_waist", "right_waist", "left_hip", "right_hip"), (0.045, 0.052), -0.004),
    ("skirt", ("left_hip", "right_hip", "left_hem", "right_hem"), (0.054, 0.066), 0.02),
)
PARTS = tuple(part.name for part in CAPSULES) + tuple(hull[0] for hull in HULLS)
PART_INDEX = {name: i for i, name in enumerate(PARTS)}

START = np.array([POINT_INDEX[p.start] for p in CAPSULES])
END = np.array([POINT_INDEX[p.end] for p in CAPSULES])
RADII = np.array([p.radii for p in CAPSULES])
BIAS = np.array([p.bias for p in CAPSULES] + [hull[3] for hull in HULLS])
HULL_POINTS = np.array([[POINT_INDEX[p] for p in hull[1]] for hull in HULLS])
HULL_RADII = np.array([[hull[2][0]] * 2 + [hull[2][1]] * 2 for hull in HULLS])
FACE_FEATURES = [PART_INDEX[part.name] for part in _features()]
# Facial features have no outline, and all but the nose leave no trace in the map of parts.
WITHOUT_OUTLINE = frozenset(
    PART_INDEX[name] for name in ("left_eye", "right_eye", "left_white", "right_white")
)
WITHOUT_OUTLINE |= {PART_INDEX["mouth"], PART_INDEX["nose"]}
NOT_IN_PART_MAP = WITHOUT_OUTLINE - {PART_INDEX["nose"]}

# A facial feature is visible if it is this much nearer to the viewer than the middle of the head.
_FACING = {"nose": -0.012, "left_eye": 0.0, "right_eye": 0.0, "left_ear": -0.02, "right_ear": -0.02}
# The trunk hides a shoulder or hip if the line to it from the trunk's axis points away from the
# viewer by more than this sine.
_AWAY = 0.75


def _parts_showing() -> NDArray[np.bool_]:
    """Return (keypoints, parts): whether a keypoint is visible where that part is on top."""
    head = ("face", "hair", "nose", "left_ear", "right_ear")
    trunk = ("chest", "pelvis", "skirt")
    showing: dict[str, tuple[str, ...]] = {
        **dict.fromkeys(("nose", "left_eye", "right_eye", "left_ear", "right_ear"), head),
        **dict.fromkeys(("head", "head_top"), (*head, "long_hair")),
        "face": head,
        "upper_neck": ("neck", *head),
        "neck": ("neck", "chest", "face"),
        "thorax": ("neck", "chest", "face"),
        "chest": trunk,
        "belly": trunk,
        "pelvis": (*trunk, "left_thigh", "right_thigh"),
    }
    for s in SIDES:
        showing[f"{s}_shoulder"] = (f"{s}_upper_arm", "chest")
        showing[f"{s}_elbow"] = (f"{s}_upper_arm", f"{s}_forearm")
        showing[f"{s}_wrist"] = (f"{s}_forearm", f"{s}_hand")
        showing[f"{s}_hip"] = (*trunk, f"{s}_thigh")
        showing[f"{s}_knee"] = (f"{s}_thigh", f"{s}_shin")
        showing[f"{s}_ankle"] = (f"{s}_shin", f"{s}_foot")
    table = np.zeros((len(KEYPOINTS), len(PARTS) + 1), dtype=bool)
    for k, name in enumerate(KEYPOINTS):
        table[k, [1 + PART_INDEX[part] for part in showing[name]]] = True
    return table


# Column 0 is the background, which shows no keypoint.
PARTS_SHOWING = _parts_showing()


def facing_viewer(points: FloatArray) -> NDArray[np.bool_]:
    """Return (N, keypoints), false for keypoints on the far side of the head or the trunk."""
    near = points[..., 2]
    facing = np.ones((len(points), len(KEYPOINTS)), dtype=bool)
    middle = near[:, POINT_INDEX["skull"]]
    for name, limit in _FACING.items():
        facing[:, KEYPOINTS.index(name)] = near[:, POINT_INDEX[name]] - middle > limit
    facing[:, KEYPOINTS.index("face")] = facing[:, KEYPOINTS.index("nose")]
    for joint, axis in (("shoulder", "thorax"), ("hip", "pelvis")):
        for s in SIDES:
            line = points[:, POINT_INDEX[f"{s}_{joint}"]] - points[:, POINT_INDEX[axis]]
            away = -line[:, 2] > _AWAY * np.sqrt((line**2).sum(-1))
            facing[:, KEYPOINTS.index(f"{s}_{joint}")] &= ~away
    return facing


def visible_parts(
    facing: NDArray[np.bool_], present: NDArray[np.bool_], heights: FloatArray
) -> NDArray[np.bool_]:
    """Return (N, parts), the parts to render; ``heights`` (N,) in px, ``present`` (N, parts)."""
    out = present.copy()
    for name in ("nose", "left_ear", "right_ear", "left_eye", "right_eye"):
        out[:, PART_INDEX[name]] &= facing[:, KEYPOINTS.index(name)]
    for s in SIDES:
        # The white of an eye needs a few pixels to be recognizable.
        out[:, PART_INDEX[f"{s}_white"]] &= out[:, PART_INDEX[f"{s}_eye"]] & (heights > 180)
    out[:, PART_INDEX["mouth"]] &= out[:, PART_INDEX["left_eye"]] | out[:, PART_INDEX["right_eye"]]
    return out


def part_depths(points: FloatArray) -> FloatArray:
    """Return the depth (N, parts) of each part towards the viewer: the order of painting."""
    near = points[..., 2]
    capsules = (near[:, START] + near[:, END]) / 2
    depth = np.concatenate([capsules, near[:, HULL_POINTS].mean(-1)], 1) + BIAS
    head = np.maximum(depth[:, PART_INDEX["hair"]], depth[:, PART_INDEX["face"]])
    depth[:, FACE_FEATURES] = head[:, None] + BIAS[FACE_FEATURES]
    # Long hair hangs down the back: behind neck and shirt from the front, over them from behind.
    front = near[:, POINT_INDEX["nose"]] > near[:, POINT_INDEX["skull"]]
    neck, chest = depth[:, PART_INDEX["neck"]], depth[:, PART_INDEX["chest"]]
    over = np.maximum(depth[:, PART_INDEX["hair"]], chest) + 0.001
    depth[:, PART_INDEX["long_hair"]] = np.where(front, np.minimum(neck, chest) - 0.001, over)
    return depth


def body_boxes(points: FloatArray, girth: FloatArray) -> FloatArray:
    """Return boxes (N, 4) around whole bodies: left, top, right, bottom, in standing heights."""
    low, high = [], []
    for index, radii in ((START, RADII[:, 0]), (END, RADII[:, 1])):
        r = (radii * girth[:, None])[..., None]
        low.append((points[:, index, :2] - r).min(1))
        high.append((points[:, index, :2] + r).max(1))
    return np.concatenate([np.minimum(*low), np.maximum(*high)], 1)
