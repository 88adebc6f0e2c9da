"""Poses as filled polygons in image px: the same ones for matplotlib and for OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.plots.palette import INK, WHITE, Color, side_color
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import FloatArray

_LIMB, _LIMB_HALO = 1.0, 1.35  # half widths, in units of the person
_MARKER, _MARKER_CORE, _HOLLOW_CORE = 2.1, 1.65, 1.15  # radii, in units of the person
_CORNERS = {"left": 20, "right": 4, "center": 3}
_TURN = {"left": 0.0, "right": np.pi / 4, "center": np.pi / 2}
# Factors that give the three marker shapes the same area.
_GROW = {"left": 1.0, "right": 1.25, "center": 1.5}


@dataclass(frozen=True)
class Shape:
    """A filled polygon: ``points`` (P, 2) float64 in image px, and its color."""

    points: FloatArray
    color: Color


@dataclass(frozen=True)
class PersonShapes:
    """The polygons of one person in the order of painting, limbs below keypoints."""

    limbs: tuple[Shape, ...]
    keypoints: tuple[Shape, ...]


def side_of(keypoint: str) -> str:
    """Return ``"left"``, ``"right"`` or ``"center"`` from the name of a keypoint."""
    for side in ("left", "right"):
        if keypoint.startswith(f"{side}_"):
            return side
    return "center"


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
    angle = np.arctan2(b[1] - a[1], b[0] - a[0])
    half = np.linspace(-np.pi / 2, np.pi / 2, 9)
    around_b = np.stack([np.cos(angle + half), np.sin(angle + half)], axis=-1)
    return np.concatenate([b + radius * around_b, a - radius * around_b])


def marker(center: FloatArray, radius: float, side: str) -> FloatArray:
    """Return the outline of a marker: a disc left, a square right, a triangle at the center."""
    turn = 2 * np.pi * np.arange(_CORNERS[side]) / _CORNERS[side] + _TURN[side]
    circle = np.stack([np.cos(turn), -np.sin(turn)], axis=-1)
    return center + radius * _GROW[side] * circle


def person_shapes(
    points: NDArray[np.floating],
    shown: NDArray[np.bool_],
    hollow: NDArray[np.bool_],
    skeleton: Skeleton,
    color: Color,
    unit: float,
) -> PersonShapes:
    """Return the polygons of one person.

    Args:
        points: (K, 2) px of the image.
        shown: (K,) true where a keypoint is drawn; a limb needs both of its ends.
        hollow: (K,) true where the marker is a ring.
        skeleton: names and limbs.
        color: the person's color; lighter on its left side, darker on its right.
        unit: half width of a limb, px; markers keep pace.
    """
    xy = np.asarray(points, dtype=np.float64)
    sides = [side_of(name) for name in skeleton.keypoints]
    limbs: list[Shape] = []
    for i, j in skeleton.limb_indices:
        if shown[i] and shown[j]:
            tone = side_color(color, sides[i] if sides[i] == sides[j] else "center")
            limbs.append(Shape(capsule(xy[i], xy[j], _LIMB_HALO * unit), INK))
            limbs.append(Shape(capsule(xy[i], xy[j], _LIMB * unit), tone))
    keypoints: list[Shape] = []
    for k in np.flatnonzero(shown):
        tone = side_color(color, sides[k])
        core = _HOLLOW_CORE if hollow[k] else _MARKER_CORE
        rim, fill = (tone, WHITE) if hollow[k] else (INK, tone)
        keypoints.append(Shape(marker(xy[k], _MARKER * unit, sides[k]), rim))
        keypoints.append(Shape(marker(xy[k], core * unit, sides[k]), fill))
    return PersonShapes(tuple(limbs), tuple(keypoints))


def person_units(
    points: NDArray[np.floating], shown: NDArray[np.bool_], size: Size
) -> NDArray[np.float64]:
    """Return ``person_unit`` of N people with keypoints (N, K, 2), of which (N, K) are shown."""
    units = [person_unit(xy[there], size) for xy, there in zip(points, shown, strict=True)]
    return np.array(units, dtype=np.float64)


def people_shapes(
    points: NDArray[np.floating],
    shown: NDArray[np.bool_],
    hollow: NDArray[np.bool_],
    skeleton: Skeleton,
    colors: Sequence[Color],
    size: Size,
    *,
    weight: float = 1.0,
    units: NDArray[np.float64] | None = None,
) -> list[PersonShapes]:
    """Return the polygons of N people.

    Args:
        points: (N, K, 2) px of the image; those that are not finite are left out.
        shown: (N, K) true where a keypoint is drawn; a limb needs both of its ends.
        hollow: (N, K) true where the marker is a ring.
        skeleton: names and limbs.
        colors: one per person.
        size: (H, W) of the image, px.
        weight: factor of all line widths and markers; above 1 for small panels.
        units: (N,) half widths of limbs, px; ``person_units`` of what is shown if None.

    Raises:
        ValueError: the number of keypoints is not the skeleton's.
    """
    if points.ndim != 3 or points.shape[1] != len(skeleton):
        raise ValueError(
            f"keypoints must be (people, {len(skeleton)}, 2) for skeleton "
            f"{skeleton.name!r}, not {points.shape}"
        )
    shown = shown & np.isfinite(points).all(axis=-1)
    units = person_units(points, shown, size) if units is None else units
    return [
        person_shapes(points[n], shown[n], hollow[n], skeleton, colors[n], weight * units[n])
        for n in range(len(points))
    ]
