"""Smooth motion of people and camera: cubic B-splines through random poses, turns and places.

A point of a cubic B-spline is a weighted mean of four control points with weights from 0 on that
sum to 1. Angles between poses inside the joint limits are therefore inside them too, and position,
velocity and acceleration are continuous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic import body
from poselib.data.synthetic.pose_sampling import FAMILIES, MIRROR, sample_angles
from poselib.typing import FloatArray

_WALKING, _LYING = FAMILIES.index("walking"), FAMILIES.index("lying")
# Seconds between control points.
POSE_SPACING, PATH_SPACING = 0.45, 0.8
_STRIDE = 0.55  # standing heights a second that a walking person covers


def spline(controls: FloatArray, times: FloatArray) -> FloatArray:
    """Evaluate a uniform cubic B-spline.

    Args:
        controls: (C, ...), C at least 4.
        times: (T,) in spans, from 0 to C - 3.

    Returns:
        (T, ...).
    """
    first = np.clip(np.floor(times).astype(np.int64), 0, len(controls) - 4)
    u = (times - first).reshape(-1, *(1,) * (controls.ndim - 1))
    total: FloatArray = (
        (1 - u) ** 3 * controls[first]
        + (3 * u**3 - 6 * u**2 + 4) * controls[first + 1]
        + (-3 * u**3 + 3 * u**2 + 3 * u + 1) * controls[first + 2]
        + u**3 * controls[first + 3]
    )
    return total / 6


def control_count(seconds: float, spacing: float) -> int:
    """Return how many control points a spline of so many seconds needs, with one to spare."""
    return 5 + int(np.ceil(seconds / spacing))


@dataclass(frozen=True)
class Motion:
    """The motion of N people; every attribute is a spline's control points.

    Attributes:
        angles: (C, N, angles) degrees, of ``pose_sampling.LIMITS``, every ``POSE_SPACING`` s.
        yaw, roll: (D, N) degrees, of ``body.project``, every ``PATH_SPACING`` s.
        places: (D, N, 2) what is added to positions, in standing heights.
        growth: (D, N) logarithm of the factor of the height, as people come nearer.
    """

    angles: FloatArray
    yaw: FloatArray
    roll: FloatArray
    places: FloatArray
    growth: FloatArray

    def pose(self, seconds: FloatArray) -> FloatArray:
        """Return the joint angles (T, N, angles) at times (T,)."""
        return spline(self.angles, 1 + seconds / POSE_SPACING)

    def path(self, name: str, seconds: FloatArray) -> FloatArray:
        """Return another attribute (T, N, ...) at times (T,)."""
        return spline(getattr(self, name), 1 + seconds / PATH_SPACING)


def sample_motion(
    rng: np.random.Generator,
    families: NDArray[np.int64],
    seconds: float,
    yaw: FloatArray,
    turn: float,
) -> Motion:
    """Sample the motion of N people.

    A person who lies keeps lying. Who walks takes mirrored poses in turn, as steps, and moves the
    way that the body faces.

    Args:
        families: (K, N) pose families, each for three poses; the first decides whether a person
            lies.
        seconds: length.
        yaw: (N,) degrees, about which people turn.
        turn: maximum of the turn to either side, degrees.
    """
    people = families.shape[1]
    count = control_count(seconds, POSE_SPACING)
    lying = families[0] == _LYING
    angles: list[FloatArray] = []
    for step in range(count):
        family = families[step // 3 % len(families)]
        # People do not lie down or get up within a clip.
        family = np.where(lying, _LYING, np.where(family == _LYING, families[0], family))
        pose = sample_angles(rng, family)
        walks = (family == _WALKING) & (step % 2 == 1) & ~lying
        if angles:
            pose[walks] = angles[-1][walks][:, MIRROR]
        angles.append(pose)
    nodes = control_count(seconds, PATH_SPACING)
    yaws = yaw + turn * rng.uniform(-1, 1, (nodes, people))
    down = np.where(rng.random(people) < 0.5, -90.0, 90.0) * lying
    roll = down + 5 * rng.normal(size=(nodes, people))
    walking = (families == _WALKING).mean(axis=0) * ~lying
    stride = np.sin(np.radians(yaws)) * _STRIDE * PATH_SPACING * walking
    places = 0.06 * rng.normal(size=(nodes, people, 2)) * [1.0, 0.4]
    places[..., 0] += np.cumsum(stride, axis=0) - stride.sum(axis=0) / 2
    return Motion(np.array(angles), yaws, roll, places, 0.06 * rng.normal(size=(nodes, people)))


def projected(
    motion: Motion, proportions: FloatArray, elevation: float, seconds: FloatArray
) -> FloatArray:
    """Return the points (T, N, P, 3) of the bodies, in standing heights from where they stand."""
    angles, yaw, roll = (
        motion.pose(seconds),
        motion.path("yaw", seconds),
        motion.path("roll", seconds),
    )
    steps, people = angles.shape[:2]
    shape = np.tile(proportions, (steps, 1))
    points = body.forward_kinematics(angles.reshape(steps * people, -1), shape)
    seen = body.project(points, yaw.ravel(), roll.ravel(), elevation)
    seen = seen.reshape(steps, people, *seen.shape[1:])
    seen[..., :2] += motion.path("places", seconds)[:, :, None]
    return seen
