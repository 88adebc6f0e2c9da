"""The oracle's search against one that tries every candidate, and what must be true of it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from poselib.metrics.oracle_search import (
    best_reachable_oks,
    candidate_spacing,
    nearest_candidates,
    offset_in_steps,
    oracle_search,
)
from poselib.ops.oks import keypoint_similarity, object_keypoint_similarity
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.structures import Poses
from tests.toy_people import ANN, BOB, NONE, TOY, at, poses, sample

Crowd = tuple[Poses, np.ndarray, np.ndarray]


def random_crowd(seed: int, skeleton: Skeleton = COCO, people: int = 4) -> Crowd:
    """People who were found somewhat off, some twice and one nowhere near; a third unlabeled."""
    rng = np.random.default_rng(seed)
    kinds = len(skeleton)
    size = rng.uniform(60, 200, people)
    points = rng.uniform(0, 150, (people, 1, 2)) + size[:, None, None] * rng.random((kinds, 2))
    seen = rng.choice(3, (people, kinds), p=[0.33, 0.17, 0.5])
    whose = np.repeat(np.arange(people), rng.choice([1, 2], people))
    far = rng.choice([1.0, 8.0], (len(whose), kinds, 1), p=[0.7, 0.3])
    found = points[whose] + far * rng.normal(size=(len(whose), kinds, 2)) * 4
    found = np.concatenate([found, 9e4 + rng.random((1, kinds, 2))]).astype(np.float32)
    scores = rng.uniform(0.1, 1, found.shape[:2]).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = 0
    found[scores == 0] = 0
    truth = np.concatenate([points, seen[..., None]], axis=-1)
    areas = size**2 * rng.uniform(0.4, 0.7, people)
    return Poses(found, scores, scores.mean(axis=1)), truth, areas


def similarity(x: float, y: float, goal: np.ndarray, area: float, sigma: float) -> float:
    square = (x - goal[0]) ** 2 + (y - goal[1]) ** 2
    return math.exp(-square / (2 * area * (2 * sigma) ** 2))


def every_candidate(
    crowd: Crowd, sigmas: tuple[float, ...], window: int, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints after the search, (P, K, 2), and the OKS within reach, (P, N), by trying all."""
    people, truth, areas = crowd
    moved = people.keypoints.astype(np.float64)
    reach = np.zeros((len(people), len(truth)))
    r = window // 2
    for p in range(len(people)):
        places = {}
        for n in range(len(truth)):
            labeled, total = 0, 0.0
            for k, sigma in enumerate(sigmas):
                if truth[n, k, 2] == 0:
                    continue
                labeled += 1
                if people.scores[p, k] == 0:
                    continue
                best = -1.0
                for i in range(-r, r + 1):
                    for j in range(-r, r + 1):
                        x = float(people.keypoints[p, k, 0]) + i * step * sigma / min(sigmas)
                        y = float(people.keypoints[p, k, 1]) + j * step * sigma / min(sigmas)
                        value = similarity(x, y, truth[n, k], areas[n], sigma)
                        if value > best:
                            best, places[n, k] = value, (x, y)
                total += best
            reach[p, n] = total / labeled if labeled else 0.0
        who = int(reach[p].argmax())
        for k in range(len(sigmas)):
            if reach[p, who] > 0 and (who, k) in places:
                moved[p, k] = places[who, k]
    return moved, reach


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
@pytest.mark.parametrize(("window", "step"), [(1, 1.0), (3, 0.7), (5, 2.0), (11, 1.0)])
def test_it_equals_a_search_of_all_candidates(skeleton, window: int, step: float) -> None:
    crowd = random_crowd(window, skeleton, people=3)
    moved, reach = every_candidate(crowd, skeleton.sigmas, window, step)
    found = oracle_search(*crowd, skeleton.sigmas, window, step)
    np.testing.assert_allclose(found.keypoints, moved, rtol=1e-6, atol=1e-4)
    ours = best_reachable_oks(*crowd, skeleton.sigmas, window, step)
    np.testing.assert_allclose(ours, reach, atol=1e-9)
    assert (found.keypoints != crowd[0].keypoints).any() == (window > 1)


