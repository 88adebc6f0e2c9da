"""Rendering of people: outlines of their body parts, painted from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.synthetic import body_parts
from poselib.data.synthetic.appearance import Appearance
from poselib.typing import FloatArray

# Fractional bits of the coordinates passed to OpenCV.
FIXED_POINT_BITS = 4

_VERTICES = 16
_SWEEP = np.linspace(-1.0, 1.0, _VERTICES // 2)
_TURN = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], -1)
_SMOOTHED = sorted(body_parts.WITHOUT_OUTLINE)
_HEAD_FROM = body_parts.PART_INDEX["hair"]


def to_fixed_point(points: FloatArray) -> NDArray[np.int32]:
    """Convert px, with centers at integer + 0.5, to OpenCV's fixed point, with integer centers."""
    scaled: NDArray[np.int32] = np.rint((points - 0.5) * (1 << FIXED_POINT_BITS)).astype(np.int32)
    return scaled


@dataclass(frozen=True)
class Outlines:
    """Outlines of the body parts of N people, in OpenCV's fixed point.

    Attributes:
        capsules, outer_capsules: (N, capsules, vertices, 2), without and with the border.
        hulls, outer_hulls: (N, hulls, points, 2), points whose convex hull is the outline.
        order: the visible parts of each person, from far to near.
        chest: (N, 4, 2) px of the left and right armpit and the left and right waist.
        border: widths of the borders, px.
    """

    capsules: NDArray[np.int32]
    outer_capsules: NDArray[np.int32]
    hulls: NDArray[np.int32]
    outer_hulls: NDArray[np.int32]
    order: list[list[int]]
    chest: FloatArray
    border: list[float]


def body_outlines(
    points: FloatArray,
    facing: NDArray[np.bool_],
    px: FloatArray,
    heights: FloatArray,
    girth: FloatArray,
    appearances: list[Appearance],
) -> Outlines:
    """Compute the outlines of N people.

    Args:
        points: (N, P, 3) from ``body.project``; their depths give the order of the parts.
        facing: (N, keypoints) from ``body_parts.facing_viewer``.
        px: (N, P, 2), the same points in px of the image.
        heights: (N,) standing heights, px.
        girth: (N,) factor of all radii.
        appearances: of the N people.
    """
    present = np.array([appearance.present for appearance in appearances])
    visible = body_parts.visible_parts(facing, present, heights)
    order = np.argsort(body_parts.part_depths(points), axis=1, kind="stable")
    border = np.maximum(0.45, 0.0055 * heights)
    margin, scale = border[:, None, None], (heights * girth)[:, None, None]
    radii = body_parts.RADII * scale
    # Heads differ less in girth than bodies do.
    radii[:, _HEAD_FROM:] /= np.sqrt(girth)[:, None, None]
    # Anti-aliasing widens a small shape by about this much; small eyes would look like sunglasses.
    radii[:, _SMOOTHED] = np.maximum(radii[:, _SMOOTHED] - 0.35, 0.1)
    start, end = px[:, body_parts.START], px[:, body_parts.END]
    hull = px[:, body_parts.HULL_POINTS][..., None, :]
    ring = body_parts.HULL_RADII[..., None, None] * _CIRCLE * scale[..., None, None]
    outer_ring = ring + _CIRCLE * margin[..., None, None]
    capsules = to_fixed_point(_capsules(start, end, np.stack([radii, radii + margin])))
    flat = (len(points), len(body_parts.HULLS), -1, 2)
    return Outlines(
        capsules=capsules[0],
        outer_capsules=capsules[1],
        hulls=to_fixed_point(hull + ring).reshape(flat),
        outer_hulls=to_fixed_point(hull + outer_ring).reshape(flat),
        order=[row[show[row]].tolist() for row, show in zip(order, visible, strict=True)],
        chest=px[:, body_parts.HULL_POINTS[0]],
        border=border.tolist(),
    )


def _capsules(start: FloatArray, end: FloatArray, radii: FloatArray) -> FloatArray:
    """Return convex hulls (..., vertices, 2) of circles around ``start`` and ``end`` (..., 2)."""
    # If a limb points at the viewer, one circle may contain the other, and is then the hull.
    larger = radii.max(-1, keepdims=True)
    gap = np.sqrt(((end - start) ** 2).sum(-1, keepdims=True))
    contained = gap <= larger - radii.min(-1, keepdims=True)
    center = np.where(radii[..., :1] >= radii[..., 1:], start, end)
    start, end = np.where(contained, center, start), np.where(contained, center, end)
    radii = np.where(contained, larger, radii)
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


def paint_person(
    image: NDArray[np.uint8],
    part_map: NDArray[np.uint8],
    outlines: Outlines,
    person: int,
    appearance: Appearance,
) -> None:
    """Paint one person into ``image``, and 1 + the part on top into ``part_map``, both in place."""
    for part in outlines.order[person]:
        color = appearance.colors[part]
        inner, outer = _outline(outlines, person, part)
        if part not in body_parts.WITHOUT_OUTLINE:
            cv2.fillConvexPoly(
                image, outer, appearance.outline_colors[part], cv2.LINE_AA, FIXED_POINT_BITS
            )
        cv2.fillConvexPoly(image, inner, color, cv2.LINE_AA, FIXED_POINT_BITS)
        if part not in body_parts.NOT_IN_PART_MAP:
            cv2.fillConvexPoly(part_map, inner, 1 + part, cv2.LINE_8, FIXED_POINT_BITS)
        if part == body_parts.PART_INDEX["chest"] and appearance.stripes > 1:
            _stripes(image, outlines.chest[person], appearance, outlines.border[person])


def _outline(
    outlines: Outlines, person: int, part: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    hull = part - len(body_parts.CAPSULES)
    if hull < 0:
        return outlines.capsules[person, part], outlines.outer_capsules[person, part]
    inner, outer = outlines.hulls[person, hull], outlines.outer_hulls[person, hull]
    return cv2.convexHull(inner), cv2.convexHull(outer)


def _stripes(
    image: NDArray[np.uint8], chest: FloatArray, appearance: Appearance, border: float
) -> None:
    t = (np.arange(appearance.stripes) + 0.5)[:, None, None] / appearance.stripes
    lines = to_fixed_point(chest[:2] * (1 - t) + chest[2:] * t)
    width = max(1, round(border * 1.6))
    cv2.polylines(
        image, list(lines), False, appearance.stripe_color, width, cv2.LINE_AA, FIXED_POINT_BITS
    )
