"""The articulated body model: points, random proportions, forward kinematics and projection.

The person's frame has x to the person's left, y down and z forward, the pelvis at the origin and
the standing height as the unit. Seen from the front, the person's left is the image's right.
"""

from __future__ import annotations

import numpy as np

from poselib.data.synthetic.pose_sampling import ANGLES, SIDE_LIMITS, SIDES
from poselib.typing import FloatArray

_SIGN = np.array([1.0, -1.0])

KEYPOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    *("head", "head_top", "face", "upper_neck", "neck", "thorax", "chest", "belly", "pelvis"),
)
_LEG_POINTS = ("hip", "knee", "ankle", "heel", "toe", "hem")
_ARM_POINTS = ("shoulder", "elbow", "wrist", "fingers")
_TORSO_POINTS = ("neck", "thorax", "chest", "belly", "upper_neck", "collar")
_HEAD_POINTS: dict[str, tuple[float, float, float]] = {
    # In units of the head's scale, from the center of the head.
    "nose": (0.0, 0.012, 0.062),
    "left_eye": (0.020, -0.005, 0.050),
    "right_eye": (-0.020, -0.005, 0.050),
    "left_ear": (0.054, 0.006, -0.004),
    "right_ear": (-0.054, 0.006, -0.004),
    "head": (0.0, -0.068, -0.004),
    "head_top": (0.0, -0.068, -0.004),
    "face": (0.0, 0.012, 0.030),
    "skull": (0.0, -0.014, -0.009),
    "brow": (0.0, -0.004, 0.013),
    "jaw": (0.0, 0.034, 0.015),
    "mouth_left": (0.013, 0.037, 0.046),
    "mouth_right": (-0.013, 0.037, 0.046),
    "hair_tip": (0.0, 0.105, -0.035),
}
POINTS = (
    "pelvis",
    *_TORSO_POINTS,
    *(f"{side}_waist" for side in SIDES),
    *(f"{side}_armpit" for side in SIDES),
    *_HEAD_POINTS,
    *(f"{side}_{p}" for p in _ARM_POINTS for side in SIDES),
    *(f"{side}_{p}" for p in _LEG_POINTS for side in SIDES),
)
POINT_INDEX = {name: i for i, name in enumerate(POINTS)}
KEYPOINT_INDICES = np.array([POINT_INDEX[name] for name in KEYPOINTS])

# Mean and half range of each length, in standing heights before they are normalized to 1.
_LENGTHS = {
    "leg": (0.235, 0.018),
    "torso": (0.295, 0.015),
    "neck": (0.050, 0.008),
    "head": (1.0, 0.10),
    "shoulder": (0.108, 0.014),
    "hip": (0.056, 0.009),
    "upper_arm": (0.170, 0.012),
    "forearm": (0.145, 0.010),
    "girth": (1.0, 0.16),
}
LENGTHS = tuple(_LENGTHS)
_FOOT = 0.035


def sample_proportions(rng: np.random.Generator, people: int) -> FloatArray:
    """Sample (N, len(LENGTHS)) body lengths of standing height 1; girth is a factor."""
    mean, half_range = np.array(list(_LENGTHS.values())).T
    lengths: FloatArray = mean + half_range * (2 * rng.random((people, len(mean))) - 1)
    leg, torso, neck, head = lengths[:, :4].T
    height = 2 * leg + torso + neck + 0.144 * head + _FOOT
    lengths[:, :-1] /= height[:, None]
    return lengths


def _rotation(axis: int, degrees: FloatArray) -> FloatArray:
    """Return (N, 3, 3) rotations about an axis of the person's frame, signed as in ``LIMITS``."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.zeros((*degrees.shape, 3, 3))
    a, b = {0: (1, 2), 1: (0, 2), 2: (1, 0)}[axis]
    out[..., axis, axis] = 1.0
    out[..., a, a] = out[..., b, b] = c
    out[..., a, b], out[..., b, a] = s, -s
    return out


def _perpendicular(reference: FloatArray, direction: FloatArray) -> FloatArray:
    """Return the unit vector nearest to ``reference`` that is perpendicular to ``direction``."""
    vectors = reference - (reference * direction).sum(-1, keepdims=True) * direction
    unit: FloatArray = vectors / np.maximum(np.sqrt((vectors**2).sum(-1, keepdims=True)), 1e-9)
    return unit


def _arms(
    side: dict[str, FloatArray], lengths: dict[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the vectors shoulder to elbow and elbow to wrist, (N, 2, 3), in the torso's frame."""
    lift, sweep, flex, turn = (np.radians(side[a]) for a in ("raise", "sweep", "elbow", "turn"))
    flat = np.sin(lift)
    upper = np.stack([_SIGN * flat * np.cos(sweep), np.cos(lift), flat * np.sin(sweep)], -1)
    # A forearm bends forwards when the arm hangs, upwards and inwards when it is raised.
    inward = np.broadcast_to(-0.45 * _SIGN, turn.shape)
    bend = _perpendicular(np.stack([inward, -0.7 * np.sin(turn) - 0.2, np.cos(turn)], -1), upper)
    lower = np.cos(flex)[..., None] * upper + np.sin(flex)[..., None] * bend
    return upper * lengths["upper_arm"][:, None, None], lower * lengths["forearm"][:, None, None]


