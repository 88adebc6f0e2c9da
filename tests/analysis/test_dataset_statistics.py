"""Statistics of annotations, counted by hand and from samples."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.dataset_statistics import annotation_statistics
from poselib.annotations import AnnotationTable
from poselib.data.readers.coco import read_annotations
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.skeletons import COCO


def test_statistics_of_synthetic_scenes() -> None:
    scenes = SyntheticScenes(SceneConfig(people=(1, 3)), 6, 4, COCO).cached()
    found = annotation_statistics(scenes.annotations())
    samples = [scenes[i] for i in range(6)]
    assert list(found.people) == [len(sample.keypoints) for sample in samples]
    marks = np.concatenate([sample.keypoints[..., 2] for sample in samples])
    for value in range(3):
        assert np.array_equal(found.visibility[:, value], (marks == value).sum(0))
    assert found.areas == pytest.approx(np.concatenate([sample.areas for sample in samples]))
    summary = found.summary()
    assert summary["images"] == 6 and summary["people"] == len(marks)
    assert summary["of them hidden"] == pytest.approx((marks == 1).sum() / (marks > 0).sum())


def annotation(image: int, x: float, area: float | None = 100.0, **fields) -> dict:
    keypoints = np.zeros((17, 3))
    keypoints[:4] = [[x, 1, 2], [x + 1, 1, 1], [x, 2, 2], [x + 1, 2, 2]]
    person = {"image_id": image, "keypoints": keypoints.ravel().tolist(), "bbox": [x, 1, 2, 2]}
    return person | ({} if area is None else {"area": area}) | fields


def test_crowds_and_unlabeled_people_are_ignored() -> None:
    document = {
        "images": [{"id": 5}, {"id": 7}, {"id": 8}],
        "annotations": [
            annotation(5, 0),
            annotation(5, 1, area=None),
            annotation(7, 0),
            annotation(7, 0, iscrowd=1),
            annotation(8, 0, keypoints=[0] * 51),
        ],
        "categories": [{"id": 1}],
    }
    document["annotations"] = [
        {"id": n, "category_id": 1, **one} for n, one in enumerate(document["annotations"])
    ]
    found = annotation_statistics(read_annotations(document, COCO))
    assert list(found.people) == [2, 1, 0] and found.ignored == 2
    # In each one's box, edges included, lie the two keypoints of the other that overlap, or all.
    assert found.crowding == pytest.approx([(4 + 2) / 4 / 2, 0, 0])
    assert list(found.areas) == pytest.approx([100, 0.53 * 4, 100])


def test_statistics_of_no_people() -> None:
    found = annotation_statistics(AnnotationTable.empty((1,), 17))
    assert list(found.people) == [0] and found.summary()["people per image"] == 0