def test_the_oks_with_the_matched_person_never_falls_and_is_the_reachable_one() -> None:
    for seed in range(20):
        crowd = random_crowd(seed)
        people, truth, areas = crowd
        people = replace(people, scores=np.maximum(people.scores, 0.1))  # nothing is missing
        reach = best_reachable_oks(people, truth, areas, COCO.sigmas, 11, 1.0)
        after = oracle_search(people, truth, areas, COCO.sigmas, 11, 1.0)
        who = reach.argmax(axis=1)
        near, nearer = (
            keypoint_similarity(p.keypoints, truth[who, :, :2], areas[who], COCO.sigmas)
            for p in (people, after)
        )
        labeled = truth[who, :, 2] > 0
        assert (nearer >= near - 1e-6)[labeled].all()
        oks = object_keypoint_similarity(after.keypoints, truth, areas, COCO.sigmas)
        np.testing.assert_allclose(oks.T[range(len(who)), who], reach.max(axis=1), atol=1e-5)


def test_larger_windows_reach_a_higher_oks() -> None:
    people, truth, areas = random_crowd(3)
    people = replace(people, scores=np.maximum(people.scores, 0.1))
    reach = [
        best_reachable_oks(people, truth, areas, COCO.sigmas, window, 0.2)
        for window in (1, 3, 11, 51, 2_000_001)
    ]
    # The candidates of a window are among those of a larger one.
    assert all((b >= a - 1e-12).all() for a, b in pairwise(reach))
    assert reach[-1].min() > 0.99
    after = oracle_search(people, truth, areas, COCO.sigmas, 2_000_001, 0.2)
    best = object_keypoint_similarity(after.keypoints, truth, areas, COCO.sigmas).max(axis=0)
    assert best.min() > 0.99


def test_a_window_of_one_changes_nothing() -> None:
    people, truth, areas = random_crowd(5)
    after = oracle_search(people, truth, areas, COCO.sigmas, 1, 1.0)
    np.testing.assert_array_equal(after.keypoints, people.keypoints)


def test_scores_missing_and_unlabeled_keypoints_stay() -> None:
    people, truth, areas = random_crowd(6)
    after = oracle_search(people, truth, areas, COCO.sigmas, 11, 1.0)
    np.testing.assert_array_equal(after.scores, people.scores)
    np.testing.assert_array_equal(after.person_scores, people.person_scores)
    assert not people.found.all() and (after.keypoints[~people.found] == 0).all()
    who = best_reachable_oks(people, truth, areas, COCO.sigmas, 11, 1.0).argmax(axis=1)
    unlabeled = truth[who, :, 2] == 0
    np.testing.assert_array_equal(after.keypoints[unlabeled], people.keypoints[unlabeled])
    assert after.keypoints.dtype == np.float32


def test_the_order_of_people_has_no_effect() -> None:
    people, truth, areas = random_crowd(7)
    rng = np.random.default_rng(0)
    found, annotated = rng.permutation(len(people)), rng.permutation(len(truth))
    mixed = Poses(people.keypoints[found], people.scores[found], people.person_scores[found])
    after = oracle_search(people, truth, areas, COCO.sigmas, 11, 1.0)
    other = oracle_search(mixed, truth[annotated], areas[annotated], COCO.sigmas, 11, 1.0)
    np.testing.assert_array_equal(other.keypoints, after.keypoints[found])


def test_it_is_the_same_at_every_scale() -> None:
    people, truth, areas = random_crowd(8)
    large = replace(people, keypoints=4 * people.keypoints)
    enlarged = truth * [4, 4, 1]
    after = oracle_search(people, truth, areas, COCO.sigmas, 11, 1.0)
    other = oracle_search(large, enlarged, 16 * areas, COCO.sigmas, 11, 4.0)
    np.testing.assert_allclose(other.keypoints, 4 * after.keypoints, rtol=1e-6)


