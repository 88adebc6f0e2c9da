"""What every grouping of keypoints by their tags shares: candidates, steps and the matching.

All groupings visit the keypoint types one after another, compare the tags of a type's candidates
with the reference embedding of every person found so far (the mean tag of its keypoints, HAE,
Eq. 6), and match them by the Hungarian algorithm; who matches nobody starts a person. They differ
in the order of the types alone, which a ``NextType`` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from poselib.typing import FloatArray, IntArray

DistanceReduction = Literal["min", "mean"]
# (reference embeddings (P, L), keypoint types left) -> (next type, ``GroupingStep.distances``)
NextType = Callable[[FloatArray, Sequence[int]], tuple[int, FloatArray]]

# Weight of the exact distance: it decides only between matchings that cost the same without.
_TIE_BREAK = 1e-6
# Farther than any tag that means something; what is farther still counts as this far.
_FAR = 1e12


@dataclass(frozen=True)
class GroupingOptions:
    """How candidates are told from noise and matched to people.

    Attributes:
        detection_threshold: a peak must exceed this heat to be a candidate; not negative.
        tag_threshold: a candidate this far from a person's reference embedding, or farther,
            does not join it.
        max_candidates: peaks kept per keypoint type. The number of people is not limited.
        round_distance: cost of a match. True: ``100 * round(distance) - heat``, what the published
            code minimizes; the exact distance decides between matchings of equal cost. False:
            the distance alone, as the paper has it (HAE, Eq. 18).
        threshold_before_assignment: when ``tag_threshold`` applies. True: before the assignment, so
            that as many candidates as possible find a person. False: after it, as in the published
            code, where a pair that is too far can take the place of a near one and people fall
            apart.
        distance_reduction: how near a keypoint type is to the people, for progressive grouping.
            ``"min"``: as its nearest candidate, HAE's Eq. (18) and the published code. ``"mean"``:
            as its candidates on average, each to its nearest person; in a crowd nearly every type
            has some candidate that lies on a person's tag by chance.

    Raises:
        ValueError: a threshold is negative or not finite, ``max_candidates`` is below 1, or
            ``distance_reduction`` is unknown.
    """

    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    max_candidates: int = 30
    round_distance: bool = True
    threshold_before_assignment: bool = True
    distance_reduction: DistanceReduction = "min"

    def __post_init__(self) -> None:
        for name in ("detection_threshold", "tag_threshold"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number, not negative: {value}")
        if self.max_candidates < 1:
            raise ValueError(f"max_candidates must be at least 1, not {self.max_candidates}")
        if self.distance_reduction not in ("min", "mean"):
            raise ValueError(
                f"distance_reduction must be 'min' or 'mean', not {self.distance_reduction!r}"
            )


@dataclass(frozen=True)
class Candidates:
    """The peaks of one image's heatmaps and their tags.

    Attributes:
        cells: (K, M, 2) int64, (column, row) in the decoded maps.
        values: (K, M) float32, heat.
        tags: (K, M, L) float32.
    """

    cells: IntArray
    values: NDArray[np.float32]
    tags: NDArray[np.float32]

    def valid(self, options: GroupingOptions) -> NDArray[np.bool_]:
        """(K, M) true for detections; one with a heat or tag that is not finite is dropped."""
        # In float64: a float32 heat of 0.1 does exceed the number 0.1.
        detected = self.values.astype(np.float64) > options.detection_threshold
        return detected & np.isfinite(self.values) & np.isfinite(self.tags).all(axis=-1)


@dataclass(frozen=True)
class GroupingStep:
    """One iteration: a keypoint type's n candidates find their people.

    Attributes:
        keypoint: the type that was grouped.
        candidates: (n,) which of the type's M candidates took part.
        cells: (n, 2) int64, (column, row) in the decoded maps.
        tags: (n, L) float64.
        references: (P, L) float64, reference embeddings before this step.
        people: (n,) int64, the person each candidate went to; P and above are new.
        started: (n,) bool, true where the candidate started a person.
        distances: (K,) float64, distance of each type to the references, what progressive
            grouping chooses by (HAE, Eq. 18, and ``GroupingOptions.distance_reduction``); NaN for
            types that are done or absent, in the first step, and in groupings of fixed order.
    """

    keypoint: int
    candidates: IntArray
    cells: IntArray
    tags: FloatArray
    references: FloatArray
    people: IntArray
    started: NDArray[np.bool_]
    distances: FloatArray


@dataclass(frozen=True)
class Groups:
    """People as sets of candidates, in the order in which they were started.

    Attributes:
        members: (P, K) int64, the number of the candidate, or -1 where the keypoint is missing.
        references: (P, L) float64, mean tag of each person's keypoints.
    """

    members: IntArray
    references: FloatArray


def grouping_steps(
    candidates: Candidates, choose: NextType, options: GroupingOptions
) -> Iterator[GroupingStep]:
    """Group one keypoint type after another, in the order that ``choose`` decides.

    Types without a valid candidate are never offered to ``choose``.
    """
    valid = candidates.valid(options)
    remaining = [int(k) for k in np.flatnonzero(valid.any(axis=1))]
    sums, counts = np.zeros((0, candidates.tags.shape[-1])), np.zeros((0, 1))
    while remaining:
        references = sums / counts
        keypoint, distances = choose(references, remaining)
        remaining.remove(keypoint)
        chosen = np.flatnonzero(valid[keypoint])
        tags = candidates.tags[keypoint, chosen].astype(np.float64)
        people = match_people(tags, candidates.values[keypoint, chosen], references, options)
        started = people < 0
        count = np.count_nonzero(started)
        people[started] = len(sums) + np.arange(count)
        sums = np.concatenate([sums, np.zeros((count, sums.shape[1]))])
        counts = np.concatenate([counts, np.zeros((count, 1))])
        sums[people] += tags
        counts[people] += 1
        yield GroupingStep(
            keypoint=keypoint,
            candidates=chosen,
            cells=candidates.cells[keypoint, chosen],
            tags=tags,
            references=references,
            people=people,
            started=started,
            distances=distances,
        )


def match_people(
    tags: FloatArray, values: NDArray[np.float32], references: FloatArray, options: GroupingOptions
) -> IntArray:
    """Match the candidates of one keypoint type to people at the least total cost.

    Args:
        tags: (n, L) float64.
        values: (n,) heat.
        references: (P, L) float64.
        options: threshold and cost.

    Returns:
        (n,) int64, the matched person or -1; no person is matched twice.
    """
    people = np.full(len(tags), -1, dtype=np.int64)
    if len(references) == 0:
        return people
    distances = np.minimum(cdist(tags, references), _FAR)
    near = distances < options.tag_threshold
    cost = distances
    if options.round_distance:
        cost = 100 * np.round(distances) - values[:, None]
    # Bounded, and curved: sums of plain distances are often equal where tags are numbers (L = 1).
    cost = cost + _TIE_BREAK * distances**2 / (1 + distances**2)
    if options.threshold_before_assignment and not near.all():
        # Dearer than all acceptable pairs together: as many of these as possible are made.
        fair = cost[near] if near.any() else np.zeros(1)
        cost[~near] = (np.ptp(fair) + 1) * (len(tags) + 1) + fair.max()
    rows, columns = linear_sum_assignment(cost)
    joined = near[rows, columns]
    people[rows[joined]] = columns[joined]
    return people


def collect_groups(steps: Iterable[GroupingStep], candidates: Candidates) -> Groups:
    """Collect the people that a grouping of ``candidates`` has made."""
    steps = tuple(steps)
    keypoints, _, length = candidates.tags.shape
    count = max((int(step.people.max()) + 1 for step in steps), default=0)
    members = np.full((count, keypoints), -1, dtype=np.int64)
    sums = np.zeros((count, length))
    for step in steps:
        members[step.people, step.keypoint] = step.candidates
        sums[step.people] += step.tags
    return Groups(members, sums / (members >= 0).sum(axis=1, keepdims=True))
