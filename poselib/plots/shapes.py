"""Poses as filled polygons in image px: the same ones for matplotlib and for OpenCV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.plots.style import INK, WHITE, Color, side_color
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import BoolArray, FloatArray

_LIMB, _LIMB_HALO = 1.0, 1.35  # half widths, in units of the person
_MARKER, _MARKER_CORE, _HOLLOW_CORE = 2.1, 1.65, 1.15  # radii, in units of the person
_CORNERS = {"left": 20, "right": 4, "center": 3}
_TURN = {"left": 0.0, "right": np.pi / 4, "center": np.pi / 2}
# Factors that give the three marker shapes the same area.
_GROW = {"left": 1.0, "right": 1.25, "center": 1.5}
# Outlines of radius 1, which videos take hundreds of times a frame: markers, and half a disc.
_ANGLES = {side: 2 * np.pi * np.arange(n) / n + _TURN[side] for side, n in _CORNERS.items()}
_MARKERS = {
    side: _GROW[side] * np.stack([np.cos(turn), -np.sin(turn)], axis=-1)
    for side, turn in _ANGLES.items()
}
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 9)
_HALF_DISC = np.stack([np.cos(_HALF), np.sin(_HALF)], axis=-1)

Shape = tuple[FloatArray, Color]  # a filled polygon: its corners (P, 2) in image px, its color


@dataclass(frozen=True)
class PersonShapes:
    """The polygons of one person in the order of painting, limbs below keypoints."""

    limbs: tuple[Shape, ...]
    keypoints: tuple[Shape, ...]


def person_unit(points: NDArray[np.floating], size: Size) -> float:
    """Return the half width of a limb in px for a person and an image of ``size`` (H, W).

    It follows the person's extent, within bounds set by the image: thin enough to leave small
    people visible, thick enough to be seen at all.
    """
    diagonal = float(np.hypot(*size))
    extent = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    return float(np.clip(0.011 * extent, 0.0022 * diagonal, 0.0055 * diagonal))


def capsule(a: FloatArray, b: FloatArray, radius: float) -> FloatArray:
    """Return the outline (P, 2) of a line from ``a`` to ``b`` with round ends."""
    x, y = b - a
    length = math.hypot(x, y)
    x, y = (x / length, y / length) if length else (1.0, 0.0)
    around_b = radius * (_HALF_DISC @ np.array([[x, y], [-y, x]]))
    return np.concatenate([b + around_b, a - around_b])


def marker(center: FloatArray, radius: float, side: str) -> FloatArray:
    """Return the outline of a marker: a disc left, a square right, a triangle at the center."""
    return center + radius * _MARKERS[side]


def people_shapes(
    points: NDArray[np.floating],
    shown: BoolArray,
    hollow: BoolArray,
    skeleton: Skeleton,
    colors: Sequence[Color],
    size: Size,
    *,
    weight: float = 1.0,
    units: Sequence[float] | None = None,
) -> list[PersonShapes]:
    """Return the polygons of N people.

    Args:
        points: (N, K, 2) px of the image; those that are not finite are left out.
        shown: (N, K) true where a keypoint is drawn; a limb needs both of its ends.
        hollow: (N, K) true where the marker is a ring.
        colors: one per person; lighter on its left side, darker on its right.
        size: (H, W) of the image, px.
        weight: factor of all line widths and markers; above 1 for small panels.
        units: N half widths of limbs, px; ``person_unit`` of what is shown if None.

    Raises:
        ValueError: the number of keypoints is not the skeleton's.
    """
    if points.ndim != 3 or points.shape[1] != len(skeleton):
        expected = f"(people, {len(skeleton)}, 2) for skeleton {skeleton.name!r}"
        raise ValueError(f"keypoints must be {expected}, not {points.shape}")
    sides = skeleton.sides
    people = []
    for n, xy in enumerate(np.asarray(points, dtype=np.float64)):
        drawn = shown[n] & np.isfinite(xy).all(axis=-1)
        unit = weight * (person_unit(xy[drawn], size) if units is None else units[n])
        limbs: list[Shape] = []
        for i, j in skeleton.limb_indices:
            if drawn[i] and drawn[j]:
                tone = side_color(colors[n], sides[i] if sides[i] == sides[j] else "center")
                limbs.append((capsule(xy[i], xy[j], _LIMB_HALO * unit), INK))
                limbs.append((capsule(xy[i], xy[j], _LIMB * unit), tone))
        keypoints: list[Shape] = []
        for k in np.flatnonzero(drawn):
            tone = side_color(colors[n], sides[k])
            core = _HOLLOW_CORE if hollow[n, k] else _MARKER_CORE
            rim, fill = (tone, WHITE) if hollow[n, k] else (INK, tone)
            keypoints.append((marker(xy[k], _MARKER * unit, sides[k]), rim))
            keypoints.append((marker(xy[k], core * unit, sides[k]), fill))
        people.append(PersonShapes(tuple(limbs), tuple(keypoints)))
    return people