def _legs(side: dict[str, FloatArray], lengths: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the points of the legs, (N, 2, 3) each, in the person's frame."""
    forward, spread, flex, toe = (np.radians(side[a]) for a in ("hip", "spread", "knee", "foot"))
    level = np.cos(spread)
    thigh = np.stack([_SIGN * np.sin(spread), np.cos(forward) * level, np.sin(forward) * level], -1)
    fold = np.stack([np.zeros_like(flex), thigh[..., 2], -thigh[..., 1]], -1)
    bend = _perpendicular(fold, thigh)
    shin = np.cos(flex)[..., None] * thigh + np.sin(flex)[..., None] * bend
    ahead = _perpendicular(-bend * np.cos(flex)[..., None] + np.sin(flex)[..., None] * thigh, shin)
    foot = np.cos(toe)[..., None] * ahead + np.sin(toe)[..., None] * shin
    foot[..., 0] += 0.25 * _SIGN
    leg = lengths["leg"][:, None, None]
    hip = np.zeros_like(thigh)
    hip[..., 0] = _SIGN * lengths["hip"][:, None]
    knee = hip + leg * thigh
    ankle = knee + leg * shin
    heel = ankle + 0.012 * shin - 0.012 * foot
    hem = hip + 0.72 * leg * thigh
    return {
        "hip": hip,
        "knee": knee,
        "ankle": ankle,
        "heel": heel,
        "toe": heel + 0.085 * foot,
        "hem": hem,
    }


def forward_kinematics(angles: FloatArray, proportions: FloatArray) -> FloatArray:
    """Compute the points of each body from its joint angles and proportions.

    Args:
        angles: (N, len(ANGLES)) degrees.
        proportions: (N, len(LENGTHS)), from ``sample_proportions``.

    Returns:
        (N, len(POINTS), 3) in the person's frame, in standing heights.
    """
    lengths = dict(zip(LENGTHS, proportions.T, strict=True))
    center = dict(zip(ANGLES, angles.T, strict=True))
    side = {a: np.stack([center[f"{s}_{a}"] for s in SIDES], -1) for a in SIDE_LIMITS}
    torso = _rotation(1, center["twist"]) @ _rotation(0, center["lean"])
    torso = torso @ _rotation(2, center["bend"])
    head = torso @ _rotation(1, center["head_yaw"]) @ _rotation(0, center["head_pitch"])
    head = head @ _rotation(2, center["head_roll"])

    n, out = len(angles), {}
    up = -torso[:, :, 1]
    t, neck = lengths["torso"][:, None], lengths["neck"][:, None]
    along = {
        "neck": t + 0.3 * neck,
        "thorax": t,
        "chest": 0.72 * t,
        "belly": 0.30 * t,
        "upper_neck": t + neck,
        "collar": 0.93 * t,
    }
    out.update({name: up * length for name, length in along.items()})
    out["pelvis"] = np.zeros((n, 3))
    leftward = torso[:, :, 0]
    width, hip = lengths["shoulder"][:, None], lengths["hip"][:, None]
    for s, sign in zip(SIDES, _SIGN, strict=True):
        out[f"{s}_waist"] = up * (0.34 * t) + sign * leftward * (0.35 * width + 0.25 * hip)
        out[f"{s}_armpit"] = up * (0.93 * t) + sign * leftward * (0.78 * width)
    out.update(_head(head, out["upper_neck"], lengths["head"]))

    shoulder = up[:, None] * (0.97 * t[:, None]) + leftward[:, None] * (
        _SIGN[None, :, None] * width[:, None]
    )
    upper, lower = (np.einsum("nij,nsj->nsi", torso, v) for v in _arms(side, lengths))
    elbow = shoulder + upper
    arm = {"shoulder": shoulder, "elbow": elbow, "wrist": elbow + lower}
    arm["fingers"] = arm["wrist"] + 0.30 * lower
    for name, pair in {**arm, **_legs(side, lengths)}.items():
        out[f"left_{name}"], out[f"right_{name}"] = pair[:, 0], pair[:, 1]
    return np.stack([out[name] for name in POINTS], axis=1)


def _head(rotation: FloatArray, base: FloatArray, scale: FloatArray) -> dict[str, FloatArray]:
    local = np.array(list(_HEAD_POINTS.values()))
    center = base + rotation @ np.array([0.0, -0.062, 0.012]) * scale[:, None]
    points = center[:, None] + np.einsum("nij,pj->npi", rotation, local) * scale[:, None, None]
    return {name: points[:, i] for i, name in enumerate(_HEAD_POINTS)}


def project(points: FloatArray, yaw: FloatArray, roll: FloatArray, elevation: float) -> FloatArray:
    """Project bodies orthographically onto the image plane.

    Args:
        points: (N, P, 3) in each person's frame.
        yaw: (N,) degrees; 0 faces the viewer, 90 the image's right, 180 shows the back.
        roll: (N,) degrees in the image plane, clockwise as seen.
        elevation: degrees by which the camera looks down.

    Returns:
        (N, P, 3): image x, image y (down) and depth towards the viewer, in standing heights.
    """
    tilt = _rotation(0, np.full(len(points), elevation))
    view = _rotation(2, roll) @ tilt @ _rotation(1, yaw)
    return np.einsum("nij,npj->npi", view, points)
