"""Crowds from a seed whose people were found with every kind of mistake."""

from __future__ import annotations

import numpy as np

from poselib.skeletons import COCO
from tests.metrics.coco_entries import Entry, person, result, truth_of

K = len(COCO)
SPREAD = 2 * np.array(COCO.sigmas)
CENTER = np.array([320.0, 240.0])


def random_crowd(seed: int, images: int = 12) -> tuple[Entry, list[Entry]]:
    """Up to five people an image who stand in each other's way; COCO ground truth and results.

    A third of the keypoints is not labeled; a few people are crowds and a few are not labeled at
    all. A keypoint was found near its own place, near one of the other side or of somebody else, or
    anywhere, and one in thirty was not found. Some people are found twice, some not at all.
    """
    rng = np.random.default_rng(seed)
    people: list[Entry] = []
    results: list[Entry] = []
    for image in range(1, images + 1):
        count = int(rng.integers(0, 6))
        size = rng.uniform(60, 200, count)
        # Not at the corner, where a keypoint that was not found would be near something.
        corner = CENTER + rng.uniform(-100, 100, (count, 2))
        points = corner[:, None] + size[:, None, None] * rng.random((count, K, 2))
        seen = rng.choice(3, (count, K), p=[0.33, 0.17, 0.5])
        seen[rng.random(count) < 0.1] = 0
        areas = size**2 * rng.uniform(0.4, 0.7, count)
        for n in range(count):
            labeled = np.where(seen[n, :, None] > 0, points[n], 0)
            box = [*corner[n].tolist(), float(size[n]), float(size[n])]
            fields = {"image_id": image, "bbox": box, "iscrowd": int(rng.random() < 0.07)}
            people.append(person(np.column_stack([labeled, seen[n]]), float(areas[n]), **fields))
        for n in rng.permutation(
            np.repeat(np.arange(count), rng.choice(3, count, p=[0.1, 0.7, 0.2]))
        ):
            xy = _found(rng, points, int(n), float(np.sqrt(areas[n])))
            results.append(result(xy, float(rng.random()), image))
        if rng.random() < 0.3:
            anywhere = np.column_stack([rng.uniform(0, 600, (K, 2)), np.ones(K)])
            results.append(result(anywhere, float(rng.random()), image))
    return truth_of(people, images), [results[i] for i in rng.permutation(len(results))]


def _found(rng: np.random.Generator, points: np.ndarray, n: int, scale: float) -> np.ndarray:
    """Keypoints (K, 3) found of person n of ``points`` (N, K, 2)."""
    types = np.arange(K)
    whose = np.full(K, n)
    strange, crossed = rng.random(K) < 0.15, rng.random(K) < 0.15
    whose[strange] = rng.integers(0, len(points), int(strange.sum()))
    xy = points[whose, np.where(crossed, COCO.flip_indices, types)]
    far = np.where(rng.random(K) < 0.15, 20.0, rng.uniform(0, 1.3))
    xy = xy + rng.normal(size=(K, 2)) * (far * scale * SPREAD)[:, None]
    xy[rng.random(K) < 1 / 30] = 0
    return np.column_stack([xy, np.where(xy.any(axis=1), rng.uniform(0.1, 1, K), 0)])
