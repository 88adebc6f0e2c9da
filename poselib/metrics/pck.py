"""PCKh, the percentage of correct keypoints in head sizes, and MPII's average precision of parts.

Both use the definition of PCKh (Andriluka et al., 2014): a keypoint is correct if its distance to
the annotated one is at most a fraction of the head size, 0.6 of the diagonal of the head's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poselib.metrics.matching import check_people
from poselib.metrics.pairwise_oks import concatenated_ranges
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray, IntArray

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# MPII annotates them, but no evaluation counts them.
NOT_COUNTED = ("pelvis", "thorax")
HEAD_FRACTION = 0.6  # of the diagonal of the head box
_AT_ONCE = 1 << 12  # pairs of people that are compared at once, in the processor's cache


@dataclass(frozen=True)
class PartAP:
    """A number for each part of the body and one for all, from 0 to 1; NaN where none is annotated.

    Each is the mean of left and right, as far as they are annotated; which keypoints make ``head``
    and ``total`` is said by the function that returns it.
    """

    head: float
    shoulder: float
    elbow: float
    wrist: float
    hip: float
    knee: float
    ankle: float
    total: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def multi_person_ap(
    poses: Sequence[Poses],
    people: Sequence[NDArray[np.floating]],
    head_sizes: Sequence[NDArray[np.floating]],
    skeleton: Skeleton,
    threshold: float = 0.5,
) -> PartAP:
    """Measure the average precision of each part over groups of people, as MPII does.

    See ``joint_ap``. ``head`` is the mean of upper neck and top of the head, ``total`` that of
    the 14 joints.

    Args:
        poses, people, head_sizes: as in ``joint_ap``.
        skeleton: MPII's, or another with the same parts.
        threshold: head sizes.

    Raises:
        ValueError: shapes or lengths do not fit, or the skeleton lacks a part.
    """
    counted = _counted(skeleton)
    kept = [skeleton.keypoints[k] for k in counted]
    values = joint_ap(poses, people, head_sizes, skeleton, [threshold])[0]
    return part_means(dict(zip(kept, values.tolist(), strict=True)), ("upper_neck", "head_top"))


def joint_ap(
    poses: Sequence[Poses],
    people: Sequence[NDArray[np.floating]],
    head_sizes: Sequence[NDArray[np.floating]],
    skeleton: Skeleton,
    thresholds: Sequence[float] = (0.5,),
) -> FloatArray:
    """Measure the average precision of each joint, as the evaluation of MPII's groups does.

    In each group, each detection is matched to the annotated person with the highest PCKh, and each
    annotated person keeps its best match. A detected joint is correct if it is near enough to that
    of its match, and wrong if not, if the match has none, or if there is no match. Precision over
    all joints of a type, ranked by their own scores, is made monotonically decreasing and
    integrated over recall. Pelvis and thorax do not count.

    Annotated people of a group without detections are missed, as in PoseTrack's version; MPII's own
    leaves out such groups.

    Args:
        poses: the detections of M groups.
        people: M arrays (N, K, 3), px of the same frame and visibility.
        head_sizes: M arrays (N,), px. People without one (NaN) are left out.
        thresholds: T, in head sizes.

    Returns:
        (T, J) of the joints that count, in the skeleton's order; NaN where none is annotated.

    Raises:
        ValueError: shapes or lengths do not fit.
    """
    counted, levels = _counted(skeleton), np.asarray(thresholds, np.float64)
    _check(poses, people, head_sizes, len(skeleton))
    none = np.zeros((0, len(skeleton), 3))
    truth, lengths = np.concatenate([none, *people]), np.concatenate([np.zeros(0), *head_sizes])
    known = np.isfinite(lengths)
    groups = np.repeat(np.arange(len(people)), [len(each) for each in people])[known]
    truth, lengths = truth[known][:, counted], lengths[known]
    points = np.concatenate([none[..., :2], *(found.keypoints for found in poses)])[:, counted]
    scores = np.concatenate([none[..., 2], *(found.scores for found in poses)])[:, counted]
    owners = np.repeat(np.arange(len(poses)), [len(found) for found in poses])
    # Each detection with each annotated person of its group.
    first, last = (np.searchsorted(groups, owners, side) for side in ("left", "right"))
    pairs = (
        np.repeat(np.arange(len(owners)), last - first),
        concatenated_ranges(first, last - first),
    )
    near = np.zeros((len(levels), len(pairs[0]), len(counted)), bool)
    x, y = np.where(scores > 0, np.moveaxis(points, -1, 0), np.nan)  # which is near nothing
    truth_x, truth_y = np.where(truth[..., 2] > 0, np.moveaxis(truth[..., :2], -1, 0), np.nan)
    for some in range(0, len(pairs[0]), _AT_ONCE):
        d, t = (side[some : some + _AT_ONCE] for side in pairs)
        apart = np.sqrt((x[d] - truth_x[t]) ** 2 + (y[d] - truth_y[t]) ** 2) / lengths[t, None]
        near[:, some : some + _AT_ONCE] = apart <= levels[:, None, None]
    labeled = (truth[..., 2] > 0).sum(axis=1)
    hits = np.zeros((len(levels), len(owners), len(counted)), bool)
    for level, each in enumerate(near):
        kept = _matched(np.count_nonzero(each, axis=1) / np.maximum(labeled, 1)[pairs[1]], *pairs)
        hits[level, pairs[0][kept]] = each[kept]
    ranked = np.where(scores > 0, scores, np.nan)
    return _average_precision(ranked, hits, (truth[..., 2] > 0).sum(axis=0))


def single_person_pckh(
    poses: Sequence[Poses],
    people: NDArray[np.floating],
    head_sizes: NDArray[np.floating],
    skeleton: Skeleton,
    threshold: float = 0.5,
) -> PartAP:
    """Measure PCKh of each part for single people, as HRNet's evaluation of MPII does.

    The detection with the best score of each image counts; without one all keypoints are wrong.
    ``head`` is the top of the head alone, and ``total`` is over all keypoints but pelvis and
    thorax, each counted once. That evaluation calls its last number PCKh@0.1, but measures it at
    0.11.

    Args:
        poses: the detections of N images.
        people: (N, K, 3), px of the same frame and visibility, one person an image.
        head_sizes: (N,), px. People without one (NaN) are left out.
        skeleton: MPII's, or another with the same parts.
        threshold: head sizes.

    Raises:
        ValueError: shapes or lengths do not fit, or the skeleton lacks a part.
    """
    counted = _counted(skeleton)
    truth, sizes = np.asarray(people), np.asarray(head_sizes)
    _check(poses, truth[:, None], sizes[:, None], len(skeleton))
    distances = np.full((len(poses), len(skeleton)), np.inf)
    for row, found in enumerate(poses):
        if len(found):
            best = int(found.person_scores.argmax())
            distance = np.linalg.norm(found.keypoints[best] - truth[row, :, :2], axis=-1)
            distances[row] = np.where(found.found[best], distance / sizes[row], np.inf)
    labeled = (truth[..., 2] > 0) & np.isfinite(sizes)[:, None]
    right = pckh(distances, labeled, [threshold])[0]
    rates = {skeleton.keypoints[k]: float(right[k]) for k in counted}
    times = labeled[:, counted].sum(axis=0)
    total = (
        float((right[counted] * times)[times > 0].sum() / times.sum()) if times.any() else np.nan
    )
    return part_means(rates, ("head_top",), total)


def pckh(distances: ArrayLike, labeled: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Compute the fraction of each keypoint that is correct at each threshold.

    Args:
        distances: (N, K) from the truth, in head sizes; infinite where a keypoint is missing.
        labeled: (N, K) which of them count.
        thresholds: (T,) largest distances, in head sizes.

    Returns:
        (T, K) from 0 to 1; NaN where none counts.
    """
    distance, counts = np.asarray(distances, np.float64), np.asarray(labeled, bool)
    levels = np.asarray(thresholds, np.float64)[:, None, None]
    number = counts.sum(axis=0)
    right = ((distance <= levels) & counts).sum(axis=1)
    return np.where(number > 0, right / np.maximum(number, 1), np.nan)


