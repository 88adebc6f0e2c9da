"""Tables of annotated people and of detections."""

from __future__ import annotations

import numpy as np

from poselib.annotations import AnnotationTable, DetectionTable
from poselib.data.readers.coco import read_annotations
from tests.metrics.factories import person, truth_of
from tests.toy_people import ANN, BOB, NONE, TOY, at, poses


def table() -> AnnotationTable:
    """Ann and a crowd in the second image, Bob in the first, nothing in the third."""
    ann, bob = (np.array(each, float) for each in (ANN, BOB))
    bob[1] = 7, 7, 0  # not labeled, but written
    people = [
        person(ann, image_id=2),
        person(ann * 0, image_id=2, iscrowd=1),
        person(bob, area=81.0),
    ]
    return read_annotations(truth_of(people, images=3), TOY)


def test_people_are_in_the_order_of_their_images() -> None:
    found = table()
    assert len(found) == 3 and found.image_ids == (1, 2, 3)
    assert found.images.tolist() == [0, 1, 1] and found.areas.tolist() == [81, 2500, 2500]
    assert found.crowds.tolist() == found.ignored.tolist() == [False, False, True]
    assert found.has_people.tolist() == [True, True, False]
    assert [found.rows(image).tolist() for image in range(3)] == [[0], [1, 2], []]
    assert found.labeled[0].tolist() == [True, False, True, True]
    assert repr(found) == "AnnotationTable of 3 people with 4 keypoints in 3 images of no file"


def test_samples_have_labeled_people_at_pixel_centers() -> None:
    keypoints, areas = table().people(0)
    assert keypoints.dtype == areas.dtype == np.float32 and areas.tolist() == [81]
    assert keypoints[0].tolist() == [[10.5, 50.5, 2], [0, 0, 0], [30.5, 50.5, 2], [40.5, 50.5, 2]]
    keypoints, _ = table().people(1)
    assert len(keypoints) == 1 and keypoints[0, 0].tolist() == [10.5, 10.5, 2]
    keypoints, areas = table().people(2)
    assert keypoints.shape == (0, 4, 3) and areas.shape == (0,)


def test_people_and_images_can_be_chosen() -> None:
    found = table()
    some = found.at(np.array([2, 1]))
    assert some.image_ids == (3, 2) and some.images.tolist() == [1, 1]
    np.testing.assert_array_equal(some.keypoints, found.keypoints[1:])
    assert len(found.only(~found.crowds)) == 2 and found.only(found.images >= 0) is found
    nothing = AnnotationTable.empty((4, 5), 4)
    assert len(nothing) == 0 and nothing.has_people.tolist() == [False, False]


def test_detections_are_pixel_indices() -> None:
    several = [poses(at(ANN), at(BOB)), poses(), poses([at(ANN)[0], NONE, NONE, NONE])]
    found = DetectionTable.of_poses(several, 4)
    assert len(found) == 3 and found.images.tolist() == [0, 0, 2]
    np.testing.assert_array_equal(found.keypoints[:2], several[0].pixel_indices)
    assert found.keypoints[2].tolist() == [[9.5, 9.5, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert found.present.sum() == 9 and found.areas[0] == 0  # in one row of pixels
    assert found.scores.tolist() == [1, 1, 0.25] and len(found.only(found.images == 2)) == 1
    assert len(DetectionTable.of_poses([], 4)) == 0
