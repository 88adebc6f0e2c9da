"""Placement of people in a scene, apart or with a given crowd index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.ops.crowd_index import crowd_indices
from poselib.typing import FloatArray


@dataclass(frozen=True)
class Bodies:
    """N people to place, in standing heights from the pelvis.

    Attributes:
        keypoints: (N, K, 2), the keypoints that count for the crowd index.
        boxes: (N, 4) around the whole bodies.
        cut: (N, 4), the fraction of its width or height by which a body must extend beyond the
            left, top, right and bottom edge of the image.
    """

    keypoints: FloatArray
    boxes: FloatArray
    cut: FloatArray


def _position_ranges(
    bodies: Bodies, heights: FloatArray, size: int
) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest pelvis positions (..., N, 2) that satisfy ``bodies.cut``."""
    boxes = bodies.boxes * heights[..., None]
    extent = np.tile(boxes[..., 2:] - boxes[..., :2], 2) * bodies.cut
    low = -boxes[..., :2]
    high = size - boxes[..., 2:]
    # A body that is larger than the image extends equally beyond both sides.
    middle = (low + high) / 2
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    before, after = extent[..., :2], extent[..., 2:]
    low = np.where(after > 0, high + after, low) - before
    return low, np.where(before + after > 0, low, high)


def place_loosely(
    rng: np.random.Generator, bodies: Bodies, heights: FloatArray, size: int
) -> FloatArray:
    """Place people one by one, mostly side by side; return pelvis positions (N, 2), px."""
    low, high = _position_ranges(bodies, heights, size)
    n, tries = len(heights), 12
    positions = low + (high - low) * rng.random((tries, n, 2))
    boxes = np.tile(positions, 2) + bodies.boxes * heights[:, None]
    max_overlap = 0.5 * rng.random(n)
    chosen = np.zeros(n, dtype=np.int64)
    for i in range(1, n):
        overlap = _overlap(boxes[:, i, None], boxes[chosen[:i], np.arange(i)]).max(-1)
        allowed = overlap <= max_overlap[i]
        chosen[i] = int(np.argmax(allowed)) if allowed.any() else int(np.argmin(overlap))
    return positions[chosen, np.arange(n)]


def place_crowded(
    rng: np.random.Generator,
    bodies: Bodies,
    span: tuple[float, float],
    size: int,
    target: float,
) -> tuple[FloatArray, FloatArray]:
    """Place people so that the crowd index is near ``target``.

    A random search: layouts from far apart to on top of each other, then perturbations of the best
    one. If the index allows it, no person stands directly behind another.

    Args:
        span: minimum and maximum standing height, px.

    Returns:
        Pelvis positions (N, 2) and standing heights (N,), px.
    """
    n, layouts = len(bodies.boxes), 40
    spread = np.linspace(0.02, 1.6, layouts)[:, None, None]
    middle = size * (0.3 + 0.4 * rng.random((layouts, 1, 2)))
    centers = middle + spread * size * (rng.random((layouts, n, 2)) - 0.5)
    heights = span[0] + (span[1] - span[0]) * rng.random((layouts, n))
    best: tuple[float, FloatArray, FloatArray] = (np.inf, centers[0], heights[0])
    for step in range(6):
        _, boxes, index = _evaluate_layouts(bodies, centers, heights, size)
        cost = np.abs(index - target) + 0.3 * _excess_overlap(boxes)
        nearest = int(np.argmin(cost))
        if cost[nearest] < best[0]:
            best = (cost[nearest], centers[nearest], heights[nearest])
        if best[0] < 0.02:
            break
        scale = 0.25 / 2**step
        centers = best[1] + scale * size * rng.normal(0, 0.5, (layouts // 2, n, 2))
        factor = np.exp(scale * rng.normal(0, 0.5, (layouts // 2, n)))
        heights = np.clip(best[2] * factor, *span)
    return _evaluate_layouts(bodies, best[1][None], best[2][None], size)[0][0], best[2]


def _excess_overlap(boxes: FloatArray) -> FloatArray:
    """Return (L,) the overlap beyond 0.7 of the worst pair of boxes (L, N, 4) in each layout."""
    overlap = _overlap(boxes[:, :, None], boxes[:, None])
    np.einsum("lii->li", overlap)[:] = 0
    excess: FloatArray = np.maximum(overlap.max((1, 2)) - 0.7, 0)
    return excess


def _overlap(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the intersection of boxes (..., 4) over the area of the smaller one."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    areas = (np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (a, b))
    overlap: FloatArray = np.prod(np.maximum(sides, 0), axis=-1) / np.maximum(
        np.minimum(*areas), 1e-6
    )
    return overlap


def _evaluate_layouts(
    bodies: Bodies, centers: FloatArray, heights: FloatArray, size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return pelvis positions (L, N, 2), boxes (L, N, 4) and crowd indices (L,) of L layouts.

    A layout is given by the centers of its boxes (L, N, 2) and the standing heights (L, N), px.
    """
    local = bodies.boxes * heights[..., None]
    low, high = _position_ranges(bodies, heights, size)
    positions = np.clip(centers - (local[..., :2] + local[..., 2:]) / 2, low, high)
    xy = bodies.keypoints * heights[..., None, None] + positions[..., None, :]
    labeled: NDArray[np.bool_] = ((xy >= 0) & (xy < size)).all(-1)  # type: ignore[assignment]
    boxes = np.clip(local + np.tile(positions, 2), 0, size)
    return positions, boxes, crowd_indices(xy, labeled, boxes)
