"""The crowd index, counted by hand and by loops, and placement that meets a request."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic.placement import Bodies, crowd_index, place_crowded, place_loosely


def slow_index(keypoints: np.ndarray, boxes: np.ndarray) -> float:
    shares = []
    for i, (left, top, right, bottom) in enumerate(boxes):
        own = sum(1 for x, y, v in keypoints[i] if v > 0)
        alien = 0
        for j, person in enumerate(keypoints):
            for x, y, v in person:
                alien += j != i and v > 0 and left <= x <= right and top <= y <= bottom
        if own:
            shares.append(alien / own)
    return sum(shares) / len(shares) if shares else 0.0


def test_two_people_by_hand() -> None:
    keypoints = np.array(
        [
            [[1, 1, 2], [3, 3, 2], [2, 2, 1], [9, 9, 0]],
            [[3, 3, 2], [8, 8, 2], [2, 2, 0], [6, 6, 2]],
        ]
    )
    boxes = np.array([[0, 0, 4, 4], [2.5, 2.5, 9, 9]])
    # One of the second's keypoints is in the first box, one of the first's in the second box.
    assert crowd_index(keypoints, boxes) == pytest.approx((1 / 3 + 1 / 3) / 2)


def test_equals_the_definition_in_loops() -> None:
    rng = np.random.default_rng(0)
    for people in (1, 2, 5):
        keypoints = rng.random((people, 14, 3)) * 100
        keypoints[..., 2] = rng.integers(0, 3, (people, 14))
        corner = rng.random((people, 2)) * 60
        boxes = np.hstack([corner, corner + 40])
        assert crowd_index(keypoints, boxes) == pytest.approx(slow_index(keypoints, boxes))


def test_nobody_and_unlabeled_people_count_nothing() -> None:
    assert crowd_index(np.zeros((0, 14, 3)), np.zeros((0, 4))) == 0
    assert crowd_index(np.zeros((3, 14, 3)), np.zeros((3, 4))) == 0


@pytest.mark.parametrize(
    ("keypoints", "boxes"), [((2, 14, 2), (2, 4)), ((2, 14), (2, 4)), ((2, 14, 3), (3, 4))]
)
def test_wrong_shapes_are_refused(keypoints: tuple[int, ...], boxes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        crowd_index(np.zeros(keypoints), np.zeros(boxes))


def bodies(people: int, cut: float = 0.0) -> Bodies:
    rng = np.random.default_rng(people)
    keypoints = rng.random((people, 14, 2)) * [0.4, 1.0] - [0.2, 0.5]
    edges = np.zeros((people, 4))
    edges[:, 2] = cut
    return Bodies(keypoints, np.tile([-0.22, -0.52, 0.22, 0.52], (people, 1)), edges)


def test_loose_placement_keeps_people_in_the_image_and_cuts_those_it_should() -> None:
    rng = np.random.default_rng(1)
    heights = np.full(3, 60.0)
    spots = place_loosely(rng, bodies(3), heights, 128)
    boxes = np.tile(spots, 2) + bodies(3).boxes * 60
    assert (boxes >= -1e-9).all() and (boxes <= 128 + 1e-9).all()
    cut = np.tile(place_loosely(rng, bodies(3, 0.25), heights, 128), 2) + bodies(3).boxes * 60
    np.testing.assert_allclose(cut[:, 2], 128 + 0.25 * 0.44 * 60)


def test_loose_placement_keeps_most_people_apart() -> None:
    rng = np.random.default_rng(2)
    apart = []
    for _ in range(50):
        spots = place_loosely(rng, bodies(2), np.full(2, 50.0), 128)
        x, y = np.abs(spots[0] - spots[1]) / [0.44 * 50, 1.04 * 50]
        apart.append(x >= 1 or y >= 1)
    assert np.mean(apart) > 0.6


@pytest.mark.parametrize("target", [0.0, 0.4, 0.8])
def test_crowded_placement_meets_the_index_and_the_heights(target: float) -> None:
    rng, people, reached = np.random.default_rng(3), bodies(3), []
    for _ in range(20):
        spots, heights = place_crowded(rng, people, (40.0, 70.0), 128, target)
        assert (heights >= 40).all() and (heights <= 70).all()
        xy = people.keypoints * heights[:, None, None] + spots[:, None]
        boxes = people.boxes * heights[:, None] + np.tile(spots, 2)
        labeled = np.concatenate([xy, np.full((*xy.shape[:2], 1), 2.0)], -1)
        reached.append(slow_index(labeled, boxes))
    assert np.mean(reached) == pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("target", [0.4, 0.8])
def test_nobody_stands_right_behind_somebody_else(target: float) -> None:
    rng, people = np.random.default_rng(3), bodies(3)
    for _ in range(20):
        spots, heights = place_crowded(rng, people, (40.0, 70.0), 128, target)
        low, high = np.split(people.boxes * heights[:, None] + np.tile(spots, 2), 2, axis=1)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            sides = np.minimum(high[i], high[j]) - np.maximum(low[i], low[j])
            smaller = min(np.prod(high[k] - low[k]) for k in (i, j))
            assert np.prod(np.maximum(sides, 0)) / smaller < 0.8
