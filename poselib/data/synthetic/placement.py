"""How crowded a scene is, and where to put people so that it is as crowded as asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poselib.typing import FloatArray


def crowd_index(keypoints: ArrayLike, boxes: ArrayLike) -> float:
    """Measure how much people stand in each other's boxes, as CrowdPose defines it.

    The mean over people of the number of other people's labeled keypoints inside a person's
    box, divided by the number of that person's own labeled keypoints.

    Args:
        keypoints: (N, K, 3), px and visibility; visibility 0 does not count.
        boxes: (N, 4) left, top, right, bottom, px.

    Returns:
        0 for nobody or one person, and at most about N - 1.

    Raises:
        ValueError: a shape does not fit.
    """
    people = np.asarray(keypoints, dtype=np.float64)
    if people.ndim != 3 or people.shape[-1] != 3:
        raise ValueError(f"keypoints must be (N, K, 3), got {people.shape}")
    box = np.asarray(boxes, dtype=np.float64)
    if box.shape != (len(people), 4):
        raise ValueError(f"boxes must be ({len(people)}, 4), got {box.shape}")
    if len(people) == 0:
        return 0.0
    return float(_index(people[None, ..., :2], people[None, ..., 2] > 0, box[None])[0])


def _index(xy: FloatArray, labeled: NDArray[np.bool_], boxes: FloatArray) -> FloatArray:
    """(L,) crowd indices of L layouts: xy (L, N, K, 2), labeled (L, N, K), boxes (L, N, 4)."""
    low, high = boxes[:, :, None, None, :2], boxes[:, :, None, None, 2:]
    others = xy[:, None]
    inside = ((others >= low) & (others <= high)).all(-1) & labeled[:, None]
    count = inside.sum(-1)
    alien = count.sum(-1) - np.einsum("lii->li", count)
    own = labeled.sum(-1)
    present = own > 0
    share = np.where(present, alien / np.maximum(own, 1), 0.0)
    mean: FloatArray = share.sum(-1) / np.maximum(present.sum(-1), 1)
    return mean


@dataclass(frozen=True)
class Bodies:
    """What placement needs to know of N people, in standing heights from the pelvis.

    Attributes:
        keypoints: (N, K, 2), those that count for the crowd index.
        boxes: (N, 4) around the whole body.
        cut: (N, 4) by how much of its width or height a body must leave the image past its
            left, top, right and bottom edge.
    """

    keypoints: FloatArray
    boxes: FloatArray
    cut: FloatArray


def _ranges(bodies: Bodies, heights: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest pelvis positions (..., N, 2) that keep bodies in the image or cut them."""
    boxes = bodies.boxes * heights[..., None]
    extent = np.tile(boxes[..., 2:] - boxes[..., :2], 2) * bodies.cut
    low = -boxes[..., :2]
    high = size - boxes[..., 2:]
    # What does not fit sticks out on both sides alike.
    middle = (low + high) / 2
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    before, after = extent[..., :2], extent[..., 2:]
    low = np.where(after > 0, high + after, low) - before
    return low, np.where(before + after > 0, low, high)


def place_loosely(
    rng: np.random.Generator, bodies: Bodies, heights: FloatArray, size: int
) -> FloatArray:
    """Place people one after the other, mostly side by side; returns pelvis positions (N, 2)."""
    low, high = _ranges(bodies, heights, size)
    n, tries = len(heights), 12
    spots = low + (high - low) * rng.random((tries, n, 2))
    boxes = np.tile(spots, 2) + bodies.boxes * heights[:, None]
    bearable = 0.5 * rng.random(n)
    chosen = np.zeros(n, dtype=np.int64)
    for i in range(1, n):
        overlap = _shared(boxes[:, i, None], boxes[chosen[:i], np.arange(i)]).max(-1)
        fine = overlap <= bearable[i]
        chosen[i] = int(np.argmax(fine)) if fine.any() else int(np.argmin(overlap))
    return spots[chosen, np.arange(n)]


def place_crowded(
    rng: np.random.Generator,
    bodies: Bodies,
    span: tuple[float, float],
    size: int,
    target: float,
) -> tuple[FloatArray, FloatArray]:
    """Place people so that the crowd index is near ``target``.

    Many layouts are tried, from far apart to on top of each other, and the best is moved about
    until it fits. Where the index allows it, nobody stands right behind somebody else.

    Args:
        span: least and greatest standing height, px.

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
        _, boxes, index = _try(bodies, centers, heights, size)
        cost = np.abs(index - target) + 0.3 * _stacked(boxes)
        nearest = int(np.argmin(cost))
        if cost[nearest] < best[0]:
            best = (cost[nearest], centers[nearest], heights[nearest])
        if best[0] < 0.02:
            break
        reach = 0.25 / 2**step
        centers = best[1] + reach * size * rng.normal(0, 0.5, (layouts // 2, n, 2))
        factor = np.exp(reach * rng.normal(0, 0.5, (layouts // 2, n)))
        heights = np.clip(best[2] * factor, *span)
    return _try(bodies, best[1][None], best[2][None], size)[0][0], best[2]


def _stacked(boxes: FloatArray) -> FloatArray:
    """(L,) how far the worst pair of boxes (L, N, 4) goes beyond sharing 0.7 of the smaller."""
    share = _shared(boxes[:, :, None], boxes[:, None])
    np.einsum("lii->li", share)[:] = 0
    excess: FloatArray = np.maximum(share.max((1, 2)) - 0.7, 0)
    return excess


def _shared(a: FloatArray, b: FloatArray) -> FloatArray:
    """What boxes (..., 4) have in common, as a share of the smaller one."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    areas = (np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (a, b))
    share: FloatArray = np.prod(np.maximum(sides, 0), axis=-1) / np.maximum(
        np.minimum(*areas), 1e-6
    )
    return share


def _try(
    bodies: Bodies, centers: FloatArray, heights: FloatArray, size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pelvis positions (L, N, 2), boxes (L, N, 4) and crowd indices (L,) of L layouts.

    Layouts are given by the centers of boxes (L, N, 2) and standing heights (L, N), px.
    """
    local = bodies.boxes * heights[..., None]
    low, high = _ranges(bodies, heights, size)
    spots = np.clip(centers - (local[..., :2] + local[..., 2:]) / 2, low, high)
    xy = bodies.keypoints * heights[..., None, None] + spots[..., None, :]
    labeled: NDArray[np.bool_] = ((xy >= 0) & (xy < size)).all(-1)  # type: ignore[assignment]
    boxes = np.clip(local + np.tile(spots, 2), 0, size)
    return spots, boxes, _index(xy, labeled, boxes)
