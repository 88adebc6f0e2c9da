"""Object keypoint similarity of everyone found with everyone annotated in the same image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from poselib.metrics.coco_tables import Comparison, Detections, GroundTruth
from poselib.ops.oks import MIN_AREA
from poselib.skeletons import Skeleton
from poselib.typing import FloatArray, IntArray

# Pairs that are compared at once: a few MB of memory.
_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Pairs:
    """Everyone found with everyone annotated in the same image and category.

    The best detections of an image come first, and each is with everyone annotated, in the
    order of the file: the pairs of an image are the rows of its matrix, one after the other.

    Attributes:
        order: (D,) who was found, by image and category, best score first; of equal ones the
            first comes first. Only the best of each image.
        ranks: (D,) 0 for the best of its image.
        found, truth: (Q,) the pairs: positions in the comparison's ``found`` and ``truth``.
        counts: (D,) how many pairs each of ``order`` has.
    """

    order: IntArray
    ranks: IntArray
    found: IntArray
    truth: IntArray
    counts: IntArray

    @property
    def starts(self) -> IntArray:
        """(D,) the position of the first pair of each of ``order``."""
        return np.cumsum(self.counts) - self.counts


def pair_detections(comparison: Comparison, max_detections: int) -> Pairs:
    """Pair the best detections of each image with the people annotated there."""
    truth, found = comparison.truth, comparison.found
    kinds = max(len(comparison.categories), 1)
    group = found.images * kinds + found.categories
    order = np.lexsort((-found.scores, group))
    group = group[order]
    ranks = np.arange(len(order)) - np.searchsorted(group, group)
    kept = ranks < max_detections
    order, ranks, group = order[kept], ranks[kept], group[kept]
    people = truth.images * kinds + truth.categories
    by_group = np.argsort(people, kind="stable")
    first, last = (np.searchsorted(people[by_group], group, side) for side in ("left", "right"))
    counts = last - first
    return Pairs(
        order=order,
        ranks=ranks,
        found=np.repeat(order, counts),
        truth=by_group[runs(first, counts)],
        counts=counts,
    )


def runs(starts: IntArray, counts: IntArray) -> IntArray:
    """Return so many numbers from each start on, one run after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def similarity(comparison: Comparison, pairs: Pairs, sigmas: ArrayLike) -> FloatArray:
    """Return the object keypoint similarity of each pair, to the last bit as pycocotools does.

    Who has no labeled keypoint is compared by the distance of the keypoints found to a box of
    thrice the size, as pycocotools does.

    Args:
        comparison: who is where.
        pairs: of the same comparison.
        sigmas: (K,) constants of the keypoints.

    Returns:
        (Q,) from 0 to 1.
    """
    truth, found = comparison.truth, comparison.found
    spread = (np.asarray(sigmas, np.float64) * 2) ** 2
    labeled = truth.labeled.sum(axis=1)
    # Labeled keypoints first, so that the people with as many of them make a full matrix:
    # summed over its rows the similarity is rounded as that of a single person is.
    columns = np.argsort(~truth.labeled, axis=1, kind="stable")
    values = np.empty(len(pairs.found))
    for count in np.unique(labeled[pairs.truth]):
        (rows,) = np.nonzero(labeled[pairs.truth] == count)
        for some in np.array_split(rows, len(rows) // _AT_ONCE + 1):
            f, t = pairs.found[some], pairs.truth[some]
            chosen = columns[t, :count] if count else np.arange(len(spread))[None]
            square = (
                _to_keypoints(truth, found, t, f, chosen) if count else _to_box(truth, found, t, f)
            )
            # The order of the divisions is pycocotools's.
            exponent = square / spread[chosen] / (truth.areas[t, None] + MIN_AREA) / 2
            values[some] = np.exp(-exponent).sum(axis=1) / chosen.shape[1]
    return values


def most_similar(
    comparison: Comparison, skeleton: Skeleton, max_detections: int
) -> tuple[FloatArray, IntArray]:
    """Return how similar anybody found is at most to each annotated person, and who that is.

    Nothing is matched: two may be most like the same.

    Returns:
        (N,) OKS from 0 to 1, and (N,) positions in ``found``, of equals any; 0 and -1 where
        nobody was found.
    """
    pairs = pair_detections(comparison, max_detections)
    values = similarity(comparison, pairs, skeleton.sigmas)
    best, who = np.zeros(len(comparison.truth)), np.full(len(comparison.truth), -1)
    np.maximum.at(best, pairs.truth, values)
    equal = values == best[pairs.truth]
    who[pairs.truth[equal]] = pairs.found[equal]
    return best, who


def _to_keypoints(
    truth: GroundTruth, found: Detections, t: IntArray, f: IntArray, columns: IntArray
) -> FloatArray:
    """Squared distances (pairs, columns) of the same keypoints, px²."""
    apart = found.keypoints[f[:, None], columns, :2] - truth.keypoints[t[:, None], columns, :2]
    return apart[..., 0] ** 2 + apart[..., 1] ** 2


def _to_box(truth: GroundTruth, found: Detections, t: IntArray, f: IntArray) -> FloatArray:
    """Squared distances (pairs, K) of keypoints found to a box of thrice the size, px²."""
    xy, corner, size = found.keypoints[f, :, :2], truth.boxes[t, None, :2], truth.boxes[t, None, 2:]
    before, after = (corner - size) - xy, xy - (corner + size * 2)
    apart = np.maximum(before, 0) + np.maximum(after, 0)
    return apart[..., 0] ** 2 + apart[..., 1] ** 2
