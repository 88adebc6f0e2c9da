"""Drawing people: the outlines of their parts, and painting them from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic import body_parts as parts
from poselib.data.synthetic.appearance import Look
from poselib.typing import FloatArray

# Fractional bits of the coordinates given to cv2.
SHIFT = 4

_VERTICES = 16
_SWEEP = np.linspace(-1.0, 1.0, _VERTICES // 2)
_TURN = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], -1)
_PLAIN = sorted(parts.PLAIN)
_HEAD_FROM = parts.PART["hair"]


def fixed(points: FloatArray) -> NDArray[np.int32]:
    """Px with centers at integer + 0.5 to the fixed point of cv2, whose centers are integers."""
    scaled: NDArray[np.int32] = np.rint((points - 0.5) * (1 << SHIFT)).astype(np.int32)
    return scaled


@dataclass(frozen=True)
class Shapes:
    """Outlines of N people in cv2's fixed point, ready to paint.

    Attributes:
        capsules, capsule_rims: (N, capsules, vertices, 2), without and with the rim around them.
        hulls, hull_rims: (N, hulls, points, 2), points whose convex hull is the outline.
        order: the parts of each person that show, from far to near.
        chest: (N, 4, 2) px of the left and right armpit and the left and right waist.
        rim: widths of the rims, px.
    """

    capsules: NDArray[np.int32]
    capsule_rims: NDArray[np.int32]
    hulls: NDArray[np.int32]
    hull_rims: NDArray[np.int32]
    order: list[list[int]]
    chest: FloatArray
    rim: list[float]


def shape(
    points: FloatArray,
    facing: NDArray[np.bool_],
    px: FloatArray,
    heights: FloatArray,
    girth: FloatArray,
    looks: list[Look],
) -> Shapes:
    """Work out the outlines of N people.

    Args:
        points: (N, P, 3) projected, standing heights; they give what is near.
        facing: (N, keypoints), from ``parts.facing``.
        px: (N, P, 2) the same points in px of the image.
        heights: (N,) standing heights, px.
        girth: (N,) factor of all radii.
        looks: N looks.
    """
    there = parts.shown(facing, np.array([look.worn for look in looks]), heights)
    order = np.argsort(parts.depths(points), axis=1, kind="stable")
    rim = np.maximum(0.45, 0.0055 * heights)
    edge, scale = rim[:, None, None], (heights * girth)[:, None, None]
    radii = parts.RADII * scale
    # Heads differ less in girth than bodies do.
    radii[:, _HEAD_FROM:] /= np.sqrt(girth)[:, None, None]
    # Smoothing widens a mark by about this much, which would make sunglasses of small eyes.
    radii[:, _PLAIN] = np.maximum(radii[:, _PLAIN] - 0.35, 0.1)
    start, end = px[:, parts.START], px[:, parts.END]
    hull = px[:, parts.HULL_POINTS][..., None, :]
    ring = parts.HULL_RADII[..., None, None] * _CIRCLE * scale[..., None, None]
    wide = ring + _CIRCLE * edge[..., None, None]
    capsules = fixed(_capsules(start, end, np.stack([radii, radii + edge])))
    flat = (len(points), len(parts.HULLS), -1, 2)
    return Shapes(
        capsules=capsules[0],
        capsule_rims=capsules[1],
        hulls=fixed(hull + ring).reshape(flat),
        hull_rims=fixed(hull + wide).reshape(flat),
        order=[row[show[row]].tolist() for row, show in zip(order, there, strict=True)],
        chest=px[:, parts.HULL_POINTS[0]],
        rim=rim.tolist(),
    )


def _capsules(start: FloatArray, end: FloatArray, radii: FloatArray) -> FloatArray:
    """Convex hulls (..., vertices, 2) of circles around ``start`` and ``end`` (..., 2)."""
    # Of a limb that points at the viewer one circle may hold the other: then it is the hull.
    larger = radii.max(-1, keepdims=True)
    gap = np.sqrt(((end - start) ** 2).sum(-1, keepdims=True))
    held = gap <= larger - radii.min(-1, keepdims=True)
    center = np.where(radii[..., :1] >= radii[..., 1:], start, end)
    start, end = np.where(held, center, start), np.where(held, center, end)
    radii = np.where(held, larger, radii)
    axis = end - start
    length = np.sqrt((axis**2).sum(-1))
    angle = np.arctan2(axis[..., 1], axis[..., 0])
    # The common tangents of the circles touch them at this angle from the axis.
    taper = np.clip((radii[..., 0] - radii[..., 1]) / np.maximum(length, 1e-6), -1, 1)
    half = np.arccos(taper)
    near = angle[..., None] + half[..., None] * _SWEEP
    far = angle[..., None] + np.pi + (np.pi - half[..., None]) * _SWEEP
    turn = np.concatenate([near, far], -1)
    ends = np.repeat(np.stack([end, start], -2), _VERTICES // 2, axis=-2)
    size = np.repeat(radii[..., ::-1], _VERTICES // 2, axis=-1)
    return ends + size[..., None] * np.stack([np.cos(turn), np.sin(turn)], -1)


def paint(
    image: NDArray[np.uint8], owner: NDArray[np.uint8], shapes: Shapes, person: int, look: Look
) -> None:
    """Paint one person onto ``image``, and 1 + the part on top onto ``owner``, both in place."""
    for part in shapes.order[person]:
        color = look.colors[part]
        inner, outer = _outline(shapes, person, part)
        if part not in parts.PLAIN:
            cv2.fillConvexPoly(image, outer, look.rims[part], cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(image, inner, color, cv2.LINE_AA, SHIFT)
        if part not in parts.FLAT:
            cv2.fillConvexPoly(owner, inner, 1 + part, cv2.LINE_8, SHIFT)
        if part == parts.PART["chest"] and look.stripes > 1:
            _stripes(image, shapes.chest[person], look, shapes.rim[person])


def _outline(shapes: Shapes, person: int, part: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    hull = part - len(parts.CAPSULES)
    if hull < 0:
        return shapes.capsules[person, part], shapes.capsule_rims[person, part]
    inner, outer = shapes.hulls[person, hull], shapes.hull_rims[person, hull]
    return cv2.convexHull(inner), cv2.convexHull(outer)


def _stripes(image: NDArray[np.uint8], chest: FloatArray, look: Look, rim: float) -> None:
    t = (np.arange(look.stripes) + 0.5)[:, None, None] / look.stripes
    lines = fixed(chest[:2] * (1 - t) + chest[2:] * t)
    width = max(1, round(rim * 1.6))
    cv2.polylines(image, list(lines), False, look.stripe, width, cv2.LINE_AA, SHIFT)
