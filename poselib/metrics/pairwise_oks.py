"""Object keypoint similarity of detections with the people annotated in the same image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poselib.annotations import AnnotationTable, DetectionTable
from poselib.ops.oks import MIN_AREA
from poselib.typing import FloatArray, IntArray

# Pairs that are compared at once: a few MB of memory.
_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Pairs:
    """Detections with the people annotated in the same image and category.

    The best detections of an image come first, and each is with all annotated people in the
    order of the table: the pairs of an image are the rows of its matrix, one after the other.

    Attributes:
        order: (D,) the best detections of each image, by image and category, best score first;
            of equal ones the first comes first.
        ranks: (D,) 0 for the best of its image.
        found, truth: (Q,) the pairs: rows of the detections and of the annotated people.
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


def pair_detections(truth: AnnotationTable, found: DetectionTable, max_detections: int) -> Pairs:
    """Pair the best detections of each image with the people annotated there."""
    kinds = max(len(truth.category_ids), 1)
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
        truth=by_group[concatenated_ranges(first, counts)],
        counts=counts,
    )


def concatenated_ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """Return ``counts[i]`` consecutive numbers from ``starts[i]``, one range after the other."""
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)


def pairwise_oks(
    truth: AnnotationTable, found: DetectionTable, pairs: Pairs, sigmas: ArrayLike
) -> FloatArray:
    """Return the object keypoint similarity of each pair, to the last bit as pycocotools does.

    A person without labeled keypoints is compared by the distance of the detected keypoints to a
    box of three times the size, as pycocotools does.

    Args:
        sigmas: (K,) constants of the keypoints.

    Returns:
        (Q,) from 0 to 1.
    """
    spread = (np.asarray(sigmas, np.float64) * 2) ** 2
    labeled = truth.labeled.sum(axis=1)
    # Labeled keypoints first, so that the people with as many of them make a full matrix:
    # summed over its rows the similarity is rounded as that of a single person is.
    columns = np.argsort(~truth.labeled, axis=1, kind="stable")
    points = np.take_along_axis(_as_complex(truth.keypoints), columns, axis=1)
    detected = _as_complex(found.keypoints)
    values, counts = np.empty(len(pairs.found)), labeled[pairs.truth]
    for count in np.unique(counts):
        (rows,) = np.nonzero(counts == count)
        for some in np.array_split(rows, len(rows) // _AT_ONCE + 1):
            f, t = pairs.found[some], pairs.truth[some]
            if count:
                chosen = columns[t, :count]
                offset = detected[f[:, None], chosen] - points[t, :count]
                square = offset.real**2 + offset.imag**2
            else:
                chosen, square = np.arange(len(spread))[None], _to_box(truth, found, t, f)
            # The order of the divisions is pycocotools's.
            exponent = square / spread[chosen] / (truth.areas[t, None] + MIN_AREA) / 2
            values[some] = np.exp(-exponent).sum(axis=1) / chosen.shape[1]
    return values


def _to_box(truth: AnnotationTable, found: DetectionTable, t: IntArray, f: IntArray) -> FloatArray:
    """Squared distances (pairs, K) of detected keypoints to a box of three times the size, px²."""
    xy, corner, size = found.keypoints[f, :, :2], truth.boxes[t, None, :2], truth.boxes[t, None, 2:]
    before, after = (corner - size) - xy, xy - (corner + size * 2)
    offset = np.maximum(before, 0) + np.maximum(after, 0)
    return offset[..., 0] ** 2 + offset[..., 1] ** 2


def _as_complex(points: FloatArray) -> NDArray[np.complex128]:
    """Return points (..., 2 or more) as x + iy: one number is gathered in a third of the time."""
    numbers: NDArray[np.complex128] = np.ascontiguousarray(points[..., :2]).view(np.complex128)
    return numbers[..., 0]
