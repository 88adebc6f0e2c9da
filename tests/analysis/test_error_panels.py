"""Panels mark errors where they were predicted and annotated."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.association_errors import FailureCase, find_failures, largest_failures
from poselib.analysis.error_panels import case_panels, isolated_panels, pair_panels
from tests.toy_people import ANN, BOB, NONE, TOY, at, poses, sample

a, b = at(ANN), at(BOB)
DATASET = [sample(ANN, BOB)] * 2
FOUND = [
    poses(b, [*a[:3], b[3]]),  # Ann has Bob's tail
    poses([NONE, a[1], NONE, NONE], [a[0], NONE, *a[2:]], [(60, 60), (62, 60), NONE, NONE]),
]


def shown(kind: str) -> tuple[list[FailureCase], list]:
    cases = largest_failures(find_failures(DATASET, FOUND, TOY), kind, 1)
    return cases, case_panels(cases, DATASET, FOUND, TOY)


def test_panel_of_a_wrong_person_marks_prediction_and_annotation() -> None:
    (case,), (truth, found) = shown("wrong_person")
    assert (case.index, case.person, case.other, case.keypoints) == (0, 1, 1, (3,))
    assert truth.poses is None and truth.rings.tolist() == [[40, 10]]
    assert found.rings.tolist() == [[40, 50]] and found.targets.tolist() == [[40, 10]]
    assert found.partners.tolist() == [1, 0] and found.window == truth.window
    left, top, right, bottom = found.window or (0,) * 4
    assert left < 10 and top < 10 and right > 40 and bottom > 50
    assert found.title == "image 0: 1 keypoint on another person's"


def test_panel_of_a_missed_keypoint_marks_its_annotation() -> None:
    (case,), (truth, found) = shown("undetected")
    assert (case.index, case.person, case.keypoints) == (1, 1, (0, 1, 2, 3))
    assert truth.rings.tolist() == found.rings.tolist() == [list(point) for point in b]
    assert len(found.targets) == 0 and found.title == "image 1: 4 keypoints not found"


def test_panel_of_a_false_keypoint_has_no_line() -> None:
    (case,), (truth, found) = shown("false_positive")
    assert (case.index, case.person, case.keypoints) == (1, 2, (0, 1))
    assert len(truth.rings) == 0 and found.rings.tolist() == [[60, 60], [62, 60]]
    assert np.isnan(found.targets).all()


def test_isolated_keypoints_are_marked_for_every_decoding() -> None:
    titles = ["truth", "apart", "whole"]
    panels = isolated_panels(DATASET[1], [FOUND[1], poses(a)], TOY, titles)
    assert [panel.title for panel in panels] == titles
    assert panels[1].rings.tolist() == [[20, 10]] and panels[1].partners.tolist() == [-1, 0, -1]
    assert len(panels[0].rings) == len(panels[2].rings) == 0
    with pytest.raises(ValueError, match="zip"):
        isolated_panels(DATASET[1], FOUND, TOY, titles[:2])


def test_pairs_of_panels_match_detections_to_people() -> None:
    truth, found = pair_panels(DATASET[:1], [poses(b, a, [(90, 90)] * 4)], TOY, ["one"])
    assert truth.poses is None and truth.title == "one\nground truth, 2 people"
    assert found.partners.tolist() == [1, 0, -1] and found.title == "one\nprediction, 3 people"
    some = pair_panels(DATASET, FOUND, TOY, min_person_score=0.9)
    assert [panel.title for panel in some[1::2]] == ["prediction, 2 people", "prediction, 0 people"]
    with pytest.raises(ValueError, match="zip"):
        pair_panels(DATASET, FOUND[:1], TOY)
