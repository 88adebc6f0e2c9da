r"""Progressive associative decoding: the keypoint type nearest to the people comes next (HAE).

.. math::
    k^* = \arg\min_k \min_{m, n} \lVert t_{km} - \bar t_n \rVert

Of the remaining keypoint types, the one with the smallest distance between one of its candidates
and one of the reference embeddings of the people is grouped next (HAE, Algorithm 1, Eq. 18).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from poselib.decoders.grouping import (
    Candidates,
    GroupingOptions,
    Groups,
    NextType,
    collect_groups,
    grouping_steps,
)
from poselib.decoders.single_keypoints import single_keypoint_steps
from poselib.structures import GroupingStep
from poselib.typing import FloatArray


def progressive_steps(candidates: Candidates, options: GroupingOptions) -> tuple[GroupingStep, ...]:
    """Group keypoint types, the nearest first, and return every step (HAE, Algorithm 1).

    The first type with a candidate starts the people. From then on the type at the smallest
    distance to them is next (HAE, Eq. 18, or as ``options.distance_reduction`` defines it); of
    equally near types, the first. Types without candidates are skipped. A step is a type or, as
    ``options.progressive_unit`` says, a single keypoint.

    Args:
        candidates: the peaks of one image and their tags.
        options: thresholds, cost, ``distance_reduction`` and ``progressive_unit``.
    """
    if options.progressive_unit == "keypoint":
        return tuple(single_keypoint_steps(candidates, options))
    return tuple(grouping_steps(candidates, _nearest_type(candidates, options), options))


def group_progressive(candidates: Candidates, options: GroupingOptions) -> Groups:
    """Group keypoints into people, the nearest type first; see ``progressive_steps``.

    Example:
        >>> tags = np.array([[[0.0], [5.0]], [[5.2], [0.1]]], np.float32)  # 2 types, 2 candidates
        >>> cells, values = np.zeros((2, 2, 2), np.int64), np.ones((2, 2), np.float32)
        >>> group_progressive(Candidates(cells, values, tags), GroupingOptions()).members.tolist()
        [[0, 1], [1, 0]]
    """
    return collect_groups(progressive_steps(candidates, options), candidates)


def _nearest_type(candidates: Candidates, options: GroupingOptions) -> NextType:
    valid = candidates.valid(options)
    tags = [
        each[kept].astype(np.float64) for each, kept in zip(candidates.tags, valid, strict=True)
    ]
    counts = valid.sum(axis=1)
    reduce = np.minimum if options.distance_reduction == "min" else np.add

    def next_type(references: FloatArray, remaining: Sequence[int]) -> tuple[int, FloatArray]:
        distances = np.full(len(tags), np.nan)
        if len(references) == 0:
            return remaining[0], distances
        # Candidates of all types in one list, type by type: one distance matrix serves them all.
        left = np.concatenate([tags[keypoint] for keypoint in remaining])
        ends = counts[remaining].cumsum()
        nearest = reduce.reduceat(cdist(references, left).min(axis=0), ends - counts[remaining])
        if reduce is np.add:
            nearest /= counts[remaining]
        distances[remaining] = nearest
        return remaining[int(nearest.argmin())], distances

    return next_type
