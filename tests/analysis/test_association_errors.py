"""Association errors are counted by hand and sorted."""

from __future__ import annotations

import pandas as pd
import pytest

from poselib.analysis.association_errors import (
    association_errors,
    find_failures,
    largest_failures,
    people_counts,
)
from poselib.plots.poses import MIN_SCORE
from poselib.structures import Poses
from tests import toy_people
from tests.toy_people import ANN, NONE, TOY, at, poses, sample

BOB = [*toy_people.BOB[:2], (30, 50, 1), toy_people.BOB[3]]  # one hand is hidden
a, b = at(ANN), at(BOB)
off = [[(x, y - 0.2) for x, y in person[2:]] for person in (a, b)]
# Image 0: right but for one hand exchanged. Image 1: Ann in two pieces, Bob lacks two keypoints, a
# tail that is nobody's. Image 2: nobody is there, and one is found. Image 3: Bob and Ann mixed up
# by half, so that each has two of the other's, a little off.
DATASET = [sample(ANN, BOB), sample(ANN, BOB), sample(), sample(ANN, BOB)]
FOUND = [
    poses([a[0], b[1], *a[2:]], [b[0], a[1], *b[2:]]),
    poses([*a[:3], NONE], [NONE, NONE, NONE, a[3]], [b[0], NONE, NONE, (55, 30)]),
    poses([(5, 5), NONE, NONE, (9, 9)]),
    poses([*a[:2], *off[1]], [*b[:2], *off[0]]),
]


def errors() -> pd.DataFrame:
    return association_errors(DATASET, FOUND, TOY)


def test_errors_of_four_images_counted_by_hand() -> None:
    table = errors()
    assert list(table.index) == [*TOY.keypoints, "all"] and table.index.name == "keypoint"
    everything = table.loc["all"]
    counts = {"correct": 14, "wrong_person": 6, "fragment": 1, "wrong_side": 0, "imprecise": 0}
    counts |= {"unknown": 0, "false_positive": 3}
    counts |= {"visible": 21, "found": 14 - 1, "misassigned": 6, "undetected": 2}
    assert {name: int(everything[name]) for name in counts} == counts
    assert everything["wrong_person_rate"] == pytest.approx(6 / 20)
    assert everything["association_error"] == pytest.approx(7 / 21)
    assert everything["false_positive_rate"] == pytest.approx(3 / 24)
    assert everything["not_found_rate"] == pytest.approx(8 / 21)


def test_errors_by_keypoint_type_add_up() -> None:
    table = errors()
    counts = table.loc[:, "correct":"undetected"]
    assert (counts.iloc[:-1].sum() == counts.loc["all"]).all()
    assert table["wrong_person"].tolist() == [0, 2, 2, 2, 6]
    assert table.loc["left_hand", "wrong_person_rate"] == pytest.approx(2 / 5)
    assert table.loc["tail", "fragment"] == 1 and table.loc["nose", "false_positive"] == 1


def test_error_rates_of_no_keypoints_are_nan() -> None:
    perfect = association_errors([sample(ANN, BOB)], [poses(b, a)], TOY).loc["all"]
    rates = ["wrong_person_rate", "association_error", "false_positive_rate", "not_found_rate"]
    assert (perfect[rates] == 0).all() and perfect["correct"] == 8
    nothing = association_errors([sample()], [Poses.empty(4)], TOY).loc["all"]
    assert nothing[rates].isna().all()


def test_low_scoring_keypoints_do_not_count() -> None:
    weak = poses(a)
    weak.scores[0, :2] = MIN_SCORE, MIN_SCORE + 0.01
    assert association_errors([sample(ANN)], [weak], TOY).loc["all", "correct"] == 3


def test_errors_do_not_depend_on_the_order_of_images_and_people() -> None:
    turned = [Poses(p.keypoints[::-1], p.scores[::-1], p.person_scores[::-1]) for p in FOUND[::-1]]
    pd.testing.assert_frame_equal(association_errors(DATASET[::-1], turned, TOY), errors())


def test_people_counted_by_hand() -> None:
    assert people_counts(DATASET, FOUND, TOY) == {
        "annotated": 6,
        "found": 8,
        "matched": 6,
        "mixed": 4,
        "fragments": 1,
        "isolated": 1,
        "ghosts": 1,
    }


def test_the_largest_failures_come_first() -> None:
    cases = find_failures(DATASET, FOUND, TOY)
    first = cases[0]
    assert (first.kind, first.index, len(first.keypoints)) == ("wrong_person", 3, 2)
    swaps = largest_failures(cases, "wrong_person", 5)
    assert [(case.index, case.other, case.keypoints) for case in swaps] == [
        (3, 0, (2, 3)),
        (0, 1, (1,)),
    ]
    # Two keypoints, each 40.2 px from where it ought to be, of people of 10 px. Those of the other
    # person were distance by 39.8 px.
    assert swaps[0].distance == pytest.approx(8.04)
    (fragment,) = largest_failures(cases, "fragment", 5)
    assert (fragment.index, fragment.person, fragment.other, fragment.keypoints) == (1, 1, 0, (3,))
    false = largest_failures(cases, "false_positive", 5)
    assert [(case.index, case.person, case.keypoints) for case in false] == [
        (2, 0, (0, 3)),
        (1, 2, (3,)),
    ]
    assert false[0].distance == 0 and false[1].distance == pytest.approx(2.5)


def test_missed_keypoints_are_visible_annotated_ones() -> None:
    cases = find_failures(DATASET, FOUND, TOY)
    (undetected,) = largest_failures(cases, "undetected", 5)
    # Bob's right hand is hidden: that it was not found is no miss.
    assert (undetected.index, undetected.person, undetected.keypoints) == (1, 1, (1, 3))
    astray = largest_failures(cases, "misassigned", 5)
    assert [(case.index, case.person, case.keypoints) for case in astray] == [
        (3, 0, (2, 3)),
        (0, 0, (1,)),
        (1, 0, (3,)),
    ]
    assert len(largest_failures(cases, "misassigned", 1)) == 1
    without = largest_failures(cases, "misassigned", 2, leave_out=[3])
    assert [case.index for case in without] == [0, 1]
    assert largest_failures(cases, "wrong_side", 3) == []


def test_predictions_must_fit_the_images() -> None:
    for function in (association_errors, people_counts, find_failures):
        with pytest.raises(ValueError, match="3 predictions for 4 images"):
            function(DATASET, FOUND[:3], TOY)