def _matched(rates: FloatArray, detections: IntArray, people: IntArray) -> IntArray:
    """Return which pairs are matches: mutually the best, and the first of equals.

    Args:
        rates: (Q,) how much of a person is right; pairs are in the order of their detections.
    """
    order = np.lexsort((-rates, detections))
    favorites = order[np.unique(detections[order], return_index=True)[1]]
    order = favorites[np.lexsort((-rates[favorites], people[favorites]))]
    return order[np.unique(people[order], return_index=True)[1]]


def _average_precision(scores: FloatArray, hits: BoolArray, annotated: FloatArray) -> FloatArray:
    """Area (T, J) under decreasing precision: scores (D, J), NaN where a joint is missing."""
    values = np.full((len(hits), scores.shape[1]), np.nan)
    for joint in np.flatnonzero(annotated):
        found = np.isfinite(scores[:, joint])
        ranked = np.argsort(-scores[found, joint], kind="stable")
        right = hits[:, found, joint][:, ranked].cumsum(axis=1)
        precision = right / np.arange(1, right.shape[1] + 1)
        falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        steps = np.diff(right / annotated[joint], axis=1, prepend=0)
        values[:, joint] = (steps * falling).sum(axis=1)
    return values


def part_means(
    joints: dict[str, float], head: tuple[str, ...], total: float | None = None
) -> PartAP:
    """Return the means of both sides of each part.

    Args:
        joints: a number for each joint by name, NaN where it is not annotated.
        head: the joints of the head.
        total: by default the mean of all joints.

    Raises:
        ValueError: a joint is missing.
    """
    sides = {part: (f"left_{part}", f"right_{part}") for part in PARTS}
    wanted = {"head": head, **sides}
    lacking = sorted({name for names in wanted.values() for name in names} - set(joints))
    if lacking:
        raise ValueError(f"the skeleton lacks {lacking}, which are reported")
    means = {part: _mean([joints[name] for name in names]) for part, names in wanted.items()}
    return PartAP(**means, total=_mean(list(joints.values())) if total is None else total)


def _mean(values: list[float]) -> float:
    """Mean of the values that are not NaN."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _counted(skeleton: Skeleton) -> NDArray[np.int64]:
    return np.array([k for k, name in enumerate(skeleton.keypoints) if name not in NOT_COUNTED])


def _check(
    poses: Sequence[Poses],
    people: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    head_sizes: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    keypoints: int,
) -> None:
    if not len(poses) == len(people) == len(head_sizes):
        raise ValueError(
            f"{len(poses)} images of detections, {len(people)} of annotated people and "
            f"{len(head_sizes)} of head sizes: expected as many of each"
        )
    for row, (found, truth, sizes) in enumerate(zip(poses, people, head_sizes, strict=True)):
        check_people(f"image {row}", found, truth, np.asarray(sizes), keypoints)
        if (np.asarray(sizes) <= 0).any():
            raise ValueError(f"image {row}: head sizes must be positive, found {sizes}")
