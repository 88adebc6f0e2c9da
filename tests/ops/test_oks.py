"""Object keypoint similarity, by hand and against pycocotools."""

from __future__ import annotations

import numpy as np
import pycocotools.coco
import pytest
from pycocotools.cocoeval import COCOeval

from poselib.ops.oks import keypoint_similarity, object_keypoint_similarity
from poselib.skeletons import COCO


def people(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    keypoints = np.zeros((count, len(COCO), 3))
    keypoints[..., :2] = rng.uniform(0, 100, (count, len(COCO), 2))
    keypoints[..., 2] = rng.integers(0, 3, (count, len(COCO)))
    keypoints[:, 0, 2] = 2
    return keypoints


def test_oks_by_hand() -> None:
    truth = np.array([[[10.0, 20.0, 2.0], [0.0, 0.0, 0.0]]])
    found = np.array([[[10.0, 20.0], [99.0, 99.0]], [[13.0, 24.0], [0.0, 0.0]]])
    values = object_keypoint_similarity(found, truth, [400.0], [0.1, 0.1])
    assert values == pytest.approx(np.array([[1.0, np.exp(-25 / (2 * 400 * 0.2**2))]]))


def test_keypoint_similarity_broadcasts_and_allows_zero_area() -> None:
    truth, found = people(3, 1)[..., :2], people(4, 2)[..., :2]
    areas, sigmas = np.array([900.0, 2500.0, 0.0]), np.array(COCO.sigmas)
    values = keypoint_similarity(found[:, None], truth, areas, sigmas)
    assert values.shape == (4, 3, len(COCO))
    square = ((found[3, 5] - truth[1, 5]) ** 2).sum()
    assert values[3, 1, 5] == pytest.approx(np.exp(-square / (2 * 2500 * (2 * sigmas[5]) ** 2)))
    assert (values[:, 2] == 0).all()
    assert (keypoint_similarity(truth, truth, areas, sigmas) == 1).all()


def test_oks_equals_pycocotools(capsys: pytest.CaptureFixture[str]) -> None:
    truth, found = people(3, 1), people(4, 2)
    found[:2] = truth[:2] + np.random.default_rng(3).normal(0, 3, truth[:2].shape)
    areas = np.array([900.0, 2500.0, 40.0])
    file = pycocotools.coco.COCO()
    file.dataset = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}
    for number, (person, area) in enumerate(zip(truth, areas, strict=True), start=1):
        box = [*person[:, :2].min(0), *np.ptp(person[:, :2], axis=0)]
        file.dataset["annotations"].append(
            {"id": number, "image_id": 1, "category_id": 1, "keypoints": person.ravel().tolist(),
             "num_keypoints": 1, "area": area, "bbox": box, "iscrowd": 0}
        )  # fmt: skip
    file.createIndex()
    results = file.loadRes(
        [
            {"image_id": 1, "category_id": 1, "keypoints": p.ravel().tolist(), "score": 1.0 - n / 9}
            for n, p in enumerate(found)
        ]
    )
    evaluation = COCOeval(file, results, "keypoints")
    evaluation._prepare()
    theirs = np.asarray(evaluation.computeOks(1, 1)).T
    ours = object_keypoint_similarity(found[..., :2], truth, areas, COCO.sigmas)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_oks_of_no_people_and_wrong_shapes() -> None:
    empty = object_keypoint_similarity(np.zeros((0, 17, 2)), people(2, 1), [1, 1], COCO.sigmas)
    assert empty.shape == (2, 0)
    with pytest.raises(ValueError, match=r"not \(2, 17, 3\)"):
        object_keypoint_similarity(people(2, 1), people(2, 1), [1, 1], COCO.sigmas)
