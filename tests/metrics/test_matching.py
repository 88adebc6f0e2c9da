"""Matching of detections to annotated people, by hand and on a workload."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.matching import match_people, matched_people
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.metrics.factories import comparison_of
from tests.toy_people import ANN, BOB, TOY, at, poses, sample


def test_people_are_matched_in_any_order() -> None:
    beside = [(x + 1, y) for x, y in at(BOB)]
    _, values = matched_people(poses(beside, at(ANN)), sample(ANN, BOB), TOY)
    assert values == pytest.approx([1.0, np.exp(-1 / 2)])


def test_a_detection_is_matched_to_one_person() -> None:
    _, values = matched_people(poses(at(ANN)), sample(ANN, ANN), TOY)
    assert sorted(values) == pytest.approx([0.0, 1.0])


def test_partners_and_their_oks() -> None:
    far = [(x + 5000, y) for x, y in at(ANN)]
    found = poses(far, at(BOB), at(ANN))
    partners, values = matched_people(found, sample(ANN, BOB), TOY)
    assert partners.tolist() == [2, 1] and values.tolist() == [1, 1]
    partners, values = matched_people(poses(far, far), sample(ANN, BOB, ANN), TOY)
    assert partners.tolist() == [-1, -1, -1] and values.tolist() == [0, 0, 0]


def test_no_detections_and_no_labels() -> None:
    unlabeled = [(0, 0, 0)] * len(TOY)
    _, values = matched_people(Poses.empty(len(TOY)), sample(ANN, unlabeled), TOY)
    assert values[0] == 0 and np.isnan(values[1])


def test_people_are_matched_at_most_once() -> None:
    comparison = comparison_of(*evaluation_workload(COCO, 200, 3), COCO)
    pairs = comparison.pairs
    matched = match_people(comparison, 0.1)
    (hit,) = np.nonzero(matched >= 0)
    truth, found = comparison.truth, comparison.found
    assert (truth.images[matched[hit]] == found.images[pairs.order[hit]]).all()
    taken = np.bincount(matched[hit], minlength=len(truth))
    assert taken[~truth.crowds].max() == 1 and len(hit) > 100
