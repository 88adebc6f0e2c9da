"""Pairing of annotated people with detections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.annotations import AnnotationTable, DetectionTable
from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.data.readers.coco import read_annotations
from poselib.metrics.comparison import compare
from poselib.skeletons import COCO
from tests.metrics.factories import comparison_of
from tests.toy_people import ANN, BOB, TOY, at, poses


def annotations(ids: tuple[int, ...]) -> AnnotationTable:
    people = [{"id": n, "image_id": image, "category_id": 1, "area": 9.0} for n, image in
              enumerate(ids)]  # fmt: skip
    ann, bob = (np.ravel(np.array(each, float) - (0.5, 0.5, 0)).tolist() for each in (ANN, BOB))
    rows = [ann, *[bob] * (len(ids) - 1)]
    return read_annotations(
        {
            "images": [{"id": image} for image in ids],
            "annotations": [{**p, "keypoints": row} for p, row in zip(people, rows, strict=True)],
            "categories": [{"id": 1}],
        },
        TOY,
    )


def test_images_are_in_the_order_of_their_ids() -> None:
    found = compare(annotations((7, 3)), [poses(at(ANN)), poses(at(BOB), at(ANN))], TOY)
    assert found.images == (3, 7) and found.positions.tolist() == [1, 0]
    assert found.truth.keypoints[:, 0, 1].tolist() == [49.5, 9.5]
    # The detections keep their order.
    assert found.found.images.tolist() == [1, 0, 0]
    best, detection = found.best_oks()
    assert (best > 0.9).all() and detection.tolist() == [1, 0]


def test_poses_and_their_table_are_the_same() -> None:
    people, detections = annotations((1, 2)), [poses(at(ANN)), poses(at(BOB))]
    one = compare(people, detections, TOY)
    other = compare(people, DetectionTable.of_poses(detections, 4), TOY)
    np.testing.assert_array_equal(one.oks, other.oks)
    assert compare(people, detections, TOY, image_ids=[2]).images == (2,)


def test_some_images_have_the_pairs_that_they_have_in_all() -> None:
    whole = comparison_of(*evaluation_workload(COCO, 30), COCO)
    assert whole.at(range(30)) is whole
    part = whole.at([20, 4])
    assert part.images == (whole.images[20], whole.images[4])
    kept = np.isin(whole.truth.images[whole.pairs.truth], (20, 4))
    assert sorted(part.oks.tolist()) == sorted(whole.oks[kept].tolist())
    assert len(replace(part, max_detections=1).pairs.order) <= 2


def test_inconsistent_arguments_are_refused() -> None:
    people, detections = annotations((1, 2)), [poses(at(ANN)), poses()]
    with pytest.raises(ValueError, match="1 predictions for 2 images"):
        compare(people, detections[:1], TOY)
    with pytest.raises(ValueError, match=r"4 keypoints annotated .* 'coco' has 17"):
        compare(people, DetectionTable.of_poses(detections, 4), COCO)
    with pytest.raises(ValueError, match=r"the ground truth lacks \[5\]"):
        compare(people, detections, TOY, image_ids=[1, 5])
    with pytest.raises(ValueError, match="max_detections must be 1 or more"):
        compare(people, detections, TOY, max_detections=0)


def test_twenty_detections_of_an_image_count_by_default() -> None:
    crowd = poses(*[at(ANN)] * 25)
    assert len(compare(annotations((1,)), [crowd], TOY).pairs.order) == 20
    assert len(compare(annotations((1,)), [crowd], TOY, max_detections=3).pairs.order) == 3
