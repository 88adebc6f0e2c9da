"""Why keypoints went to the wrong person, in sentences with known numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.analysis.association_reasons import (
    explain_distance,
    explain_keypoint,
    find_assignment,
)
from poselib.analysis.association_walk import walk_association
from poselib.metrics.association_errors import KeypointErrors, PredictionError
from tests.analysis.tag_scenes import ANN, BOB, EVE, options_of, outputs_of
from tests.toy_people import TOY


def errors_of(count: int, person: int, keypoint: int, owner: int) -> KeypointErrors:
    """Errors of people in their own order, where one keypoint is of another person."""
    kinds = np.full((count, 4), int(PredictionError.CORRECT))
    kinds[person, keypoint] = PredictionError.WRONG_PERSON
    owners = np.repeat(np.arange(count)[:, None], 4, axis=1)
    owners[person, keypoint] = owner
    return KeypointErrors(np.arange(count), kinds, owners, np.zeros((count, 4), np.int64))


def test_a_keypoint_nearer_to_the_wrong_person_says_so() -> None:
    # Bob's left hand has a tag near Ann's, who has none of her own.
    tags = np.array([[0.0, 0, 0, 0], [3.0, 0.4, 3.0, 3.0]])
    there = np.array([[0.9, 0, 0.9, 0.9], [0.8, 0.8, 0.8, 0.8]])
    walk = walk_association(outputs_of(tags, there), options_of())
    assert walk.tags[ANN, 1, 0] == pytest.approx(0.4)
    found = find_assignment(walk, ANN, 1, BOB)
    assert (found.distance, found.other_distance) == pytest.approx((0.4, 2.6))
    assert not found.started and found.taken_step == -1
    text = explain_keypoint(walk, ANN, 1, TOY, errors_of(2, ANN, 1, BOB))
    assert text == (
        "In step 4 this left hand joined person 1: its tag is 0.40 from that person's mean, below "
        "the threshold of 1; person 2, to whom it belongs, is 2.60 away, beyond the threshold of 1."
    )


def test_a_keypoint_whose_person_took_another_starts_one() -> None:
    tags = np.array([[0.0, 0.1, 0, 0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.2, 0, 0]])
    there = np.array([[0.9, 0.9, 0.9, 0.9], [0.8, 0.8, 0.8, 0.8], [0, 0.7, 0, 0]])
    walk = walk_association(outputs_of(tags, there), options_of())
    errors = errors_of(3, EVE, 1, ANN)
    assert walk.tags[EVE, 1, 0] == pytest.approx(0.2)
    text = explain_keypoint(walk, EVE, 1, TOY, errors, numbers=[0, 1, 6])
    assert text == (
        "In step 2 this left hand started person 7, since no person within the threshold was "
        "assigned to it; person 1, "
        "to whom it belongs, is 0.20 away, and got another left hand in the same step, at 0.10."
    )


def test_rounding_and_the_tie_rule_are_named() -> None:
    # To the left hand both people are nearer than 0.5; the official cost takes the older one.
    tags = np.array([[0.0, 0.45, 0, 0], [0.6, 0, 0.6, 0.6]])
    there = np.array([[0.9, 0.8, 0.9, 0.9], [0.8, 0, 0.8, 0.8]])
    walk = walk_association(outputs_of(tags, there), options_of(tie_rule="oldest"))
    text = explain_keypoint(walk, ANN, 1, TOY, errors_of(2, ANN, 1, BOB))
    assert "is 0.15 away, but both distances round to 0, and tie rule 'oldest' decides." in text
    right = explain_keypoint(walk, ANN, 1, TOY)
    assert right.endswith(
        "; person 2, who is nearer, is 0.15 away, but both distances round to 0, and tie rule "
        "'oldest' decides."
    )
    nearest = walk_association(outputs_of(tags, there), options_of(tie_rule="nearest"))
    assert nearest.tags[BOB, 1, 0] == pytest.approx(0.45)


def test_a_farther_keypoint_with_a_higher_heatmap_value_is_preferred() -> None:
    # Of two left hands the farther one scores more, and both distances round to 0.
    tags = np.array([[0.0, 0.3, 0, 0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.1, 0, 0]])
    there = np.array([[0.9, 0.9, 0.9, 0.9], [0.8, 0.8, 0.8, 0.8], [0, 0.6, 0, 0]])
    walk = walk_association(outputs_of(tags, there), options_of())
    text = explain_keypoint(walk, EVE, 1, TOY, errors_of(3, EVE, 1, ANN))
    assert text.endswith(
        "person 1, to whom it belongs, is 0.10 away, and got another left hand in the same step, "
        "at 0.30: both distances round to 0, and its heatmap value is higher, 0.90 to 0.60."
    )


def test_unmatched_and_later_people_and_refinement_are_told() -> None:
    tags = np.array([[0.0, 0, 0, 0], [0, 0, 0, 3.0]])
    there = np.array([[0.9, 0.9, 0.9, 0.9], [0, 0, 0, 0.8]])
    walk = walk_association(outputs_of(tags, there), options_of())
    errors = errors_of(2, ANN, 0, BOB)
    text = explain_keypoint(walk, ANN, 0, TOY, errors)
    assert text.startswith("In step 1 this nose started person 1, since the first keypoints")
    assert "it belongs to person 2, who was not started before step 4" in text
    unmatched = replace(errors, partners=np.array([0, -1]))
    assert "whom no detection matches" in explain_keypoint(walk, ANN, 0, TOY, unmatched)
    assert walk.step_of[BOB].tolist() == [4, 4, 4, 3] and walk.length == 5
    assert explain_keypoint(walk, BOB, 0, TOY).startswith("Refinement added this nose to person 2")
    right = explain_keypoint(walk, ANN, 3, TOY, errors)
    assert "joined person 1" in right and right.endswith("; it is right.")
    with pytest.raises(ValueError, match="person 1 has no keypoint 0"):
        bare = walk_association(outputs_of(tags, there), replace(options_of(), refine=False))
        find_assignment(bare, BOB, 0)


def test_a_distance_names_its_keypoint_and_its_person() -> None:
    tags = np.array([[0.0, 0.1, 0, 0], [3.0, 3.3, 3.0, 3.0]])
    there = np.array([[0.9, 0.9, 0.9, 0.9], [0.8, 0.8, 0.8, 0.8]])
    walk = walk_association(outputs_of(tags, there), options_of())
    step = int(walk.step_of[ANN, 1])
    sentence = "nearest left hand is 0.100 from the mean of person 5, whom it joins in step 4."
    assert step == 3 and explain_distance(walk, step, 1, TOY, [4, 1]) == f"The {sentence}"
    walk = walk_association(outputs_of(tags, there), options_of(distance_reduction="mean"))
    mean = "The distance of left hand 0.200 is the mean of 2; the "
    assert explain_distance(walk, step, 1, TOY, [4, 1]) == mean + sentence
    with pytest.raises(ValueError, match="step 0 has no distance of keypoint 1"):
        explain_distance(walk, 0, 1, TOY)


def test_the_nearest_keypoint_may_join_another_person() -> None:
    # Both hands cost the same as their distances are rounded, and Ann's has the higher value.
    tags = np.array([[0.0, 0.2, 0, 0], [3.0, 3.3, 3.0, 3.0], [0, 0.05, 0, 0]])
    there = np.array([[0.9, 0.9, 0.9, 0.9], [0.8, 0.8, 0.8, 0.8], [0, 0.3, 0, 0]])
    walk = walk_association(outputs_of(tags, there), options_of())
    step = int(walk.step_of[EVE, 1])
    text = explain_distance(walk, step, 1, TOY)
    assert text == (
        "The nearest left hand is 0.050 from the mean of person 1, but it starts person 3 in step "
        f"{step + 1}."
    )
