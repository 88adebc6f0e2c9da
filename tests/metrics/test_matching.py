from __future__ import annotations

import numpy as np
import pytest

from poselib.metrics.matching import matched_similarity
from poselib.skeletons import COCO
from poselib.structures import Poses, Sample, Warp


def sample(people: int) -> Sample:
    rng = np.random.default_rng(people)
    keypoints = rng.uniform(0, 100, (people, len(COCO), 3)).astype(np.float32)
    keypoints[..., 2] = 2
    areas = np.full(people, 900, np.float32)
    image, ignore = np.zeros((3, 100, 100), np.uint8), np.zeros((100, 100), bool)
    return Sample(image, keypoints, areas, ignore, 1, Warp.identity())


def poses(keypoints: np.ndarray) -> Poses:
    ones = np.ones(keypoints.shape[:2], np.float32)
    return Poses(keypoints[..., :2].astype(np.float32), ones, ones.mean(1))


def test_people_are_found_in_any_order() -> None:
    truth = sample(3)
    assert matched_similarity(poses(truth.keypoints[[2, 0, 1]]), truth, COCO) == pytest.approx(1)


def test_one_person_found_stands_for_one_annotated_person() -> None:
    truth = sample(1)
    twice = Sample(
        truth.image, truth.keypoints[[0, 0]], truth.areas[[0, 0]], truth.ignore, 1, Warp.identity()
    )
    values = matched_similarity(poses(truth.keypoints), twice, COCO)
    assert sorted(values) == pytest.approx([0.0, 1.0])


def test_nobody_found_and_nobody_labelled() -> None:
    truth = sample(2)
    truth.keypoints[1, :, 2] = 0
    values = matched_similarity(Poses.empty(len(COCO)), truth, COCO)
    assert values[0] == 0 and np.isnan(values[1])
