r"""Progressive associative decoding of one keypoint at a time, the nearest next (HAE, Fig. 5b).

.. math::
    (k, m, n)^* = \arg\min_{k, m, n} \lVert t_{km} - \bar t_n \rVert

The caption of the figure selects a keypoint, not a keypoint type as Algorithm 1 does. Of all pairs
of a candidate and a person who lacks its type the nearest is joined, and the person's reference
embedding follows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.structures import GroupingStep


def single_keypoint_steps(
    candidates: Candidates, options: GroupingOptions
) -> Iterator[GroupingStep]:
    """Yield the candidates of the first type, which start people, and then one at a time.

    Where no pair is nearer than ``tag_threshold``, the best candidate left starts a person.

    Args:
        candidates: the peaks of one image and their tags.
        options: thresholds and ``max_people``.
    """
    types, entries = np.nonzero(candidates.valid(options))
    if len(types) == 0:
        return
    tags, values = candidates.tags[types, entries].astype(float), candidates.values[types, entries]
    present, begins = np.unique(types, return_index=True)
    chosen = np.flatnonzero(types == types[0])
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    people, nearest = np.arange(len(chosen)), np.full(len(candidates.values), np.nan)
    sums, counts = np.zeros((0, tags.shape[1])), np.zeros((0, 1))
    # Distances of people to candidates; infinite between those that can no longer be joined.
    pairs, left = np.zeros((0, len(tags))), np.ones(len(tags), bool)
    while True:
        started = people >= len(sums)
        yield GroupingStep(
            keypoint=int(types[chosen[0]]),
            candidates=entries[chosen],
            cells=candidates.cells[types[chosen], entries[chosen]],
            tags=tags[chosen],
            references=sums / counts,
            people=people,
            started=started,
            distances=nearest,
        )
        if count := np.count_nonzero(started):
            sums = np.concatenate([sums, np.zeros((count, tags.shape[1]))])
            counts = np.concatenate([counts, np.zeros((count, 1))])
            if len(sums) > len(pairs):  # room for as many again
                pairs = np.concatenate([pairs, np.zeros((len(sums), len(tags)))])
        sums[people] += tags[chosen]
        counts[people] += 1
        left[chosen] = False
        if not left.any():
            return
        joined = np.isinf(pairs[people]) | (types == types[chosen[0]]) | ~left
        pairs[people] = np.where(joined, np.inf, cdist(sums[people] / counts[people], tags))
        known = pairs[: len(sums)][: options.max_people]
        known[:, chosen] = np.inf
        near = known.min(axis=0)
        of_type = np.minimum.reduceat(near, begins)
        nearest = np.full(len(nearest), np.nan)
        nearest[present] = np.where(np.isfinite(of_type), of_type, np.nan)
        best, person = int(near.argmin()), len(sums)
        if near[best] < options.tag_threshold:
            person = int(known[:, best].argmin())
        else:
            best = int(np.where(left, values, -np.inf).argmax())
        chosen, people = np.array([best]), np.array([person])
