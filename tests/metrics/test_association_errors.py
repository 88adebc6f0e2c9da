"""Errors computed by hand, and by a slow loop that shares no code with the classification."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from poselib.metrics.association_errors import (
    GroundTruthOutcome,
    KeypointErrors,
    PredictionError,
    classify_keypoints,
)
from poselib.skeletons import Skeleton
from poselib.structures import AffineTransform, Poses, Sample
from tests.toy_people import ANN, BOB, NONE, TOY, at, poses, sample

Kind, Outcome = PredictionError, GroundTruthOutcome


def judged(truth: Sample, found: Poses) -> tuple[list[str], list[str]]:
    """Kinds of the first detection's keypoints and outcomes of the first person's, by name."""
    judgment = classify_keypoints(found, truth, TOY)
    kinds = [Kind(kind).name for kind in judgment.kinds[0]]
    return kinds, [Outcome(outcome).name for outcome in judgment.outcomes[0]]


def test_near_ends_at_the_stated_distance() -> None:
    x, y, _ = ANN[0]
    correct, imprecise = ((0.0, 1.17), "CORRECT"), ((1.19, 2.14), "IMPRECISE")
    kinds_of = {shift: kind for shifts, kind in (correct, imprecise) for shift in shifts}
    for shift, kind in {**kinds_of, 2.16: "FALSE_POSITIVE"}.items():
        kinds, outcomes = judged(sample(ANN), poses([(x + shift, y), *at(ANN)[1:]]))
        assert kinds == [kind, "CORRECT", "CORRECT", "CORRECT"]
        assert outcomes[0] == ("FOUND" if kind == "CORRECT" else "UNDETECTED")


def test_a_hand_exchanged_between_two_people() -> None:
    mine, theirs = at(ANN), at(BOB)
    mine[1], theirs[1] = theirs[1], mine[1]
    judgment = classify_keypoints(poses(mine, theirs), sample(ANN, BOB), TOY)
    assert judgment.partners.tolist() == [0, 1]
    assert (
        judgment.kinds.tolist()
        == [
            [
                Kind.CORRECT,
                Kind.WRONG_PERSON,
                Kind.CORRECT,
                Kind.CORRECT,
            ]
        ]
        * 2
    )
    assert judgment.owners.tolist() == [[0, 1, 0, 0], [1, 0, 1, 1]]
    assert (
        judgment.outcomes.tolist()
        == [
            [
                Outcome.FOUND,
                Outcome.MISASSIGNED,
                Outcome.FOUND,
                Outcome.FOUND,
            ]
        ]
        * 2
    )


def test_a_person_in_two_pieces_has_a_fragment() -> None:
    whole, piece = [*at(ANN)[:3], NONE], [NONE, NONE, NONE, at(ANN)[3]]
    judgment = classify_keypoints(poses(piece, whole), sample(ANN), TOY)
    assert judgment.partners.tolist() == [-1, 0]
    assert judgment.kinds[0].tolist() == [Kind.ABSENT] * 3 + [Kind.FRAGMENT]
    assert judgment.owners.tolist() == [[-1, -1, -1, 0], [0, 0, 0, -1]]
    assert judgment.outcomes.tolist() == [[Outcome.FOUND] * 3 + [Outcome.MISASSIGNED]]


def test_one_detection_of_two_people_is_matched_to_the_nearer() -> None:
    mixed = [*at(ANN)[:3], at(BOB)[3]]
    judgment = classify_keypoints(poses(mixed), sample(BOB, ANN), TOY)
    assert judgment.partners.tolist() == [1]
    assert judgment.kinds.tolist() == [[Kind.CORRECT] * 3 + [Kind.WRONG_PERSON]]
    assert judgment.outcomes[0].tolist() == [Outcome.UNDETECTED] * 3 + [Outcome.MISASSIGNED]


def test_exchanged_hands_are_on_the_wrong_side_and_center_keypoints_have_no_other_side() -> None:
    nose, left, right, tail = at(ANN)
    kinds, outcomes = judged(sample(ANN), poses([nose, right, left, nose]))
    assert kinds == ["CORRECT", "WRONG_SIDE", "WRONG_SIDE", "FALSE_POSITIVE"]
    assert outcomes == ["FOUND", "UNDETECTED", "UNDETECTED", "UNDETECTED"]


def test_the_nearer_of_another_person_and_the_other_side_decides() -> None:
    nose, left, right, tail = at(ANN)
    beside = [(10, 50, 2), (right[0] + 1, right[1], 2), (30, 50, 2), (40, 50, 2)]
    for x, kind in ((0.4, "WRONG_SIDE"), (0.6, "WRONG_PERSON")):
        found = poses([nose, (right[0] + x, right[1]), right, tail], at(beside))
        assert judged(sample(ANN, beside), found)[0][1] == kind


def test_a_keypoint_near_its_own_is_correct_even_if_another_is_nearer() -> None:
    beside = [(11, 10, 2), *BOB[1:]]
    judgment = classify_keypoints(poses([(11, 10), *at(ANN)[1:]]), sample(ANN, beside), TOY)
    assert judgment.kinds[0, 0] == Kind.CORRECT
    # The one prediction is Ann's: of Bob's nose there is none, and it is not astray either.
    assert judgment.outcomes[:, 0].tolist() == [
        Outcome.FOUND,
        Outcome.UNDETECTED,
    ]


def test_unlabeled_keypoints_and_regions_are_unknown() -> None:
    partly = [*ANN[:3], (0, 0, 0)]
    truth = sample(partly, BOB)
    nose, left, right, _ = at(ANN)
    assert judged(truth, poses([nose, left, right, (50, 30)]))[0][3] == "UNKNOWN"
    assert judged(truth, poses([nose, left, right, at(BOB)[3]]))[0][3] == "WRONG_PERSON"
    assert judged(truth, poses(at(ANN)))[1] == ["FOUND", "FOUND", "FOUND", "UNLABELED"]
    stranger = poses([(50, 30), NONE, NONE, NONE])
    assert judged(truth, stranger)[0][0] == "FALSE_POSITIVE"
    truth.ignore_mask[30, 50] = True
    assert judged(truth, stranger)[0][0] == "UNKNOWN"


def test_hidden_keypoints_count_and_low_scores_do_not() -> None:
    hidden = [(x, y, 1) for x, y, _ in ANN]
    assert judged(sample(hidden), poses(at(ANN)))[1] == ["FOUND"] * 4
    weak = replace(poses(at(ANN)), scores=np.array([[0.9, 0.2, 0.21, 0.0]], np.float32))
    judgment = classify_keypoints(weak, sample(ANN), TOY, min_score=0.2)
    assert judgment.kinds.tolist() == [
        [
            Kind.CORRECT,
            Kind.ABSENT,
            Kind.CORRECT,
            Kind.ABSENT,
        ]
    ]


def test_no_detections_and_no_annotated_people() -> None:
    judgment = classify_keypoints(Poses.empty(4), sample(ANN), TOY)
    assert judgment.kinds.shape == (0, 4) and (judgment.outcomes == Outcome.UNDETECTED).all()
    judgment = classify_keypoints(poses(at(ANN)), sample(), TOY)
    assert (judgment.kinds == Kind.FALSE_POSITIVE).all() and judgment.outcomes.shape == (
        0,
        4,
    )
    assert judgment.partners.tolist() == [-1]


def test_a_missing_keypoint_is_not_one_in_the_corner() -> None:
    corner = [(0, 0, 2), *ANN[1:]]
    kinds, outcomes = judged(sample(corner), poses([NONE, *at(ANN)[1:]]))
    assert kinds[0] == "ABSENT" and outcomes[0] == "UNDETECTED"


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image \d+: .* with K = 4, not \("):
        classify_keypoints(Poses.empty(5), sample(ANN), TOY)


# Random crowds, so dense that everything happens.


def crowd(seed: int) -> tuple[Sample, Poses]:
    rng = np.random.default_rng(seed)
    people, found = int(rng.integers(0, 6)), int(rng.integers(0, 7))
    truth = np.zeros((people, 4, 3), np.float32)
    truth[..., :2] = rng.uniform(20, 40, (people, 1, 2)) + rng.normal(0, 3, (people, 4, 2))
    truth[..., 2] = rng.choice([0, 1, 2], (people, 4), p=[0.15, 0.25, 0.6])
    truth[truth[..., 2] == 0] = 0
    everywhere = np.concatenate([truth[..., :2].reshape(-1, 2), rng.uniform(15, 45, (8, 2))])
    keypoints = np.empty((found, 4, 2), np.float32)
    for person in range(found):
        own = truth[rng.integers(people), :, :2] if people else rng.uniform(15, 45, (4, 2))
        stray = everywhere[rng.integers(0, len(everywhere), 4)]
        keypoints[person] = np.where(rng.random((4, 1)) < 0.7, own, stray)
    keypoints += rng.normal(0, 0.8, keypoints.shape).astype(np.float32)
    scores = (rng.random((found, 4)) < 0.85).astype(np.float32) * rng.random((found, 4))
    keypoints[scores == 0] = 0
    areas = rng.uniform(60, 300, people).astype(np.float32)
    ignore = rng.random((64, 64)) < 0.2
    image = np.zeros((3, 64, 64), np.uint8)
    scores = scores.astype(np.float32)
    return (
        Sample(image, truth, areas, ignore, 1, AffineTransform.identity()),
        Poses(keypoints, scores, scores.mean(1)),
    )


def slowly(found: Poses, truth: Sample, skeleton: Skeleton) -> KeypointErrors:
    """Judge one keypoint after another."""
    people, count = len(truth.keypoints), len(found)

    def like(p: int, k: int, n: int, other: int) -> float:
        x, y, visible = (float(v) for v in truth.keypoints[n, other])
        if found.scores[p, k] <= 0 or visible == 0:
            return 0.0
        px, py = (float(v) for v in found.keypoints[p, k])
        wide = (2 * skeleton.sigmas[k]) ** 2 * float(truth.areas[n])
        return float(np.exp(-((px - x) ** 2 + (py - y) ** 2) / (2 * wide)))

    cost = np.zeros((count, people))
    for p in range(count):
        for n in range(people):
            terms = [like(p, k, n, k) for k in range(4)]
            labeled = int((truth.keypoints[n, :, 2] > 0).sum())
            if max(terms) >= 0.5:
                cost[p, n] = -sum(terms) / labeled
    partners = np.full(count, -1)
    for p, n in zip(*linear_sum_assignment(cost), strict=True):
        partners[p] = n if cost[p, n] < 0 else -1

    kinds, owners = np.full((count, 4), int(Kind.ABSENT)), np.full((count, 4), -1)
    for p in range(count):
        for k in range(4):
            if found.scores[p, k] <= 0:
                continue
            mine = int(partners[p])
            own = like(p, k, mine, k) if mine >= 0 else 0.0
            side = like(p, k, mine, int(skeleton.flip_indices[k])) if mine >= 0 else 0.0
            best, whose = 0.0, -1
            for n in range(people):
                if n != mine and like(p, k, n, k) > best:
                    best, whose = like(p, k, n, k), n
            column, row = (int(v) for v in np.floor(found.keypoints[p, k]))
            inside = 0 <= column < 64 and 0 <= row < 64
            hidden = inside and bool(truth.ignore_mask[row, column])
            if own >= 0.5:
                kinds[p, k], owners[p, k] = Kind.CORRECT, mine
            elif best >= 0.5 and best >= side:
                kinds[p, k] = Kind.WRONG_PERSON if mine >= 0 else Kind.FRAGMENT
                owners[p, k] = whose
            elif side >= 0.5:
                kinds[p, k] = Kind.WRONG_SIDE
            elif (own if mine >= 0 else best) >= 0.1:
                kinds[p, k] = Kind.IMPRECISE
            elif hidden or (mine >= 0 and truth.keypoints[mine, k, 2] == 0):
                kinds[p, k] = Kind.UNKNOWN
            else:
                kinds[p, k] = Kind.FALSE_POSITIVE

    outcomes = np.full((people, 4), int(Outcome.UNLABELED))
    for n in range(people):
        for k in range(4):
            if truth.keypoints[n, k, 2] > 0:
                good = [p for p in range(count) if kinds[p, k] == Kind.CORRECT and partners[p] == n]
                stray = [
                    p
                    for p in range(count)
                    if kinds[p, k] != Kind.CORRECT and like(p, k, n, k) >= 0.5
                ]
                outcomes[n, k] = (
                    Outcome.FOUND if good else Outcome.MISASSIGNED if stray else Outcome.UNDETECTED
                )
    return KeypointErrors(partners, kinds, owners, outcomes)


SEEDS = range(60)


def same(one: KeypointErrors, other: KeypointErrors) -> bool:
    fields = ("partners", "kinds", "owners", "outcomes")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


def test_a_loop_gives_the_same_and_every_kind_occurs() -> None:
    kinds, outcomes = set(), set()
    for seed in SEEDS:
        truth, found = crowd(seed)
        judgment = classify_keypoints(found, truth, TOY)
        assert same(judgment, slowly(found, truth, TOY)), seed
        kinds |= set(judgment.kinds.ravel().tolist())
        outcomes |= set(judgment.outcomes.ravel().tolist())
    assert kinds == set(Kind) and outcomes == set(Outcome)


def test_the_order_of_people_has_no_effect() -> None:
    for seed in SEEDS:
        truth, found = crowd(seed)
        rng = np.random.default_rng(seed)
        a, b = rng.permutation(len(found)), rng.permutation(len(truth.keypoints))
        plain = classify_keypoints(found, truth, TOY)
        moved = classify_keypoints(
            Poses(found.keypoints[a], found.scores[a], found.person_scores[a]),
            replace(truth, keypoints=truth.keypoints[b], areas=truth.areas[b]),
            TOY,
        )
        back = np.append(np.argsort(b), -1)  # the new number of an annotated person; -1 stays
        expected = KeypointErrors(back[plain.partners][a], plain.kinds[a], back[plain.owners][a],
                             plain.outcomes[b])  # fmt: skip
        assert same(moved, expected)


def test_the_order_of_keypoints_has_no_effect() -> None:
    order = [2, 0, 3, 1]
    shuffled = replace(TOY, keypoints=tuple(TOY.keypoints[k] for k in order))
    for seed in SEEDS:
        truth, found = crowd(seed)
        plain = classify_keypoints(found, truth, TOY)
        moved = classify_keypoints(
            Poses(found.keypoints[:, order], found.scores[:, order], found.person_scores),
            replace(truth, keypoints=truth.keypoints[:, order]),
            shuffled,
        )
        expected = KeypointErrors(plain.partners, plain.kinds[:, order], plain.owners[:, order],
                             plain.outcomes[:, order])  # fmt: skip
        assert same(moved, expected)


def test_scale_and_location_have_no_effect() -> None:
    for seed in SEEDS:
        truth, found = crowd(seed)
        truth = replace(truth, ignore_mask=np.zeros((64, 64), bool))
        there = truth.keypoints[..., 2:] > 0
        xy = np.where(there, truth.keypoints[..., :2] * 4 + 100, 0)
        larger = replace(
            truth,
            keypoints=np.concatenate([xy, truth.keypoints[..., 2:]], -1).astype(np.float32),
            areas=truth.areas * 16,
            ignore_mask=np.zeros((512, 512), bool),
        )
        moved = replace(found, keypoints=found.keypoints * 4 + 100)
        assert same(classify_keypoints(moved, larger, TOY), classify_keypoints(found, truth, TOY))
