"""Placement of people: inside the image or cut off, apart or with a given crowd index."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic.placement import Bodies, place_crowded, place_loosely
from poselib.ops.crowd_index import crowd_index


def bodies(people: int, cut: float = 0.0) -> Bodies:
    rng = np.random.default_rng(people)
    keypoints = rng.random((people, 14, 2)) * [0.4, 1.0] - [0.2, 0.5]
    edges = np.zeros((people, 4))
    edges[:, 2] = cut
    return Bodies(keypoints, np.tile([-0.22, -0.52, 0.22, 0.52], (people, 1)), edges)


def test_place_loosely_keeps_people_in_the_image_or_cuts_them_as_asked() -> None:
    rng = np.random.default_rng(1)
    heights = np.full(3, 60.0)
    positions = place_loosely(rng, bodies(3), heights, 128)
    boxes = np.tile(positions, 2) + bodies(3).boxes * 60
    assert (boxes >= -1e-9).all() and (boxes <= 128 + 1e-9).all()
    cut = np.tile(place_loosely(rng, bodies(3, 0.25), heights, 128), 2) + bodies(3).boxes * 60
    np.testing.assert_allclose(cut[:, 2], 128 + 0.25 * 0.44 * 60)


def test_place_loosely_keeps_most_people_apart() -> None:
    rng = np.random.default_rng(2)
    apart = []
    for _ in range(50):
        positions = place_loosely(rng, bodies(2), np.full(2, 50.0), 128)
        x, y = np.abs(positions[0] - positions[1]) / [0.44 * 50, 1.04 * 50]
        apart.append(x >= 1 or y >= 1)
    assert np.mean(apart) > 0.6


@pytest.mark.parametrize("target", [0.0, 0.4, 0.8])
def test_place_crowded_reaches_the_crowd_index_and_heights(target: float) -> None:
    rng, people, reached = np.random.default_rng(3), bodies(3), []
    for _ in range(20):
        positions, heights = place_crowded(rng, people, (40.0, 70.0), 128, target)
        assert (heights >= 40).all() and (heights <= 70).all()
        xy = people.keypoints * heights[:, None, None] + positions[:, None]
        boxes = people.boxes * heights[:, None] + np.tile(positions, 2)
        labeled = np.concatenate([xy, np.full((*xy.shape[:2], 1), 2.0)], -1)
        reached.append(crowd_index(labeled, boxes))
    assert np.mean(reached) == pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("target", [0.4, 0.8])
def test_place_crowded_limits_the_overlap_of_boxes(target: float) -> None:
    rng, people = np.random.default_rng(3), bodies(3)
    for _ in range(20):
        positions, heights = place_crowded(rng, people, (40.0, 70.0), 128, target)
        low, high = np.split(people.boxes * heights[:, None] + np.tile(positions, 2), 2, axis=1)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            sides = np.minimum(high[i], high[j]) - np.maximum(low[i], low[j])
            smaller = min(np.prod(high[k] - low[k]) for k in (i, j))
            assert np.prod(np.maximum(sides, 0)) / smaller < 0.8
