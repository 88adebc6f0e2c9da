"""The parts that a body is drawn with, and which of them show which keypoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic.body import KEYPOINTS, POINT
from poselib.data.synthetic.pose_sampling import SIDES
from poselib.typing import FloatArray


@dataclass(frozen=True)
class Part:
    """A shape around two points: the hull of a circle at each; radii in standing heights.

    ``bias`` is added to the nearness of its middle, so that parts at one depth keep an order.
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
# Shapes around four points, with a radius for each.
HULLS = (
    ("chest", ("left_armpit", "right_armpit", "left_waist", "right_waist"), (0.036, 0.046), 0.0),
    ("pelvis", ("left_waist", "right_waist", "left_hip", "right_hip"), (0.045, 0.052), -0.004),
    ("skirt", ("left_hip", "right_hip", "left_hem", "right_hem"), (0.054, 0.066), 0.02),
)
PARTS = tuple(part.name for part in CAPSULES) + tuple(hull[0] for hull in HULLS)
PART = {name: i for i, name in enumerate(PARTS)}

START = np.array([POINT[p.start] for p in CAPSULES])
END = np.array([POINT[p.end] for p in CAPSULES])
RADII = np.array([p.radii for p in CAPSULES])
BIAS = np.array([p.bias for p in CAPSULES] + [hull[3] for hull in HULLS])
HULL_POINTS = np.array([[POINT[p] for p in hull[1]] for hull in HULLS])
HULL_RADII = np.array([[hull[2][0]] * 2 + [hull[2][1]] * 2 for hull in HULLS])
FEATURES = [PART[part.name] for part in _features()]
# Marks on the face are not outlined, and those that keep within it own no pixels.
PLAIN = frozenset(PART[name] for name in ("left_eye", "right_eye", "left_white", "right_white"))
PLAIN |= {PART["mouth"], PART["nose"]}
FLAT = PLAIN - {PART["nose"]}

# A feature shows when it is nearer to the viewer than the middle of the head, by this much.
_FACING = {"nose": -0.012, "left_eye": 0.0, "right_eye": 0.0, "left_ear": -0.02, "right_ear": -0.02}
# A shoulder or hip is hidden by the trunk when the line to it from the trunk's axis points away
# from the viewer by more than this sine.
_AWAY = 0.75


def _carriers() -> NDArray[np.bool_]:
    """(keypoints, parts) whether a keypoint is seen where that part of its own body is on top."""
    head = ("face", "hair", "nose", "left_ear", "right_ear")
    trunk = ("chest", "pelvis", "skirt")
    seen: dict[str, tuple[str, ...]] = {
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
        seen[f"{s}_shoulder"] = (f"{s}_upper_arm", "chest")
        seen[f"{s}_elbow"] = (f"{s}_upper_arm", f"{s}_forearm")
        seen[f"{s}_wrist"] = (f"{s}_forearm", f"{s}_hand")
        seen[f"{s}_hip"] = (*trunk, f"{s}_thigh")
        seen[f"{s}_knee"] = (f"{s}_thigh", f"{s}_shin")
        seen[f"{s}_ankle"] = (f"{s}_shin", f"{s}_foot")
    table = np.zeros((len(KEYPOINTS), len(PARTS) + 1), dtype=bool)
    for k, name in enumerate(KEYPOINTS):
        table[k, [1 + PART[part] for part in seen[name]]] = True
    return table


# Column 0 is the bare background: nothing is seen there.
CARRIERS = _carriers()


def facing(points: FloatArray) -> NDArray[np.bool_]:
    """(N, keypoints) false for keypoints on the far side of the head or the trunk."""
    near = points[..., 2]
    seen = np.ones((len(points), len(KEYPOINTS)), dtype=bool)
    middle = near[:, POINT["skull"]]
    for name, limit in _FACING.items():
        seen[:, KEYPOINTS.index(name)] = near[:, POINT[name]] - middle > limit
    seen[:, KEYPOINTS.index("face")] = seen[:, KEYPOINTS.index("nose")]
    for joint, axis in (("shoulder", "thorax"), ("hip", "pelvis")):
        for s in SIDES:
            line = points[:, POINT[f"{s}_{joint}"]] - points[:, POINT[axis]]
            away = -line[:, 2] > _AWAY * np.sqrt((line**2).sum(-1))
            seen[:, KEYPOINTS.index(f"{s}_{joint}")] &= ~away
    return seen


def shown(
    seen: NDArray[np.bool_], worn: NDArray[np.bool_], heights: FloatArray
) -> NDArray[np.bool_]:
    """(N, parts) which parts to draw; ``heights`` (N,) in px, ``worn`` (N, parts)."""
    out = worn.copy()
    for name in ("nose", "left_ear", "right_ear", "left_eye", "right_eye"):
        out[:, PART[name]] &= seen[:, KEYPOINTS.index(name)]
    for s in SIDES:
        # The white of an eye needs a few pixels to be seen as one.
        out[:, PART[f"{s}_white"]] &= out[:, PART[f"{s}_eye"]] & (heights > 180)
    out[:, PART["mouth"]] &= out[:, PART["left_eye"]] | out[:, PART["right_eye"]]
    return out


def depths(points: FloatArray) -> FloatArray:
    """(N, parts) nearness of each part, the order of painting."""
    near = points[..., 2]
    capsules = (near[:, START] + near[:, END]) / 2
    depth = np.concatenate([capsules, near[:, HULL_POINTS].mean(-1)], 1) + BIAS
    head = np.maximum(depth[:, PART["hair"]], depth[:, PART["face"]])
    depth[:, FEATURES] = head[:, None] + BIAS[FEATURES]
    # Long hair hangs down the back: behind neck and shirt from the front, over them from behind.
    front = near[:, POINT["nose"]] > near[:, POINT["skull"]]
    neck, chest = depth[:, PART["neck"]], depth[:, PART["chest"]]
    over = np.maximum(depth[:, PART["hair"]], chest) + 0.001
    depth[:, PART["long_hair"]] = np.where(front, np.minimum(neck, chest) - 0.001, over)
    return depth


def extents(points: FloatArray, girth: FloatArray) -> FloatArray:
    """(N, 4) left, top, right, bottom, standing heights, close around head, trunk and limbs."""
    low, high = [], []
    for index, radii in ((START, RADII[:, 0]), (END, RADII[:, 1])):
        r = (radii * girth[:, None])[..., None]
        low.append((points[:, index, :2] - r).min(1))
        high.append((points[:, index, :2] + r).max(1))
    return np.concatenate([np.minimum(*low), np.maximum(*high)], 1)
