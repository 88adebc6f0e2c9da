r"""Walk through the grouping of one image, and compare two groupings of it.

.. math::
    d_k = \min_{m, n} \lVert t_{km} - \bar t_n \rVert

is the distance of keypoint type k to the people before each step (HAE, Eq. 18).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from poselib.decoders.associative import AssociativeOptions, trace_associative
from poselib.decoders.grouping import GroupingOptions
from poselib.metrics.matching import assign_one_to_one
from poselib.outputs import TagOutputs
from poselib.plots.grouping import reference_paths
from poselib.structures import GroupingStep, Poses
from poselib.typing import BoolArray, FloatArray, IntArray
from poselib.wording import counted


class NearestPair(NamedTuple):
    """A keypoint of a type that waits for its step, and the person whose tag is nearest.

    Attributes:
        owner: the person whom the keypoint joins in the end.
        reference: the person who is nearest; a keypoint may join another one.
        distance: between the keypoint's tag and that person's reference embedding.
        waiting: how many keypoints of the type wait.
    """

    owner: int
    reference: int
    distance: float
    waiting: int


@dataclass(frozen=True)
class AssociationWalk:
    """How the keypoints of one image became P people.

    Attributes:
        options: of the decoding.
        steps: of the grouping, S of them.
        poses: the result, px of the network input.
        step_of: (P, K) int64, the step, from 0, in which a person got a keypoint; S for those
            that refinement added, -1 for those that it lacks.
        tags: (P, K, L) of grouped keypoints; NaN for the others.
        references: (S, P, L) reference embeddings after each step; NaN before a person starts.
        distances: (S, K) distance of each type to the people before each step (HAE, Eq. 18); NaN
            for types that are grouped or absent, and in the first step.
    """

    options: AssociativeOptions
    steps: tuple[GroupingStep, ...]
    poses: Poses
    step_of: IntArray
    tags: FloatArray
    references: FloatArray
    distances: FloatArray

    @cached_property
    def nearest(self) -> dict[tuple[int, int], NearestPair]:
        """By step and type, what is nearest before the step, where ``distances`` has a value."""
        cells = np.argwhere(np.isfinite(self.distances)).tolist()
        return {(step, keypoint): self._nearest(step, keypoint) for step, keypoint in cells}

    def _nearest(self, step: int, keypoint: int) -> NearestPair:
        """Return the keypoint of a type that waits and the person whom it is nearest to."""
        grouping, taken = self.options.grouping, self.step_of[:, keypoint]
        (waiting,) = np.nonzero((taken >= step) & (taken < len(self.steps)))
        references = self.steps[step].references[: grouping.max_people]
        apart = cdist(self.tags[waiting, keypoint], references)
        if grouping.progressive_unit == "keypoint":  # people who have one get no other
            had = taken[: len(references)]
            apart[:, (had >= 0) & (had < step)] = np.inf
        row, reference = np.unravel_index(apart.argmin(), apart.shape)
        distance = float(apart[row, reference])
        return NearestPair(int(waiting[row]), int(reference), distance, len(waiting))

    @property
    def length(self) -> int:
        """How many steps there are, with refinement as the last if it added a keypoint."""
        return len(self.steps) + int((self.step_of == len(self.steps)).any())

    def after(self, count: int) -> Poses:
        """Return the poses after the first steps; people who have not started lack all."""
        there = (self.step_of >= 0) & (self.step_of < count)
        keypoints = np.where(there[..., None], self.poses.keypoints, np.float32(0))
        scores = np.where(there, self.poses.scores, np.float32(0))
        return replace(self.poses, keypoints=keypoints, scores=scores)


def walk_association(
    outputs: TagOutputs,
    options: AssociativeOptions | None = None,
    kept: dict[Any, Any] | None = None,
) -> AssociationWalk:
    """Decode the outputs of one image and keep every step.

    Args:
        outputs: of one image.
        options: defaults to ``AssociativeOptions()``.
        kept: see ``trace_associative``.
    """
    options = options or AssociativeOptions()
    steps, poses = trace_associative(outputs, options, kept)
    step_of = np.where(poses.found, len(steps), -1)
    tags = np.full((*step_of.shape, outputs.tags.shape[2]), np.nan)
    for number, step in enumerate(steps):
        step_of[step.people, step.keypoint] = number
        tags[step.people, step.keypoint] = step.tags
    paths = reference_paths(steps) if steps else np.zeros((0, len(poses), tags.shape[2]))
    distances = step_distances(steps, step_of.shape[1], options.grouping)
    return AssociationWalk(options, steps, poses, step_of, tags, paths, distances)


def step_distances(
    steps: Sequence[GroupingStep], keypoints: int, options: GroupingOptions
) -> FloatArray:
    """Return the distance of each remaining keypoint type to the people, before each step.

    Those of a progressive grouping are as it recorded them; those of a fixed order, which needs
    none, show what it passes by.

    Returns:
        (S, K), as ``AssociationWalk.distances``.
    """
    table = np.full((len(steps), keypoints), np.nan)
    for number, step in enumerate(steps):
        if np.isfinite(step.distances).any():
            table[number] = step.distances
        elif options.progressive_unit == "type" and len(step.references):
            for later in steps[number:]:
                apart = cdist(later.tags, step.references[: options.max_people]).min(axis=1)
                reduced = apart.min() if options.distance_reduction == "min" else apart.mean()
                table[number, later.keypoint] = reduced
    return table


@dataclass(frozen=True)
class PoseDifferences:
    """What differs between two sets of poses of one image, of P and of Q people.

    Attributes:
        numbers: (Q,) int64, a number for each person of the second: that of the person of the
            first who shares most keypoints with it, or one from P on.
        moved: (P, K) and (Q, K), true for keypoints that belong to another person in the other.
        alone: (P, K) and (Q, K), true for keypoints that the other does not have.
        shared: how many keypoints are in both.
    """

    numbers: IntArray
    moved: tuple[BoolArray, BoolArray]
    alone: tuple[BoolArray, BoolArray]
    shared: int

    def __str__(self) -> str:
        moved = int(self.moved[0].sum())
        missing, new = (int(each.sum()) for each in self.alone)
        if not moved + missing + new:
            return f"all {counted(self.shared, 'keypoint')} are of the same people"
        went = f"{moved} of {counted(self.shared, 'keypoint')} went to another person"
        counts = {"missing": missing, "new": new}
        parts = [f"{n} {'is' if n == 1 else 'are'} {what}" for what, n in counts.items() if n]
        return f"{went}, {' and '.join(parts)}" if parts else went


def compare_poses(
    first: Poses, second: Poses, distance: float, min_score: float = 0.0
) -> PoseDifferences:
    """Compare two decodings of the same outputs, keypoint by keypoint.

    Args:
        distance: px within which two keypoints of a type are the same detection.
        min_score: keypoints that do not score more do not count.
    """
    there = first.scores > max(min_score, 0.0), second.scores > max(min_score, 0.0)
    pairs: list[tuple[int, int, int]] = []
    for k in range(first.keypoints.shape[1]):
        mine, others = (np.flatnonzero(each[:, k]) for each in there)
        apart = cdist(first.keypoints[mine, k], second.keypoints[others, k])
        cost = np.where(apart <= distance, apart / max(distance, 1e-9), 1e6)
        for row, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[row, column] <= 1:
                pairs.append((int(mine[row]), int(others[column]), k))
    common = np.zeros((len(second), len(first)))
    for n, m, _ in pairs:
        common[m, n] += 1
    partners = assign_one_to_one(common)
    numbers = np.where(partners >= 0, partners, len(first) + np.arange(len(second)))
    moved = np.zeros_like(there[0]), np.zeros_like(there[1])
    alone = there[0].copy(), there[1].copy()
    for n, m, k in pairs:
        moved[0][n, k] = moved[1][m, k] = numbers[m] != n
        alone[0][n, k] = alone[1][m, k] = False
    return PoseDifferences(numbers, moved, alone, len(pairs))
