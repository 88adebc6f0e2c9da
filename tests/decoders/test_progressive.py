"""Progressive order of keypoint types (HAE, Algorithm 1)."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.decoders.progressive import group_progressive, progressive_steps


def row(*types: list[float]) -> Candidates:
    """Candidates with 1-d tags: one list of tags a keypoint type, all equally hot."""
    count = max(len(tags) for tags in types)
    values = np.zeros((len(types), count), np.float32)
    table = np.zeros((len(types), count, 1), np.float32)
    for k, tags in enumerate(types):
        values[k, : len(tags)] = 0.5
        table[k, : len(tags), 0] = tags
    return Candidates(np.zeros((len(types), count, 2), np.int64), values, table)


def test_nearest_type_comes_next() -> None:
    steps = progressive_steps(row([0.0], [0.9], [0.2], [0.4]), GroupingOptions())
    assert [step.keypoint for step in steps] == [0, 2, 3, 1]
    # References: 0, then (0 + 0.2) / 2, then (0 + 0.2 + 0.4) / 3.
    np.testing.assert_allclose([s.references[0, 0] for s in steps[1:]], [0, 0.1, 0.2], atol=1e-6)
    nan = np.nan
    distances = [[nan] * 4, [nan, 0.9, 0.2, 0.4], [nan, 0.8, nan, 0.3], [nan, 0.7, nan, nan]]
    np.testing.assert_allclose([s.distances for s in steps], distances, atol=1e-6)
    assert [s.started.tolist() for s in steps] == [[True], [False], [False], [False]]
    assert [s.people.tolist() for s in steps] == [[0]] * 4


def test_progressive_order_keeps_a_person_together() -> None:
    groups = group_progressive(row([0.0], [1.4], [0.9]), GroupingOptions())
    assert groups.members.tolist() == [[0, 0, 0]]


def test_equally_near_types_keep_their_order() -> None:
    steps = progressive_steps(row([0.0], [0.5], [-0.5], [0.5]), GroupingOptions())
    assert steps[1].keypoint == 1


def test_first_type_with_a_candidate_starts() -> None:
    steps = progressive_steps(row([], [], [1.0, 5.0], [5.1]), GroupingOptions())
    assert [step.keypoint for step in steps] == [2, 3]
    assert steps[0].started.all()
    assert steps[1].people.tolist() == [1]


@pytest.mark.parametrize("distance", [9.0, 11.0, 1e6])
def test_types_without_candidates_are_never_next(distance: float) -> None:
    candidates = row([0.0], [], [distance], [])
    groups = group_progressive(candidates, GroupingOptions())
    assert groups.members.tolist() == [[0, -1, -1, -1], [-1, -1, 0, -1]]


def test_mean_distance_is_robust_to_one_near_candidate() -> None:
    # Type 1 has one candidate on a person's tag and one far from all; type 2 has two that fit.
    candidates = row([0.0, 5.0], [0.0, 5.8], [0.1, 5.2])
    least = progressive_steps(candidates, GroupingOptions())
    mean = progressive_steps(candidates, GroupingOptions(distance_reduction="mean"))
    assert [step.keypoint for step in least] == [0, 1, 2]
    assert [step.keypoint for step in mean] == [0, 2, 1]
    np.testing.assert_allclose(mean[1].distances, [np.nan, 0.4, 0.15], atol=1e-6)
    # After type 2 the people are at 0.05 and 5.1.
    np.testing.assert_allclose(mean[2].distances, [np.nan, (0.05 + 0.7) / 2, np.nan], atol=1e-6)


def test_distance_reductions_agree_for_one_candidate_per_type() -> None:
    candidates = row([0.0], [0.9], [], [0.2], [0.4])
    mean = progressive_steps(candidates, GroupingOptions(distance_reduction="mean"))
    least = progressive_steps(candidates, GroupingOptions())
    assert [step.keypoint for step in mean] == [step.keypoint for step in least]
    for one, other in zip(mean, least, strict=True):
        np.testing.assert_array_equal(one.distances, other.distances)


def test_unknown_distance_reduction_is_refused() -> None:
    with pytest.raises(
        ValueError, match="distance_reduction must be 'min' or 'mean', not 'median'"
    ):
        GroupingOptions(distance_reduction="median")  # type: ignore[arg-type]
