"""Groupings against the published answers, wherever these are not a matter of ties or limits.

Left out of the exact comparison are answers of which several have the same cost: the published one
is then the tie break of one implementation of the Hungarian algorithm, and it is only checked that
it is among the optimal ones. So are those with as many people as the published limit, and those
where the published code raises: on a type without candidates, if all others are far from everyone.
There people must be found, and no keypoint may be lost.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poselib.decoders.grouping import Candidates, GroupingOptions, Groups, assign_candidates
from poselib.decoders.keypoint_order import group_fixed_order
from poselib.decoders.progressive import group_progressive
from tests.decoders.official_grouping import (
    MAX_PEOPLE,
    OPTIONS,
    Step,
    as_rows,
    golden_cases,
    is_comparable,
    published_order,
    replay,
)


def grouped(method: str, candidates: Candidates, options: GroupingOptions) -> Groups:
    order = published_order(method, len(candidates.values))
    if order is None:
        return group_progressive(candidates, options)
    return group_fixed_order(candidates, order, options)


def published_steps(arrays_dir: Path) -> list[Step]:
    steps: list[Step] = []
    for _, method, candidates, out in golden_cases(arrays_dir):
        if out is not None and 0 < len(out) < MAX_PEOPLE:
            steps += replay(candidates, out, published_order(method, len(candidates.values)))
    return steps


@pytest.mark.golden
@pytest.mark.parametrize("before", [True, False])
def test_groups_equal_the_goldens_where_the_optimum_is_unique(
    arrays_dir: Path, before: bool
) -> None:
    compared = 0
    for case, method, candidates, out in golden_cases(arrays_dir):
        order = published_order(method, len(candidates.values))
        if out is None or not is_comparable(candidates, out, order, before):
            continue
        groups = grouped(method, candidates, GroupingOptions(threshold_before_assignment=before))
        rows = as_rows(candidates, groups.members)
        wanted = out.reshape(-1, *rows.shape[1:])
        np.testing.assert_array_equal(rows, wanted, err_msg=f"case {case['case']} {method}")
        compared += len(wanted) > 0
    assert compared


@pytest.mark.golden
def test_groups_where_the_official_code_raises(arrays_dir: Path) -> None:
    for case, method, candidates, _ in golden_cases(arrays_dir):
        if not case[method]["error"]:
            continue
        valid = candidates.valid(GroupingOptions())
        assert method == "pad" and not valid.any(axis=1).all(), "why it raises"
        groups = grouped(method, candidates, GroupingOptions())
        assert len(groups.members) >= valid.sum(axis=1).max()
        assert (groups.members >= 0).sum() == valid.sum()


@pytest.mark.golden
def test_official_groups_are_among_the_optimal_ones(arrays_dir: Path) -> None:
    """In the state that each step found, the people that it joined are a matching of least cost."""
    steps = published_steps(arrays_dir)
    assert steps and all(step.is_optimal() for step in steps)


@pytest.mark.golden
def test_the_oldest_people_first_is_what_the_official_code_does(arrays_dir: Path) -> None:
    """Where one candidate has the choice.

    Where several have, its Hungarian algorithm prefers those that come first; that is left to the
    distances here, and the rule agrees more often than that of the nearest.
    """
    equal = dict.fromkeys(("oldest", "nearest"), 0)
    for step in published_steps(arrays_dir):
        for rule in equal:
            ruled = replace(OPTIONS, tie_rule=rule)  # type: ignore[arg-type]
            people = assign_candidates(step.tags, step.values, step.references, ruled)
            same = np.array_equal(people, step.column)
            equal[rule] += same
            assert same or rule != "oldest" or len(step.column) > 1
    assert equal["oldest"] >= equal["nearest"]