def test_candidates_by_hand() -> None:
    """Least sigma: 2 px apart; thrice the sigma: 6 px. Windows of 5 reach two of them."""
    spacing = candidate_spacing([0.1, 0.3], 2.0)
    np.testing.assert_allclose(spacing, [2, 6])
    start = np.array([[10.0, 10.0], [10.0, 10.0]])
    goals = np.array([[12.9, 9.2], [33.0, -4.0]])
    best = nearest_candidates(start, goals, spacing, 5)
    np.testing.assert_allclose(best, [[12, 10], [22, -2]])
    np.testing.assert_allclose(offset_in_steps(start, goals, spacing), [2.9 / 2, 23 / 6])


def test_two_detections_of_a_person_are_both_moved() -> None:
    beside, other = [(x + 1, y) for x, y in at(ANN)], [(x, y - 2) for x, y in at(ANN)]
    scene = sample(ANN, BOB)
    after = oracle_search(
        poses(beside, other), scene.keypoints, scene.areas, TOY.sigmas, window=5, step=1.0
    )
    np.testing.assert_allclose(after.keypoints, np.array([at(ANN)] * 2))


def test_a_missing_keypoint_lowers_the_oks() -> None:
    found = poses([*at(ANN)[:3], NONE])
    scene = sample(ANN, BOB)
    reach = best_reachable_oks(found, scene.keypoints, scene.areas, TOY.sigmas, 3, 1.0)
    np.testing.assert_allclose(reach, [[0.75, 0]], atol=1e-9)


def test_no_detections_no_people_and_no_labels() -> None:
    no_poses, scene = Poses.empty(4), sample(ANN, BOB)
    given = TOY.sigmas, 11, 1.0
    assert len(oracle_search(no_poses, scene.keypoints, scene.areas, *given)) == 0
    found, empty = poses(at(ANN)), sample()
    after = oracle_search(found, empty.keypoints, empty.areas, *given)
    np.testing.assert_array_equal(after.keypoints, found.keypoints)
    # As in a crowd: a person without labels.
    crowd = sample([(11, 10, 0), (21, 10, 0), (31, 10, 0), (41, 10, 0)])
    after = oracle_search(found, crowd.keypoints, crowd.areas, *given)
    np.testing.assert_array_equal(after.keypoints, found.keypoints)
    shapes = [
        best_reachable_oks(p, s.keypoints, s.areas, *given).shape
        for p, s in ((no_poses, scene), (found, empty))
    ]
    assert shapes == [(0, 2), (1, 0)]


def test_without_an_area_only_exact_keypoints_are_similar() -> None:
    scene = sample(ANN)
    beside = poses([(x + 1, y) for x, y in at(ANN)], [(x + 1.5, y) for x, y in at(ANN)])
    nothing = np.zeros(1)
    reach = best_reachable_oks(beside, scene.keypoints, nothing, TOY.sigmas, 3, 1.0)
    np.testing.assert_array_equal(reach, [[1], [0]])
    after = oracle_search(beside, scene.keypoints, nothing, TOY.sigmas, 3, 1.0)
    np.testing.assert_array_equal(after.keypoints[0], np.array(at(ANN)))
    np.testing.assert_array_equal(after.keypoints[1], beside.keypoints[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 4}, "odd positive side, not 4"),
        ({"window": -1}, "odd positive side, not -1"),
        ({"step": 0.0}, "must be positive, not .* and 0.0"),
        ({"step": math.inf}, "must be positive"),
        ({"sigmas": (0.1, 0.1, 0.0, 0.1)}, "must be positive"),
        ({"sigmas": (0.1,)}, r"K = 1, not \(1, 4, 2\), \(1, 4, 3\) and \(1,\)"),
        ({"areas": np.ones(2)}, r"\(2,\)"),
        ({"truth": np.zeros((1, 4, 2))}, r"\(1, 4, 2\)"),
    ],
)
def test_inconsistent_shapes_are_refused(change: dict, message: str) -> None:
    scene = sample(ANN)
    given = {"truth": scene.keypoints, "areas": scene.areas, "sigmas": TOY.sigmas}
    with pytest.raises(ValueError, match=message):
        oracle_search(poses(at(ANN)), **{**given, "window": 11, "step": 1.0, **change})
