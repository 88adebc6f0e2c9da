"""Joint limits, pose families and random poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poselib.typing import FloatArray

SIDES = ("left", "right")
# Joint limits of a healthy adult, degrees, rounded.
TORSO_LIMITS = {
    "lean": (-15, 60),  # forward
    "bend": (-25, 25),  # to the left
    "twist": (-30, 30),  # to the left
    "head_yaw": (-60, 60),  # against the torso, to the left
    "head_pitch": (-30, 40),  # down
    "head_roll": (-25, 25),  # to the left
}
SIDE_LIMITS = {
    "raise": (0, 172),  # upper arm from hanging (0) over level (90) to upright
    "sweep": (-50, 120),  # of a raised arm: outwards (0), forwards (90), across the chest
    "elbow": (0, 145),
    "turn": (-60, 60),  # of the plane in which the forearm bends
    "hip": (-25, 115),  # thigh forward
    "spread": (-10, 45),  # thigh outward
    "knee": (0, 140),
    "foot": (-30, 50),  # toes down
}
LIMITS: dict[str, tuple[float, float]] = {
    **TORSO_LIMITS,
    **{f"{side}_{name}": span for side in SIDES for name, span in SIDE_LIMITS.items()},
}
ANGLES = tuple(LIMITS)
_COLUMN = {name: i for i, name in enumerate(ANGLES)}

_REST_RANGES = {
    "lean": (-4, 8),
    "bend": (-6, 6),
    "twist": (-10, 10),
    "head_yaw": (-30, 30),
    "head_pitch": (-10, 18),
    "head_roll": (-8, 8),
    "raise": (4, 30),
    "sweep": (-10, 80),
    "elbow": (5, 50),
    "turn": (-30, 30),
    "hip": (-6, 10),
    "spread": (1, 12),
    "knee": (0, 12),
    "foot": (-5, 10),
}
# Each family lists the angles that differ from rest. A name without a side holds for both sides;
# those of an asymmetric pose are exchanged for half of the people.
_FAMILIES: dict[str, dict[str, tuple[float, float]]] = {
    "standing": {"left_elbow": (5, 125), "left_raise": (4, 60), "spread": (1, 16)},
    "walking": {
        "lean": (0, 14),
        "left_hip": (12, 45),
        "right_hip": (-22, 0),
        "left_knee": (2, 35),
        "right_knee": (10, 70),
        "left_raise": (8, 40),
        "right_raise": (8, 45),
        "left_sweep": (-50, -35),
        "right_sweep": (75, 100),
        "elbow": (10, 95),
        "right_foot": (0, 45),
        "spread": (-2, 4),
    },
    "sitting": {
        "lean": (-5, 25),
        "hip": (65, 100),
        "knee": (55, 110),
        "spread": (-2, 28),
        "raise": (8, 55),
        "sweep": (30, 110),
        "elbow": (20, 110),
    },
    "arms_up": {
        "raise": (95, 170),
        "sweep": (-20, 70),
        "elbow": (0, 95),
        "spread": (0, 26),
        "knee": (0, 40),
        "hip": (-5, 25),
    },
    "reaching": {
        "lean": (-5, 30),
        "left_raise": (60, 140),
        "left_sweep": (-10, 110),
        "left_elbow": (0, 60),
        "right_raise": (5, 70),
        "right_elbow": (10, 120),
        "spread": (0, 24),
        "hip": (-8, 35),
        "knee": (0, 50),
    },
    "crouching": {
        "lean": (10, 55),
        "hip": (60, 112),
        "knee": (85, 138),
        "spread": (5, 40),
        "raise": (10, 80),
        "sweep": (20, 110),
        "elbow": (10, 110),
        "foot": (0, 40),
    },
    "lying": {
        "hip": (-10, 60),
        "knee": (0, 80),
        "raise": (5, 150),
        "elbow": (0, 110),
        "spread": (0, 25),
        "foot": (0, 45),
    },
}
FAMILIES = tuple(_FAMILIES)


def _range_of(family: str, angle: str) -> tuple[float, float]:
    special, name = _FAMILIES[family], angle.removeprefix("left_").removeprefix("right_")
    return special.get(angle, special.get(name, _REST_RANGES[name]))


FAMILY_RANGES: FloatArray = np.array(
    [[_range_of(f, a) for a in ANGLES] for f in FAMILIES], dtype=np.float64
)

# The order of the angles with the sides exchanged. Turns to the left and to the right have the same
# ranges, so they need no change of sign.
MIRROR = np.array(
    [_COLUMN[name] for name in TORSO_LIMITS]
    + [_COLUMN[f"{side}_{name}"] for side in reversed(SIDES) for name in SIDE_LIMITS]
)


def sample_angles(rng: np.random.Generator, families: NDArray[np.int64]) -> FloatArray:
    """Sample one pose for each person.

    Args:
        families: (N,) indices into ``FAMILIES``.

    Returns:
        (N, len(ANGLES)) degrees, inside ``LIMITS``.
    """
    low, high = FAMILY_RANGES[families].transpose(2, 0, 1)
    angles: FloatArray = low + (high - low) * rng.random(low.shape)
    mirrored = rng.random(len(families)) < 0.5
    angles[mirrored] = angles[mirrored][:, MIRROR]
    return angles
