"""The people and detections that evaluations are measured with."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.skeletons import COCO, CROWDPOSE
from tests.metrics.factories import ap_of


@pytest.mark.slow
def test_it_is_of_the_size_of_a_validation_set() -> None:
    truth, results = evaluation_workload(COCO)
    assert len(truth["images"]) == 5000
    assert 9_500 < len(truth["annotations"]) < 10_500
    assert 29_000 < len(results) < 31_000
    found = Counter(result["image_id"] for result in results)
    assert set(found) <= {image["id"] for image in truth["images"]}
    people = Counter(person["image_id"] for person in truth["annotations"])
    assert 400 < 5000 - len(people) < 1000  # images without anybody
    assert sum(person["iscrowd"] for person in truth["annotations"]) > 50
    assert sum(person["num_keypoints"] == 0 for person in truth["annotations"]) > 100


def test_it_follows_from_the_seed() -> None:
    assert evaluation_workload(COCO, 20, 1) == evaluation_workload(COCO, 20, 1)
    assert evaluation_workload(COCO, 20, 1) != evaluation_workload(COCO, 20, 2)


def test_it_says_nothing_that_is_not_so() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 50)
    for person in truth["annotations"]:
        points = np.reshape(person["keypoints"], (-1, 3))
        assert points.shape == (14, 3) and (points[points[:, 2] == 0] == 0).all()
        assert person["num_keypoints"] == (points[:, 2] > 0).sum()
        x, y, width, height = person["bbox"]
        inside = (points[:, :2] >= (x - 1, y - 1)) & (
            points[:, :2] <= (x + width + 1, y + height + 1)
        )
        assert inside[points[:, 2] > 0].all() and person["area"] > 0
    assert all(0 <= result["score"] <= 1 for result in results)
    found = ap_of(truth, results, CROWDPOSE)
    assert 0.2 < found.AP < 0.8 and found.AP50 > found.AP > found.AP75 * 0.5
