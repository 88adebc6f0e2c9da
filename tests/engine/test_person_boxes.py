"""Boxes that crops are taken around: annotated, listed and detected ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers.detections import Boxes
from poselib.data.transforms import crop_transform, warp_sample
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes, DetectedBoxes, ListedBoxes
from poselib.engine.predict import detected_boxes
from poselib.structures import Poses, Sample
from tests.engine.factories import MIDDLE, BlobNetwork, system_around
from tests.engine.person_factories import spot_system, spots

PEOPLE = np.array([[[40.0, 50], [50, 80]], [[130, 90], [120, 130]]])


def warped(sample: Sample, rotation: float = 0.0) -> Sample:
    return warp_sample(sample, crop_transform((100, 95), 210, 420, rotation), (420, 420))


def test_annotated_boxes_are_those_of_the_sample() -> None:
    sample = spots(PEOPLE, (7, 3))
    found = AnnotatedBoxes()(sample)
    assert found.corners.tolist() == [[28, 38, 62, 92], [108, 78, 142, 142]]
    assert found.scores.tolist() == [1, 1]
    assert found.tracks is not None and found.tracks.tolist() == [7, 3] and len(found) == 2
    assert AnnotatedBoxes()(replace(sample, tracks=None)).tracks is None
    nobody = AnnotatedBoxes()(sample.only(np.zeros(0, np.int64)))
    assert nobody.corners.shape == (0, 4)


def test_without_boxes_they_are_around_the_keypoints() -> None:
    """Of one keypoint 8 px; a person without a labeled one keeps the row, of unknown place."""
    sample = spots(np.concatenate([PEOPLE, PEOPLE, PEOPLE])[:5], range(5))
    sample.keypoints[2, 1] = 0
    sample.keypoints[3] = 0
    expected = [[40, 50, 50, 80], [120, 90, 130, 130], [36, 46, 44, 54], [0, 0, 0, 0]]
    bare = AnnotatedBoxes()(replace(sample, boxes=None))
    assert bare.corners[:4].tolist() == [
        [40, 50, 50, 80],
        [120, 90, 130, 130],
        [36, 46, 44, 54],
        [0, 0, 0, 0],
    ]
    assert sample.boxes is not None
    sample.boxes[:4] = [[3, 3, 3, 9], [9, 9, 3, 3], [0, 0, 0, 0], [0, 0, 0, 0]]
    flat = AnnotatedBoxes()(sample)
    assert flat.corners[:4].tolist() == expected
    assert flat.corners[4].tolist() == [28, 38, 62, 92] and flat.corners.dtype == np.float32


@pytest.mark.parametrize("rotation", [0, 30])
def test_listed_boxes_are_moved_into_the_image_shown(rotation: float) -> None:
    """All four corners are: of a rotated image the box is the one around them."""
    sample = warped(spots(PEOPLE, (0, 1), 5), rotation)
    listed = Boxes(np.array([[28, 38, 62, 92], [5, 5, 5.5, 30]], np.float32), np.array([0.9, 0.4]))
    found = ListedBoxes({5: listed})(sample)
    assert sample.boxes is not None and found.tracks is None
    np.testing.assert_allclose(found.corners[0], sample.boxes[0], atol=1e-3)
    sides = found.corners[:, 2:] - found.corners[:, :2]
    assert sides.min() >= 8 and found.scores.tolist() == [0.9, 0.4]


def test_listed_boxes_are_read_from_a_file(tmp_path: Path) -> None:
    """COCO's boxes, annotated or detected, are places between pixels: nothing is added to them."""
    path = tmp_path / "found.json"
    box = {"image_id": 5, "category_id": 1, "bbox": [28, 38, 34, 54]}
    path.write_text(json.dumps([{**box, "score": 0.3}, {**box, "score": 0.8}]))
    sample = spots(PEOPLE, (0, 1), 5)
    found = ListedBoxes.read(path, [5, 6])(sample)
    assert found.corners.tolist() == [[28, 38, 62, 92]] * 2
    assert found.scores == pytest.approx([0.8, 0.3])
    assert len(ListedBoxes.read(path, [5], min_score=0.5)(sample)) == 1
    other = replace(sample, image_id=6)
    assert ListedBoxes.read(path, [5, 6])(other).corners.shape == (0, 4)
    with pytest.raises(ValueError, match="image 6: there are no boxes of it"):
        ListedBoxes.read(path, [5])(other)
    with pytest.raises(ValueError, match="the dataset has no image 5"):
        ListedBoxes.read(path, [6])


def test_detected_boxes_are_around_the_poses_and_a_little_larger() -> None:
    sample = warped(spots(PEOPLE, (0, 1)))
    scores = np.array([[1, 1], [1, 0], [0, 0]], np.float32)
    points = np.array([PEOPLE[0], PEOPLE[1], PEOPLE[1]], np.float32) * (scores > 0)[..., None]
    poses = Poses(points, scores, np.array([0.9, 0.5, 0.4], np.float32))
    found = DetectedBoxes(lambda _: poses)(sample)
    assert found.scores == pytest.approx([0.9, 0.5])  # the third has no keypoint
    ends = sample.to_original.inverse()(PEOPLE[0])
    (low, high), more = ends, (ends[1] - ends[0]) * 0.1
    np.testing.assert_allclose(found.corners[0], [*low - more, *high + more], rtol=1e-5)
    x, y = sample.to_original.inverse()(PEOPLE[1, 0])
    np.testing.assert_allclose(found.corners[1], [x - 4, y - 4, x + 4, y + 4], rtol=1e-5)
    exactly = DetectedBoxes(lambda _: poses, growth=0)(sample)
    np.testing.assert_allclose(exactly.corners[0], [*low, *high], rtol=1e-5)


def test_a_system_of_whole_images_detects() -> None:
    detector = system_around(BlobNetwork(), MIDDLE)
    options = PredictOptions(size=192, multiple=32, flip=False)
    found = detected_boxes(detector, options)(spots(PEOPLE, (0, 1)))
    order = np.argsort(found.corners[:, 0])
    expected = [[40, 50, 50, 80], [120, 90, 130, 130]]
    grown = np.array(expected) + np.array([[-1, -3, 1, 3], [-1, -4, 1, 4]])
    np.testing.assert_allclose(found.corners[order], grown, atol=1)
    assert len(detected_boxes(detector, options, min_score=2)(spots(PEOPLE, (0, 1)))) == 0
    with pytest.raises(ValueError, match="a detector sees whole images; 'spots' sees one person"):
        detected_boxes(spot_system())
