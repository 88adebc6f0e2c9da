from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.select_images import first_crowded, ranked_images
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Poses, Sample


def sample(people: int, unlabeled: int = 0) -> Sample:
    rng = np.random.default_rng(people)
    keypoints = rng.uniform(0, 60, (people + unlabeled, 17, 3)).astype(np.float32)
    keypoints[:people, :, 2], keypoints[people:, :, 2] = 2, 0
    areas = np.full(len(keypoints), 400, np.float32)
    image, ignore = np.zeros((3, 64, 64), np.uint8), np.zeros((64, 64), bool)
    return Sample(image, keypoints, areas, ignore, 1, AffineTransform.identity())


CROWDS = [sample(1), sample(3), sample(2, unlabeled=5), sample(3), sample(4)]


def found(truth: Sample, shift: float) -> Poses:
    ones = np.ones(truth.keypoints.shape[:2], np.float32)
    return Poses(truth.keypoints[..., :2] + np.float32(shift), ones, ones.mean(1))


def test_the_first_with_enough_people_are_taken() -> None:
    assert first_crowded(CROWDS, people=3, count=2) == [1, 3]
    assert first_crowded(CROWDS, people=2, count=9) == [1, 2, 3, 4, 0]


def test_where_there_are_not_enough_the_largest_follow() -> None:
    assert first_crowded(CROWDS, people=4, count=3) == [4, 1, 3]
    assert first_crowded(CROWDS, people=4, count=1, within=3) == [1]


def test_images_are_ranked_from_the_worst() -> None:
    shifts = [0.0, 4.0, 0.0, 8.0, 2.0]
    poses = [found(s, x) for s, x in zip(CROWDS, shifts, strict=True)]
    table = ranked_images(CROWDS, poses, COCO)
    assert list(table["index"]) == [3, 1, 4, 0, 2]  # of equal ones, the first
    assert list(table["people"]) == [3, 3, 4, 1, 2]
    assert table["similarity"].iloc[-1] == pytest.approx(1)


def test_images_without_people_are_not_ranked_and_lengths_must_fit() -> None:
    empty = sample(0)
    table = ranked_images([empty, CROWDS[0]], [Poses.empty(17)] * 2, COCO)
    assert list(table["index"]) == [1] and table["similarity"].iloc[0] == 0
    with pytest.raises(ValueError, match="1 predictions for 2 images"):
        ranked_images(CROWDS[:2], [Poses.empty(17)], COCO)
