"""Both groupings against goldens, and properties they must have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from poselib.decoders.grouping import (
    Candidates,
    GroupingOptions,
    Groups,
    assign_candidates,
    collect_groups,
)
from poselib.decoders.keypoint_order import fixed_order_steps, group_fixed_order
from poselib.decoders.progressive import group_progressive, progressive_steps
from tests.references.plain_grouping import as_sets, confused_scene

Group = Callable[[Candidates, GroupingOptions], Groups]


def fixed_order(candidates: Candidates, options: GroupingOptions) -> Groups:
    return group_fixed_order(candidates, range(len(candidates.values)), options)


METHODS = pytest.mark.parametrize("group", [fixed_order, group_progressive])


def distinct_scene(people: int, seed: int) -> tuple[Candidates, set[frozenset[tuple[int, int]]]]:
    """People 3 apart in tag space, keypoints missing at random, candidates in random order."""
    rng = np.random.default_rng(seed)
    present = rng.random((people, 17)) < rng.uniform(0.1, 1)
    present[np.arange(people), rng.integers(17, size=people)] = True
    count = people + 3
    values = np.full((17, count), 0.05, np.float32)
    tags = rng.normal(size=(17, count, 2)).astype(np.float32)
    truth: list[list[tuple[int, int]]] = [[] for _ in range(people)]
    for k in range(17):
        places = rng.permutation(count)
        for person in np.flatnonzero(present[:, k]):
            m = int(places[person])
            truth[person].append((k, m))
            values[k, m] = rng.uniform(0.2, 1)
            tags[k, m] = 3 * person + rng.uniform(-0.3, 0.3, 2)
    cells = rng.integers(0, 100, (17, count, 2))
    return Candidates(cells, values, tags), {frozenset(person) for person in truth}


@METHODS
@pytest.mark.parametrize("round_distance", [True, False])
@pytest.mark.parametrize("people", [1, 2, 5, 13, 30, 31, 60])
def test_well_separated_people_are_recovered(
    group: Group, people: int, round_distance: bool
) -> None:
    options = GroupingOptions(round_distance=round_distance)
    for seed in range(4):
        scene, truth = distinct_scene(people, seed)
        assert as_sets(group(scene, options)) == truth


@METHODS
def test_order_of_candidates_does_not_matter(group: Group) -> None:
    for seed in range(30):
        scene = confused_scene(seed)
        rng = np.random.default_rng(seed)
        order = rng.permuted(np.tile(np.arange(5), (len(scene.values), 1)), axis=1)
        k = np.arange(len(scene.values))[:, None]
        shuffled = Candidates(scene.cells[k, order], scene.values[k, order], scene.tags[k, order])
        again = as_sets(group(shuffled, GroupingOptions()))
        named = {frozenset((k, int(order[k, m])) for k, m in person) for person in again}
        assert named == as_sets(group(scene, GroupingOptions()))


@METHODS
def test_shift_of_all_tags_does_not_matter(group: Group) -> None:
    for seed in range(30):
        scene = confused_scene(seed)
        moved = Candidates(scene.cells, scene.values, scene.tags + np.float32(8))
        assert as_sets(group(moved, GroupingOptions())) == as_sets(group(scene, GroupingOptions()))


@METHODS
def test_each_candidate_belongs_to_one_person(group: Group) -> None:
    for seed in range(30):
        scene = confused_scene(seed)
        groups = group(scene, GroupingOptions())
        kept = [pair for person in as_sets(groups) for pair in person]
        wanted = [(int(k), int(m)) for k, m in np.argwhere(scene.valid(GroupingOptions()))]
        assert sorted(kept) == sorted(wanted)


@METHODS
def test_references_are_mean_tags(group: Group) -> None:
    scene = confused_scene(5)
    groups = group(scene, GroupingOptions())
    for row, reference in zip(groups.members, groups.references, strict=True):
        tags = [scene.tags[k, row[k]] for k in np.flatnonzero(row >= 0)]
        np.testing.assert_allclose(reference, np.mean(tags, axis=0), rtol=1e-6)


@METHODS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nonfinite_candidates_are_dropped(group: Group, bad: float) -> None:
    scene, truth = distinct_scene(4, seed=1)
    values, tags = scene.values.copy(), scene.tags.copy()
    values[0, :3] = bad
    tags[1, :3, 1] = bad
    tags[2] = bad
    dropped = {(0, m) for m in range(3)} | {(1, m) for m in range(3)} | {(2, m) for m in range(7)}
    groups = group(Candidates(scene.cells, values, tags), GroupingOptions())
    assert as_sets(groups) == {person - dropped for person in truth} - {frozenset()}


@METHODS
@pytest.mark.parametrize("size", [1e8, 1e30, 3e38])
def test_huge_tags_and_values_do_not_raise(group: Group, size: float) -> None:
    scene = confused_scene(4)
    values = np.where(scene.values > 0.5, size, scene.values).astype(np.float32)
    huge = Candidates(scene.cells, values, scene.tags * np.float32(size / 10))
    assert as_sets(group(huge, GroupingOptions()))


@METHODS
@pytest.mark.parametrize("count", [0, 6])
def test_no_candidates_give_no_people(group: Group, count: int) -> None:
    nothing = Candidates(
        np.zeros((4, count, 2), np.int64),
        np.zeros((4, count), np.float32),
        np.zeros((4, count, 2), np.float32),
    )
    groups = group(nothing, GroupingOptions())
    assert groups.members.shape == (0, 4)
    assert groups.references.shape == (0, 2)


def test_threshold_before_assignment_by_hand() -> None:
    references, tags = np.array([[0.0], [6.0]]), np.array([[0.6], [-2.4]])
    values = np.array([0.9, 0.9], np.float32)
    # 0.6 to 6 and -2.4 to 0 cost 5 + 2, 0.6 to 0 and -2.4 to 6 cost 1 + 8; only 0.6 to 0 is near.
    for before, wanted in ((True, [0, -1]), (False, [-1, -1])):
        people = assign_candidates(
            tags,
            values,
            references,
            GroupingOptions(threshold_before_assignment=before),
        )
        assert people.tolist() == wanted


def test_higher_candidate_wins_the_only_person() -> None:
    references, tags = np.zeros((1, 1)), np.array([[0.1], [0.3]])
    values = np.array([0.4, 0.8], np.float32)
    assert assign_candidates(tags, values, references, GroupingOptions()).tolist() == [-1, 0]
    plain = GroupingOptions(round_distance=False)
    assert assign_candidates(tags, values, references, plain).tolist() == [0, -1]


def test_tag_threshold_is_exclusive() -> None:
    one = np.ones(1, np.float32)
    for tag, person in ((0.999, 0), (1.0, -1), (1.5, -1)):
        people = assign_candidates(np.array([[tag]]), one, np.zeros((1, 1)), GroupingOptions())
        assert people.tolist() == [person]


def test_steps_add_up_to_the_groups() -> None:
    scene, _ = distinct_scene(6, seed=3)
    options = GroupingOptions()
    for steps, group in (
        (progressive_steps(scene, options), group_progressive),
        (fixed_order_steps(scene, range(17), options), fixed_order),
    ):
        assert (
            sorted(s.keypoint for s in steps)
            == np.flatnonzero(scene.valid(options).any(axis=1)).tolist()
        )
        people = 0
        for step in steps:
            assert len(step.references) == people
            assert (step.people[step.started] == people + np.arange(step.started.sum())).all()
            np.testing.assert_array_equal(step.cells, scene.cells[step.keypoint, step.candidates])
            people += int(step.started.sum())
        np.testing.assert_array_equal(
            collect_groups(steps, scene).members, group(scene, options).members
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [("detection_threshold", -0.1), ("tag_threshold", float("nan")), ("max_candidates", 0)],
)
def test_invalid_options_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        GroupingOptions(**{field: value})
