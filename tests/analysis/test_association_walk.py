"""Walks through a grouping: its steps give the decoder's poses, its distances are Eq. 18's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.analysis.association_walk import compare_poses, step_distances, walk_association
from poselib.decoders.associative import decode_associative
from poselib.structures import Poses
from tests.analysis.tag_scenes import MAP, options_of, outputs_of, random_outputs
from tests.toy_people import poses


@pytest.mark.parametrize("unit", ["type", "keypoint"])
@pytest.mark.parametrize("order", ["progressive", (3, 0, 2, 1)])
def test_all_steps_give_the_poses_of_the_decoder(unit: str, order: object) -> None:
    for seed in range(5):
        options = replace(options_of(progressive_unit=unit), order=order)  # type: ignore[arg-type]
        walk = walk_association(random_outputs(seed), options)
        (decoded,) = decode_associative(random_outputs(seed), options)
        last = walk.after(walk.length)
        assert np.array_equal(last.keypoints, decoded.keypoints)
        assert np.array_equal(last.scores, decoded.scores)
        grouped = walk.after(len(walk.steps))
        (unrefined,) = decode_associative(random_outputs(seed), replace(options, refine=False))
        assert np.array_equal(grouped.keypoints, unrefined.keypoints)
        assert not walk.after(0).found.any()
        counts = [walk.after(n).found.sum() for n in range(walk.length + 1)]
        assert counts == sorted(counts)


@pytest.mark.parametrize("reduction", ["min", "mean"])
def test_distances_are_those_that_progressive_grouping_records(reduction: str) -> None:
    for seed in range(5):
        options = options_of(distance_reduction=reduction, max_people=2)
        walk = walk_association(random_outputs(seed), options)
        forgotten = [replace(s, distances=np.full(4, np.nan)) for s in walk.steps]
        table = step_distances(forgotten, 4, options.grouping)
        np.testing.assert_allclose(table, walk.distances, atol=1e-12)
        chosen = [step.keypoint for step in walk.steps[1:]]
        assert np.nanargmin(table[1:], axis=1).tolist() == chosen


FIXED = (3, 0, 2, 1)


@pytest.mark.parametrize(
    ("unit", "order"), [("type", "progressive"), ("keypoint", "progressive"), ("type", FIXED)]
)
def test_each_distance_is_between_a_keypoint_and_a_person(unit: str, order: object) -> None:
    joined = 0
    for seed in range(5):
        options = replace(options_of(progressive_unit=unit, max_people=3), order=order)  # type: ignore[arg-type]
        walk = walk_association(random_outputs(seed), options)
        assert np.argwhere(np.isfinite(walk.distances)).tolist() == [[*k] for k in walk.nearest]
        for (step, keypoint), pair in walk.nearest.items():
            reference = walk.steps[step].references[pair.reference]
            apart = np.linalg.norm(walk.tags[pair.owner, keypoint] - reference)
            assert apart == pytest.approx(walk.distances[step, keypoint], abs=1e-12)
            assert pair.distance == apart and walk.step_of[pair.owner, keypoint] >= step
            joined += pair.owner == pair.reference
    assert joined


def test_of_a_mean_distance_the_nearest_pair_is_told() -> None:
    walk = walk_association(random_outputs(1), options_of(distance_reduction="mean"))
    for cell, pair in walk.nearest.items():
        assert pair.distance <= walk.distances[cell] + 1e-12
        assert (pair.waiting > 1) or pair.distance == pytest.approx(walk.distances[cell])


def test_a_fixed_order_shows_the_nearer_types_that_it_passes_by() -> None:
    tags = np.array([[0.0, 0.5, 0.1, 0.3], [4.0, 4.0, 4.0, 4.0]])
    fixed = replace(MAP, order=(0, 1, 2, 3))
    walk = walk_association(outputs_of(tags, np.array([[1, 1, 1, 1], [0, 0, 0, 0]])), fixed)
    np.testing.assert_allclose(walk.distances[1, 1:], [0.5, 0.1, 0.3], atol=1e-6)
    assert np.isnan(walk.distances[2, 1])


def test_moved_lost_and_new_keypoints_are_told() -> None:
    one = [(10, 10), (20, 10), (30, 10), (40, 10)]
    two = [(10, 50), (20, 50), (30, 50), (0, 0)]
    first = poses(one, two)
    second = poses([(10, 50), (20, 50), (30, 10), (0, 0)], [(10.4, 10), (20, 10), (0, 0), (40, 30)])
    found = compare_poses(first, second, 1.0)
    assert found.numbers.tolist() == [1, 0]
    assert np.argwhere(found.moved[0]).tolist() == [[0, 2]]
    assert np.argwhere(found.moved[1]).tolist() == [[0, 2]]
    assert np.argwhere(found.alone[0]).tolist() == [[0, 3], [1, 2]]
    assert np.argwhere(found.alone[1]).tolist() == [[1, 3]]
    text = "1 of 5 keypoints went to another person, 2 are missing and 1 is new"
    assert str(found) == text
    assert str(compare_poses(first, first[::-1], 1.0)) == "all 7 keypoints are of the same people"
    assert compare_poses(first, Poses.empty(4), 1.0).alone[0].sum() == 7
