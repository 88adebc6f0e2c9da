r"""Greedy grouping of keypoint candidates by their tags, one keypoint type after another.

.. math::
    \bar t_n = \frac{1}{K_n} \sum_k t_{nk}, \qquad
    \min_{\pi} \sum_m c\left( \lVert t_m - \bar t_{\pi(m)} \rVert \right)

The tags of a type's candidates are compared with the reference embedding of every person so far,
the mean tag of its keypoints (HAE, Eq. 6), and assigned to people at minimum total cost by the
Hungarian algorithm. A candidate without a match starts a new person. Groupings differ only in the
order of the types, which a ``NextType`` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from poselib.structures import GroupingStep
from poselib.typing import FloatArray, IntArray

DistanceReduction = Literal["min", "mean"]
ProgressiveUnit = Literal["type", "keypoint"]
TieRule = Literal["oldest", "nearest", "largest"]
# (reference embeddings (P, L), remaining types) -> (next type, ``GroupingStep.distances``)
NextType = Callable[[FloatArray, Sequence[int]], tuple[int, FloatArray]]

# Weight of the tie rule: it decides only between assignments of otherwise equal cost.
_TIE_BREAK = 1e-6
# Upper bound of distances, beyond that of any meaningful tags: keeps costs finite.
_MAX_DISTANCE = 1e12


@dataclass(frozen=True)
class GroupingOptions:
    """Options of grouping: detection of candidates and their assignment to people.

    Attributes:
        detection_threshold: minimum heatmap value of a candidate, exclusive; not negative.
        tag_threshold: maximum distance, exclusive, of a candidate's tag to the reference embedding
            of the person it is assigned to.
        max_candidates: peaks kept per keypoint type.
        max_people: candidates are compared with the first people alone, this many; all others then
            start people of their own. None: no limit. 30 in the official code, where in a crowd
            every keypoint of the 31st person becomes a person.
        round_distance: cost of a pair. True: ``100 * round(distance) - value``, as in the official
            code. False: the distance alone, as in the paper (HAE, Eq. 18).
        tie_rule: which of several assignments of equal cost is taken. Rounding makes them common:
            whatever is nearer than 0.5 costs the same. ``"oldest"``: people who were started
            earlier come first, as with the Hungarian algorithm of the official code wherever one
            candidate has the choice; ``"largest"``: people who have more keypoints; both then take
            the smallest distance. ``"nearest"``: the smallest distance decides at once, which
            often assigns a keypoint to a fragment, not to the person it is a fragment of.
        threshold_before_assignment: when ``tag_threshold`` applies. True: before the assignment,
            which then assigns as many candidates as possible. False: after it, as in the official
            code, where a distant pair can displace a near one, and people are fragmented.
        distance_reduction: distance of a keypoint type to the people, for progressive grouping.
            ``"min"``: that of its nearest candidate (HAE, Eq. 18, and official code). ``"mean"``:
            the mean over its candidates, each to its nearest person; in a crowd nearly every type
            has some candidate whose tag equals a person's by chance.
        progressive_unit: what progressive grouping adds to people at a time. ``"type"``: all
            candidates of a keypoint type (HAE, Algorithm 1, and official code). ``"keypoint"``: the
            one candidate nearest to a person who lacks its type (HAE, caption of Fig. 5b); if none
            is near enough, the one with the highest value starts a person. ``round_distance``,
            ``tie_rule``, ``threshold_before_assignment`` and ``distance_reduction`` then play no
            part.

    Raises:
        ValueError: a threshold is negative or not finite, ``max_candidates`` or ``max_people`` is
            below 1, or ``tie_rule``, ``distance_reduction`` or ``progressive_unit`` is unknown.
    """

    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    max_candidates: int = 30
    max_people: int | None = None
    round_distance: bool = True
    tie_rule: TieRule = "oldest"
    threshold_before_assignment: bool = True
    distance_reduction: DistanceReduction = "min"
    progressive_unit: ProgressiveUnit = "type"

    def __post_init__(self) -> None:
        for name in ("detection_threshold", "tag_threshold"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number, not negative: {value}")
        for name in ("max_candidates", "max_people"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.tie_rule not in get_args(TieRule):
            raise ValueError(f"tie_rule must be one of {get_args(TieRule)}, not {self.tie_rule!r}")
        pairs = {"distance_reduction": DistanceReduction, "progressive_unit": ProgressiveUnit}
        for name, known in pairs.items():
            one, other = get_args(known)
            if getattr(self, name) not in (one, other):
                raise ValueError(
                    f"{name} must be {one!r} or {other!r}, not {getattr(self, name)!r}"
                )


@dataclass(frozen=True)
class Candidates:
    """The peaks of one image's heatmaps and their tags.

    Attributes:
        cells: (K, M, 2) int64, (column, row) in the decoded maps.
        values: (K, M) float32, heatmap values.
        tags: (K, M, L) float32.
    """

    cells: IntArray
    values: NDArray[np.float32]
    tags: NDArray[np.float32]

    def valid(self, options: GroupingOptions) -> NDArray[np.bool_]:
        """Return (K, M), true for candidates above the threshold with a finite value and tag."""
        # In float64: a float32 value of 0.1 does exceed the number 0.1.
        detected = self.values.astype(np.float64) > options.detection_threshold
        return detected & np.isfinite(self.values) & np.isfinite(self.tags).all(axis=-1)


@dataclass(frozen=True)
class Groups:
    """The people of one image as sets of candidates, in the order in which they were started.

    Attributes:
        members: (P, K) int64, index of the candidate, or -1 where the keypoint is missing.
        references: (P, L) float64, mean tag of each person's keypoints.
    """

    members: IntArray
    references: FloatArray


def grouping_steps(
    candidates: Candidates, next_type: NextType, options: GroupingOptions
) -> Iterator[GroupingStep]:
    """Group one keypoint type after another and yield each step.

    Args:
        candidates: the peaks of one image and their tags.
        next_type: selects the next type; it is never offered one without a valid candidate.
        options: thresholds and cost.
    """
    valid, limit = candidates.valid(options), options.max_people
    # The best first: they start people, and the tie rule may prefer the oldest of these.
    ranked = np.argsort(-candidates.values, axis=1, kind="stable")
    remaining = [int(k) for k in np.flatnonzero(valid.any(axis=1))]
    sums, counts = np.zeros((0, candidates.tags.shape[-1])), np.zeros((0, 1))
    while remaining:
        references = sums / counts
        keypoint, distances = next_type(references[:limit], remaining)
        remaining.remove(keypoint)
        chosen = ranked[keypoint][valid[keypoint, ranked[keypoint]]]
        tags, values = candidates.tags[keypoint, chosen].astype(float), candidates.values[keypoint]
        people = assign_candidates(
            tags, values[chosen], references[:limit], options, counts[:limit, 0]
        )
        started = people < 0
        if count := np.count_nonzero(started):
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


def assign_candidates(
    tags: FloatArray,
    values: NDArray[np.float32],
    references: FloatArray,
    options: GroupingOptions,
    sizes: FloatArray | None = None,
) -> IntArray:
    """Assign the candidates of one keypoint type to people at minimum total cost.

    Args:
        tags: (n, L) float64.
        values: (n,) heatmap values.
        references: (P, L) float64, of people in the order in which they were started.
        options: threshold and cost.
        sizes: (P,), how many keypoints each person has, for the tie rule ``"largest"``; by default
            all have one.

    Returns:
        (n,) int64, the assigned person or -1; no person is assigned twice.

    Example:
        >>> tags, references = np.array([[5.1], [0.2], [9.0]]), np.array([[0.0], [5.0]])
        >>> assign_candidates(tags, np.ones(3, np.float32), references, GroupingOptions()).tolist()
        [1, 0, -1]
    """
    people = np.full(len(tags), -1, dtype=np.int64)
    if len(references) == 0:
        return people
    distances = np.minimum(cdist(tags, references), _MAX_DISTANCE)
    near = distances < options.tag_threshold
    cost = distances
    if options.round_distance:
        cost = 100 * np.round(distances) - values[:, None]
    sizes = np.ones(len(references)) if sizes is None else sizes
    cost = cost + _TIE_BREAK * _tie_costs(distances, sizes, options)
    if options.threshold_before_assignment and not near.all():
        # More than all acceptable pairs together: as many of those as possible are assigned.
        acceptable = cost[near] if near.any() else np.zeros(1)
        cost[~near] = (np.ptp(acceptable) + 1) * (len(tags) + 1) + acceptable.max()
    rows, columns = linear_sum_assignment(cost)
    assigned = near[rows, columns]
    people[rows[assigned]] = columns[assigned]
    return people


def _tie_costs(distances: FloatArray, sizes: FloatArray, options: GroupingOptions) -> FloatArray:
    """Return costs (n, P) from 0 to 1 that order assignments of equal cost by the tie rule."""
    # Bounded and convex: sums of plain distances are often equal for scalar tags (L = 1).
    apart = distances**2 / (1 + distances**2)
    # Without rounding the distance is the cost: nothing but its sums can be equal.
    if options.tie_rule == "nearest" or not options.round_distance:
        return apart
    if options.tie_rule == "oldest":
        return (np.arange(len(sizes)) + apart / (len(distances) + 1)) / len(sizes)
    most = sizes.max()
    return (most - sizes + apart / (len(distances) + 1)) / most


def collect_groups(steps: Iterable[GroupingStep], candidates: Candidates) -> Groups:
    """Collect the people of a grouping of ``candidates`` from its steps."""
    steps = tuple(steps)
    keypoints, _, length = candidates.tags.shape
    count = max((int(step.people.max()) + 1 for step in steps), default=0)
    members = np.full((count, keypoints), -1, dtype=np.int64)
    sums = np.zeros((count, length))
    for step in steps:
        members[step.people, step.keypoint] = step.candidates
        sums[step.people] += step.tags
    return Groups(members, sums / (members >= 0).sum(axis=1, keepdims=True))
