"""PCK of single people in image pixels, by the size of the person or the torso; and as published.

A joint is correct if its distance to the annotated one is at most a fraction of a length that is
measured on the annotated person: the longer side of the box, or the torso, from the left shoulder
to the right hip. Joints without a label do not count (RPSTN, Sec. IV).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from poselib.metrics.pck import pckh
from poselib.skeleton_rules import split_side
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray

Reference = Literal["person", "torso"]
TORSO = ("left_shoulder", "right_hip")
_HEAD = ("face", "nose", "head_bottom", "head_top")
# The official code divides by a tenth of the map's side, and ends its torso on the other sides.
_UNITS, _OFFICIAL_TORSO = 10, ("right_shoulder", "left_hip")


def reference_lengths(
    keypoints: ArrayLike, boxes: ArrayLike, skeleton: Skeleton, reference: Reference = "person"
) -> FloatArray:
    """Return the length (N,), px, by which the distances of each person are measured.

    Args:
        keypoints: (N, K, 3), px and visibility.
        boxes: (N, 4) left, top, right, bottom, px.
        skeleton: of the keypoints.
        reference: ``"person"`` or ``"torso"``.

    Returns:
        NaN where an end of the torso is not labeled, or the box has no area.

    Raises:
        ValueError: the reference is unknown, or the skeleton has no torso.
    """
    if reference not in ("person", "torso"):
        raise ValueError(f"reference must be person or torso, not {reference!r}")
    if reference == "person":
        corners = np.asarray(boxes, np.float64)
        lengths = (corners[:, 2:] - corners[:, :2]).max(axis=1)
        return np.where(lengths > 0, lengths, np.nan)
    if lacking := [name for name in TORSO if name not in skeleton.keypoints]:
        raise ValueError(
            f"reference 'torso' needs {' and '.join(TORSO)}, but skeleton {skeleton.name!r} lacks "
            f"{' and '.join(lacking)}; take reference 'person'"
        )
    people = np.asarray(keypoints, np.float64)
    ends = people[:, [skeleton.index(name) for name in TORSO]]
    known = (ends[..., 2] > 0).all(axis=1)
    lengths = np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=1)
    return np.where(known & (lengths > 0), lengths, np.nan)


def person_pck(
    found: ArrayLike, people: ArrayLike, lengths: ArrayLike, thresholds: ArrayLike
) -> FloatArray:
    """Compute the fraction of each joint that is correct at each threshold, over all frames.

    Args:
        found: (N, K, 3) found joints of people in frames, px and a score; 0 where one is missing,
            which is wrong.
        people: (N, K, 3) the annotated people, px and visibility.
        lengths: (N,) px, from ``reference_lengths``; people with NaN do not count.
        thresholds: (T,) fractions of the lengths; a distance that is equal is correct.

    Returns:
        (T, K) from 0 to 1; NaN where no joint is labeled.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> truth = np.array([[[10.0, 10, 2]], [[10, 10, 2]]])
        >>> found = truth + [[[1.9, 0, 0]], [[2.1, 0, 0]]]
        >>> person_pck(found, truth, [10, 10], [0.2]).tolist()
        [[0.5]]
    """
    distances = relative_distances(found, people, lengths)
    return pckh(distances, ~np.isnan(distances), thresholds)


def relative_distances(found: ArrayLike, people: ArrayLike, lengths: ArrayLike) -> FloatArray:
    """Return the distances (N, K) of joints from the truth, as fractions of the lengths.

    They are infinite where a joint is missing, and NaN where it does not count. Arguments and
    errors are those of ``person_pck``.
    """
    joints, truth = np.asarray(found, np.float64), np.asarray(people, np.float64)
    sizes = np.asarray(lengths, np.float64)
    if joints.shape != truth.shape or truth.ndim != 3 or sizes.shape != truth.shape[:1]:
        raise ValueError(
            "found joints, annotated people and lengths must be (N, K, 3), (N, K, 3) and (N,), not "
            f"{joints.shape}, {truth.shape} and {sizes.shape}"
        )
    apart = np.linalg.norm(joints[..., :2] - truth[..., :2], axis=-1) / sizes[:, None]
    counts = (truth[..., 2] > 0) & np.isfinite(sizes)[:, None]
    return np.where(counts, np.where(joints[..., 2] > 0, apart, np.inf), np.nan)


def part_rates(rates: ArrayLike, skeleton: Skeleton) -> dict[str, float]:
    """Return the mean of both sides of each part, and ``total``, the mean of all joints.

    A skeleton without a joint of this name has as ``head`` the mean of those of the head.

    Args:
        rates: (K,), NaN where a joint is not labeled.
        skeleton: names the joints.
    """
    values = np.asarray(rates, np.float64)
    names = [split_side(keypoint)[1] for keypoint in skeleton.keypoints]
    parts = {part: _mean(values[[name == part for name in names]]) for part in dict.fromkeys(names)}
    parts = {"head": _mean(values[[name in _HEAD for name in names]]), **parts}
    return {**parts, "total": _mean(values)}


def official_pck(
    heatmaps: ArrayLike, targets: ArrayLike, skeleton: Skeleton, threshold: float = 0.2
) -> FloatArray:
    """Compute PCK as the published code of RPSTN does, which is another measure than the paper's.

    Joints and truth are the cells of the maxima of both maps. Their difference is divided by a
    tenth of the map's side, 1 is added to its x and y, and the length of that is compared with the
    threshold times the torso of the first frame, in cells: the units differ, and nearly every
    joint is correct. A joint counts in a frame where its target's maximum is beyond the first row
    and column but one.

    Args:
        heatmaps: (T, K, H, W) of one clip.
        targets: (T, K, H, W) the target maps.
        skeleton: of the joints.
        threshold: fraction of the torso.

    Returns:
        (K,) from 0 to 1; 0 where a joint counts in no frame.
    """
    found, truth = _maxima(heatmaps), _maxima(targets)
    sides = np.asarray(targets).shape[:-3:-1]  # (W, H)
    moved = (found - truth) / (np.array(sides) / _UNITS) + 1
    a, b = (truth[0, skeleton.index(name)] for name in _OFFICIAL_TORSO)
    right = np.linalg.norm(moved, axis=-1) <= threshold * np.linalg.norm(a - b)
    counts = official_counts(targets)
    rates: FloatArray = (right & counts).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return rates


def official_counts(targets: ArrayLike) -> BoolArray:
    """Return whether ``official_pck`` counts a joint in a frame (T, K), by targets (T, K, H, W)."""
    counted = _maxima(targets) > 1
    return counted[..., 0] & counted[..., 1]


def _maxima(heatmaps: ArrayLike) -> FloatArray:
    """Return the (column, row) of the maximum of each map; 0, 0 where none is positive."""
    maps = np.asarray(heatmaps, np.float64)
    flat = maps.reshape(*maps.shape[:-2], -1)
    row, column = np.divmod(flat.argmax(axis=-1), maps.shape[-1])
    cells = np.stack([column, row], axis=-1).astype(np.float64)
    return np.where(flat.max(axis=-1)[..., None] > 0, cells, 0.0)


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
