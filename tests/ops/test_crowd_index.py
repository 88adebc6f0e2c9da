"""The crowd index, counted by hand and by loops over people and keypoints."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.ops.crowd_index import crowd_index, crowd_indices_of_images


def slow_crowd_index(keypoints: np.ndarray, boxes: np.ndarray) -> float:
    ratios = []
    for i, (left, top, right, bottom) in enumerate(boxes):
        own = sum(1 for x, y, v in keypoints[i] if v > 0)
        foreign = 0
        for j, person in enumerate(keypoints):
            for x, y, v in person:
                foreign += j != i and v > 0 and left <= x <= right and top <= y <= bottom
        if own:
            ratios.append(foreign / own)
    return sum(ratios) / len(ratios) if ratios else 0.0


def test_crowd_index_of_two_people_by_hand() -> None:
    keypoints = np.array(
        [
            [[1, 1, 2], [3, 3, 2], [2, 2, 1], [9, 9, 0]],
            [[3, 3, 2], [8, 8, 2], [2, 2, 0], [6, 6, 2]],
        ]
    )
    boxes = np.array([[0, 0, 4, 4], [2.5, 2.5, 9, 9]])
    # One of the second's keypoints is in the first box, one of the first's in the second box.
    assert crowd_index(keypoints, boxes) == pytest.approx((1 / 3 + 1 / 3) / 2)


def test_crowd_index_equals_loops() -> None:
    rng = np.random.default_rng(0)
    for people in (1, 2, 5):
        keypoints = rng.random((people, 14, 3)) * 100
        keypoints[..., 2] = rng.integers(0, 3, (people, 14))
        corner = rng.random((people, 2)) * 60
        boxes = np.hstack([corner, corner + 40])
        assert crowd_index(keypoints, boxes) == pytest.approx(slow_crowd_index(keypoints, boxes))


def test_crowd_index_without_labeled_people_is_zero() -> None:
    assert crowd_index(np.zeros((0, 14, 3)), np.zeros((0, 4))) == 0
    assert crowd_index(np.zeros((3, 14, 3)), np.zeros((3, 4))) == 0


@pytest.mark.parametrize(
    ("keypoints", "boxes"), [((2, 14, 2), (2, 4)), ((2, 14), (2, 4)), ((2, 14, 3), (3, 4))]
)
def test_crowd_index_refuses_wrong_shapes(
    keypoints: tuple[int, ...], boxes: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="must be"):
        crowd_index(np.zeros(keypoints), np.zeros(boxes))


def test_crowd_indices_of_images_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    images = np.repeat(np.arange(7), [2, 0, 1, 3, 2, 5, 0])
    keypoints = rng.random((len(images), 14, 3)) * 100
    keypoints[..., 2] = rng.integers(0, 3, keypoints.shape[:2])
    corner = rng.random((len(images), 2)) * 60
    boxes = np.hstack([corner, corner + 40])
    each = [slow_crowd_index(keypoints[images == n], boxes[images == n]) for n in range(7)]
    each[2] = 0.0  # one person alone
    for at_once in (1, 10**6):
        monkeypatch.setattr("poselib.ops.crowd_index._AT_ONCE", at_once)
        assert crowd_indices_of_images(keypoints, boxes, images, 7) == pytest.approx(each)
