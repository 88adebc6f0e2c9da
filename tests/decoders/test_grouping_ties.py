"""Which of several assignments of equal cost is taken, and how many people are compared."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest

from poselib.decoders.grouping import Candidates, GroupingOptions, TieRule, assign_candidates
from poselib.decoders.keypoint_order import group_fixed_order
from poselib.decoders.progressive import group_progressive
from tests.references.plain_grouping import as_sets, confused_scene, slow_groups

RULES = get_args(TieRule)


def assigned(tags: list[float], people: list[float], rule: TieRule, sizes: list[int]) -> list[int]:
    return assign_candidates(
        np.array(tags)[:, None],
        np.linspace(0.9, 0.8, len(tags)).astype(np.float32),
        np.array(people)[:, None],
        GroupingOptions(tie_rule=rule),
        np.array(sizes, float),
    ).tolist()


@pytest.mark.parametrize(("rule", "wanted"), [("oldest", [0]), ("nearest", [2]), ("largest", [1])])
def test_one_candidate_within_rounding_of_three_people(rule: TieRule, wanted: list[int]) -> None:
    assert assigned([0.4], [0.0, 0.1, 0.39], rule, [3, 5, 1]) == wanted


@pytest.mark.parametrize("rule", RULES)
def test_ties_never_outweigh_the_rounded_distance(rule: TieRule) -> None:
    assert assigned([0.6], [0.0, 0.2], rule, [9, 1]) == [1]
    assert assigned([0.6], [0.2, 0.0], rule, [1, 9]) == [0]


@pytest.mark.parametrize("rule", RULES)
def test_of_equally_preferred_people_the_nearest(rule: TieRule) -> None:
    # Both people are taken in any case: their ages and sizes have one sum.
    assert assigned([0.3, 0.1], [0.05, 0.35], rule, [4, 2]) == [1, 0]
    assert assigned([0.1, 0.3], [0.05, 0.35], rule, [4, 2]) == [0, 1]


def fragment_scene() -> Candidates:
    """One person with tag 0; type 6 has a second peak of tag 0.8, and type 7 lies at 0.45."""
    values, tags = np.zeros((9, 2), np.float32), np.zeros((9, 2, 1), np.float32)
    values[:, 0], values[6, 1] = 0.9, 0.8
    tags[6, 1], tags[7, 0] = 0.8, 0.45
    return Candidates(np.zeros((9, 2, 2), np.int64), values, tags)


@pytest.mark.parametrize(
    ("rule", "wanted"), [("oldest", [9, 1]), ("largest", [9, 1]), ("nearest", [8, 2])]
)
def test_keypoints_stay_with_whole_people(rule: TieRule, wanted: list[int]) -> None:
    """The official code leaves type 7 with the eight other keypoints of its person."""
    groups = group_progressive(fragment_scene(), GroupingOptions(tie_rule=rule))
    assert (groups.members >= 0).sum(axis=1).tolist() == wanted


OPTIONS = [
    GroupingOptions(
        tie_rule=rule,
        round_distance=rounded,
        threshold_before_assignment=before,
        max_people=limit,
    )
    for rule, rounded, before, limit in product(RULES, (True, False), (True, False), (None, 2))
    if rounded or rule == "oldest"
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, vars(o).values())))
def test_groups_equal_an_exhaustive_reference(options: GroupingOptions) -> None:
    for seed in range(40):
        scene = confused_scene(seed)
        fixed = group_fixed_order(scene, range(len(scene.values)), options)
        assert as_sets(fixed) == slow_groups(scene, False, options), seed
        assert as_sets(group_progressive(scene, options)) == slow_groups(scene, True, options), seed


def test_rules_differ() -> None:
    found = [
        [
            frozenset(
                as_sets(group_progressive(confused_scene(seed), GroupingOptions(tie_rule=rule)))
            )
            for seed in range(40)
        ]
        for rule in RULES
    ]
    pairs = ((0, 1), (0, 2), (1, 2))
    assert all(sum(a != b for a, b in zip(found[i], found[j], strict=True)) > 2 for i, j in pairs)


@pytest.mark.parametrize("rule", RULES)
def test_without_rounding_the_rule_plays_no_part(rule: TieRule) -> None:
    exact = GroupingOptions(round_distance=False)
    for seed in range(40):
        scene = confused_scene(seed)
        wanted = as_sets(group_progressive(scene, exact))
        assert as_sets(group_progressive(scene, replace(exact, tie_rule=rule))) == wanted


def test_people_beyond_the_limit_gain_no_keypoints() -> None:
    tags = np.arange(4, dtype=np.float32)[None, :, None] * 3 + np.zeros((5, 1, 1), np.float32)
    scene = Candidates(np.zeros((5, 4, 2), np.int64), np.ones((5, 4), np.float32), tags)
    for limit, wanted in ((None, [5] * 4), (4, [5] * 4), (2, [5, 5, *[1] * 10])):
        groups = group_progressive(scene, GroupingOptions(max_people=limit))
        assert (groups.members >= 0).sum(axis=1).tolist() == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_people": 0}, "max_people must be at least 1, not 0"),
        ({"tie_rule": "youngest"}, "tie_rule must be one of .*'oldest'.*, not 'youngest'"),
    ],
)
def test_invalid_options_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupingOptions(**changes)
