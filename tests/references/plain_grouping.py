"""Grouping with plain lists of people and every matching tried: slow, and easy to believe."""

from __future__ import annotations

from functools import cache

import numpy as np

from poselib.decoders.grouping import Candidates, GroupingOptions, Groups

Person = frozenset[tuple[int, int]]  # keypoint types and candidates


def slow_groups(candidates: Candidates, progressive: bool, options: GroupingOptions) -> set[Person]:
    """Group one keypoint type after another, in their order or the nearest first."""
    return {frozenset(person) for person in slow_people(candidates, progressive, options)}


def slow_people(
    candidates: Candidates, progressive: bool, options: GroupingOptions
) -> list[list[tuple[int, int]]]:
    """Return the people of ``slow_groups``, in the order in which they were started."""
    detections = {
        k: sorted(np.flatnonzero(v > options.detection_threshold), key=lambda m, v=v: -v[m])
        for k, v in enumerate(candidates.values)
    }
    detections = {k: entries for k, entries in detections.items() if entries}
    people: list[list[tuple[int, int]]] = []
    while detections:
        known = people[: options.max_people]
        means = [
            np.mean([candidates.tags[k, m].astype(float) for k, m in person], axis=0)
            for person in known
        ]

        def distance(k: int, m: int, mean: np.ndarray) -> float:
            return float(np.sqrt(((candidates.tags[k, m].astype(float) - mean) ** 2).sum()))

        k = min(detections)
        if progressive and people:
            k = min(
                detections,
                key=lambda k: (min(distance(k, m, t) for m in detections[k] for t in means), k),
            )
        entries = detections.pop(k)
        d = np.array([[distance(k, m, mean) for mean in means] for m in entries])
        d = d.reshape(len(entries), len(means))
        values = candidates.values[k, entries].astype(float)
        matched = best_matching(d, values, [len(person) for person in known], options)
        for m, column in zip(entries, matched, strict=True):
            if column < 0:
                people.append([])
            people[column].append((k, int(m)))
    return people


def slow_keypoint_groups(candidates: Candidates, options: GroupingOptions) -> set[Person]:
    """Group one keypoint at a time, the nearest to a person who lacks it."""
    left = [(int(k), int(m)) for k, m in np.argwhere(candidates.valid(options))]
    left.sort(key=lambda pair: (pair[0], -candidates.values[pair]))
    people = [[pair] for pair in left if pair[0] == left[0][0]]
    left = left[len(people) :]
    while left:
        near = []
        for n, person in enumerate(people[: options.max_people]):
            mean = np.mean([candidates.tags[pair].astype(float) for pair in person], axis=0)
            lacking = [pair for pair in left if pair[0] not in {k for k, _ in person}]
            near += [
                (np.linalg.norm(candidates.tags[p].astype(float) - mean), p, n) for p in lacking
            ]
        distance, pair, n = min(near, default=(np.inf, left[0], 0))
        if distance < options.tag_threshold:
            people[n].append(pair)
        else:
            pair = max(left, key=lambda pair: candidates.values[pair])
            people.append([pair])
        left.remove(pair)
    return {frozenset(person) for person in people}


def best_matching(
    d: np.ndarray, values: np.ndarray, sizes: list[int], options: GroupingOptions
) -> list[int]:
    """Compare the sums of all matchings: of near pairs or all, the cost, and what decides ties.

    Args:
        d: (n, P) distances of candidates to people, the oldest first.
        values: (n,) of the candidates.
        sizes: how many keypoints each person has.
        options: threshold, cost and tie rule.
    """
    near = d < options.tag_threshold
    allowed = near if options.threshold_before_assignment else np.ones_like(near)
    rounded = 100 * np.round(d) - values[:, None]
    rank = {
        "oldest": range(len(sizes)),
        "largest": [-s for s in sizes],
        "nearest": [0] * len(sizes),
    }

    @cache
    def best(row: int, used: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        if row == len(d):
            return (0.0, 0.0, 0.0, 0.0), ()
        total, rest = best(row + 1, used)
        found = [(total, (-1, *rest))]
        for column in np.flatnonzero(allowed[row]):
            if used >> int(column) & 1:
                continue
            total, rest = best(row + 1, used | 1 << int(column))
            apart = d[row, column] ** 2 / (1 + d[row, column] ** 2)
            costs = (rounded[row, column], rank[options.tie_rule][column], apart)
            if not options.round_distance:
                costs = (d[row, column], apart, 0.0)
            summed = (total[0] - 1, *(t + c for t, c in zip(total[1:], costs, strict=True)))
            found.append((summed, (int(column), *rest)))
        # Sums of one cost in another order differ by their rounding alone.
        return min(found, key=lambda f: tuple(round(x, 9) for x in f[0]))

    matched = best(0, 0)[1]
    return [c if c >= 0 and near[row, c] else -1 for row, c in enumerate(matched)]


def as_sets(groups: Groups) -> set[Person]:
    """Return each person as the set of its candidates."""
    people = [
        frozenset((int(k), int(row[k])) for k in np.flatnonzero(row >= 0)) for row in groups.members
    ]
    assert len(set(people)) == len(people)
    return set(people)


def confused_scene(seed: int) -> Candidates:
    """Make random candidates of few people whose tags overlap."""
    rng = np.random.default_rng(seed)
    keypoints, people, length = int(rng.integers(1, 6)), int(rng.integers(1, 5)), seed % 3 + 1
    tags = rng.normal(size=(people, length))[rng.integers(people, size=(keypoints, 5))]
    tags = (tags + rng.normal(scale=0.4, size=tags.shape)).astype(np.float32)
    values = rng.uniform(-0.2, 1, (keypoints, 5)).astype(np.float32)
    return Candidates(rng.integers(0, 50, (keypoints, 5, 2)), values, tags)
