"""Progressive grouping of one keypoint at a time (HAE, caption of Fig. 5b)."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.decoders.progressive import group_progressive, progressive_steps
from tests.references.plain_grouping import as_sets, confused_scene, slow_keypoint_groups

SINGLE = GroupingOptions(progressive_unit="keypoint")


def row(*types: list[float], values: float = 0.5) -> Candidates:
    """Make candidates with 1-d tags, one list a keypoint type."""
    count = max(len(tags) for tags in types)
    table = np.zeros((len(types), count, 1), np.float32)
    heat = np.zeros((len(types), count), np.float32)
    for k, tags in enumerate(types):
        table[k, : len(tags), 0], heat[k, : len(tags)] = tags, values
    return Candidates(np.zeros((len(types), count, 2), np.int64), heat, table)


def test_the_nearest_keypoint_comes_next_whatever_its_type() -> None:
    steps = progressive_steps(row([0.0, 5.0], [0.3, 5.1], [0.2, 5.4]), SINGLE)
    assert [step.keypoint for step in steps] == [0, 1, 2, 1, 2]
    assert [step.people.tolist() for step in steps] == [[0, 1], [1], [0], [0], [1]]
    # References follow each keypoint: 5.05 after the first, 0.1 after the second.
    np.testing.assert_allclose(steps[2].references[:, 0], [0, 5.05], atol=1e-6)
    np.testing.assert_allclose(steps[3].references[:, 0], [0.1, 5.05], atol=1e-6)
    np.testing.assert_allclose(steps[1].distances, [np.nan, 0.1, 0.2], atol=1e-6)
    assert [step.started.any() for step in steps] == [True, False, False, False, False]


def test_what_is_near_nobody_starts_a_person_the_best_first() -> None:
    candidates = row([0.0], [3.0], [3.5])
    candidates.values[2] = 0.9
    steps = progressive_steps(candidates, SINGLE)
    assert [step.keypoint for step in steps] == [0, 2, 1]
    assert [step.started.tolist() for step in steps] == [[True], [True], [False]]


@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_groups_equal_a_slow_reference(limit: int | None, threshold: float) -> None:
    options = GroupingOptions(
        progressive_unit="keypoint", max_people=limit, tag_threshold=threshold
    )
    for seed in range(80):
        scene = confused_scene(seed)
        found = as_sets(group_progressive(scene, options))
        assert found == slow_keypoint_groups(scene, options), seed


def test_nothing_gives_nobody() -> None:
    empty = Candidates(
        np.zeros((4, 3, 2), np.int64), np.zeros((4, 3), np.float32), np.zeros((4, 3, 2), np.float32)
    )
    assert progressive_steps(empty, SINGLE) == ()
    assert group_progressive(empty, SINGLE).members.shape == (0, 4)


@pytest.mark.parametrize("size", [1e8, 1e30, 3e38])
def test_huge_tags_do_not_raise(size: float) -> None:
    scene = confused_scene(4)
    huge = Candidates(scene.cells, scene.values, scene.tags * np.float32(size / 10))
    found = as_sets(group_progressive(huge, SINGLE))
    assert sum(map(len, found)) == scene.valid(SINGLE).sum()


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="progressive_unit must be 'type' or 'keypoint', not 'x'"):
        GroupingOptions(progressive_unit="x")  # type: ignore[arg-type]
