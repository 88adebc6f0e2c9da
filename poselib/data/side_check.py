"""Left and right that seem exchanged in annotated people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray

# How far apart the two keypoints of a pair are if their order counts, of the person's extent.
_APART = 0.1
_PEOPLE = 20  # who show a pair, for a sentence about it
_OFTEN = 0.8
_FACE = ("nose",)  # visible, it tells that a person is seen from the front


def swapped_sides(
    points: FloatArray, skeleton: Skeleton, rows: BoolArray
) -> Iterator[tuple[str, BoolArray]]:
    """Yield sentences about left and right that seem exchanged, and the people they are about.

    Seen from the front, a person's left is on the right of the image. So where a visible nose shows
    the front, all pairs on the other side are suspicious. A single pair that is on the other side
    than the person's other pairs is so in few poses: if it is in most people, it is exchanged.

    Args:
        points: (N, K, 3) annotated people, px and visibility.
        rows: (N,) the people to look at.
    """
    pairs = np.array([[skeleton.index(a), skeleton.index(b)] for a, b in skeleton.flip_pairs])
    if not len(pairs):
        return
    left_first = np.array([a.startswith(("left", "l_")) for a, _ in skeleton.flip_pairs])
    pairs = np.where(left_first[:, None], pairs, pairs[:, ::-1])
    labeled = points[..., 2] > 0
    xy = np.where(labeled[..., None], points[..., :2], np.nan)
    extent = np.zeros(len(points))
    for row in np.flatnonzero(labeled.any(axis=1)):
        extent[row] = np.ptp(xy[row, labeled[row]], axis=0).max()
    apart = xy[:, pairs[:, 0], 0] - xy[:, pairs[:, 1], 0]
    clear = np.abs(apart) > _APART * np.maximum(extent, 1e-6)[:, None]  # false for NaN
    side = np.where(clear & rows[:, None], np.sign(apart), 0)
    yield from _exchanged_pairs(side, skeleton)
    nose = [skeleton.index(name) for name in _FACE if name in skeleton.keypoints]
    if nose:
        seen = (points[:, nose[0], 2] == 2) & ((side != 0).sum(axis=1) >= min(2, len(pairs)))
        yield (
            "left and right seem exchanged: the face is visible and every left is on the left",
            seen & (side <= 0).all(axis=1),
        )


def _exchanged_pairs(side: FloatArray, skeleton: Skeleton) -> Iterator[tuple[str, BoolArray]]:
    """Yield the pairs that are on the other side than the person's others in most people."""
    for number, names in enumerate(skeleton.flip_pairs):
        others = np.sign(np.delete(side, number, axis=1).sum(axis=1))
        judged = (side[:, number] != 0) & (others != 0)
        against = judged & (side[:, number] != others)
        if judged.sum() >= _PEOPLE and against.sum() > _OFTEN * judged.sum():
            yield (
                f"{' and '.join(names)} seem exchanged: they are on the other side than the "
                "person's other keypoints",
                against,
            )
