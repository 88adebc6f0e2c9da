"""Percentage of correct keypoints, in head sizes, and the average precision that MPII makes of it.

Both follow the definition of PCKh: a keypoint is right if it is no further from the truth than a
share of the head size, which is 0.6 of the diagonal of the head's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# MPII annotates them, but no evaluation counts them.
NOT_COUNTED = ("pelvis", "thorax")


@dataclass(frozen=True)
class PartAP:
    """A number for each part of the body and one for all, each in [0, 1]; NaN where nobody counts.

    The mean of left and right, or for the head of what the function says, so far as they are
    annotated; ``total`` is what the function says.
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
    """Return the average precision of each part over groups of people, as MPII measures it.

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
    return _parts(dict(zip(kept, values.tolist(), strict=True)), ("upper_neck", "head_top"))


def joint_ap(
    poses: Sequence[Poses],
    people: Sequence[NDArray[np.floating]],
    head_sizes: Sequence[NDArray[np.floating]],
    skeleton: Skeleton,
    thresholds: Sequence[float] = (0.5,),
) -> FloatArray:
    """Return the average precision of each joint, as the evaluation of MPII's groups defines it.

    In each group, whoever was found keeps the annotated person of whose joints he has the
    greatest share right, and each annotated person then keeps the best of those. Every joint
    found is right if it is near enough to that of its match, and wrong if not, if the match has
    none there, or if there is no match. Precision over all joints of a type, ranked by their own
    scores, is made to fall and integrated over recall. Pelvis and thorax do not take part.

    Annotated people of a group in which nobody was found are missed, as in PoseTrack's version;
    MPII's own forgets such groups.

    Args:
        poses: M groups of people found.
        people: M arrays (N, K, 3), px of the same frame and visibility.
        head_sizes: M arrays (N,), px. Who has none (NaN) is left out.
        skeleton: names the keypoints.
        thresholds: T, in head sizes.

    Returns:
        (T, J) of the joints that count, in the skeleton's order; NaN where none is annotated.

    Raises:
        ValueError: shapes or lengths do not fit.
    """
    counted, levels = _counted(skeleton), np.asarray(thresholds, np.float64)
    _check(poses, people, head_sizes, len(skeleton))
    annotated = np.zeros(len(counted))
    scores, hits = [np.zeros((0, len(counted)))], [np.zeros((len(levels), 0, len(counted)), bool)]
    for found, truth, sizes in zip(poses, people, head_sizes, strict=True):
        known = np.isfinite(sizes)
        truth, sizes = truth[known][:, counted], sizes[known]
        labeled = truth[..., 2] > 0
        annotated += labeled.sum(axis=0)
        present = found.found[:, counted]
        apart = _in_heads(found.keypoints[:, counted], present, truth, sizes)
        scores.append(np.where(present, found.scores[:, counted], np.nan).astype(np.float64))
        hits.append(_right(apart, labeled, levels))
    return _average_precision(np.concatenate(scores), np.concatenate(hits, axis=1), annotated)


def single_person_pckh(
    poses: Sequence[Poses],
    people: NDArray[np.floating],
    head_sizes: NDArray[np.floating],
    skeleton: Skeleton,
    threshold: float = 0.5,
) -> PartAP:
    """Return the share of correct keypoints of each part, as HRNet's evaluation of MPII does.

    Of each image the person of the best score counts; who was not found is wrong. ``head`` is the
    top of the head alone, and ``total`` is over all keypoints but pelvis and thorax, each counted
    once. That evaluation calls its last number PCKh@0.1, but measures it at 0.11.

    Args:
        poses: N images of people found.
        people: (N, K, 3), px of the same frame and visibility, one person an image.
        head_sizes: (N,), px. Who has none (NaN) is left out.
        skeleton: MPII's, or another with the same parts.
        threshold: head sizes.

    Raises:
        ValueError: shapes or lengths do not fit, or the skeleton lacks a part.
    """
    counted = _counted(skeleton)
    truth, sizes = np.asarray(people), np.asarray(head_sizes)
    _check(poses, truth[:, None], sizes[:, None], len(skeleton))
    distance = np.full((len(poses), len(skeleton)), np.inf)
    for row, found in enumerate(poses):
        if len(found):
            best = int(found.person_scores.argmax())
            apart = np.linalg.norm(found.keypoints[best] - truth[row, :, :2], axis=-1)
            distance[row] = np.where(found.found[best], apart / sizes[row], np.inf)
    labeled = (truth[..., 2] > 0) & np.isfinite(sizes)[:, None]
    right = pckh(distance, labeled, [threshold])[0]
    shares = {skeleton.keypoints[k]: float(right[k]) for k in counted}
    times = labeled[:, counted].sum(axis=0)
    total = (
        float((right[counted] * times)[times > 0].sum() / times.sum()) if times.any() else np.nan
    )
    return _parts(shares, ("head_top",), total)


def pckh(distances: ArrayLike, labeled: ArrayLike, thresholds: ArrayLike) -> FloatArray:
    """Return the share of each keypoint that is right at each threshold.

    Args:
        distances: (N, K) from the truth, in head sizes; infinite where nothing was found.
        labeled: (N, K) which of them count.
        thresholds: (T,) greatest distances, in head sizes.

    Returns:
        (T, K) from 0 to 1; NaN where none counts.
    """
    apart, counts = np.asarray(distances, np.float64), np.asarray(labeled, bool)
    levels = np.asarray(thresholds, np.float64)[:, None, None]
    number = counts.sum(axis=0)
    right = ((apart <= levels) & counts).sum(axis=1)
    return np.where(number > 0, right / np.maximum(number, 1), np.nan)


def _in_heads(
    found: NDArray[np.floating],
    present: BoolArray,
    truth: NDArray[np.floating],
    sizes: NDArray[np.floating],
) -> FloatArray:
    """Distances (P, N, J) of everyone found to everyone annotated, in head sizes."""
    apart = np.linalg.norm(found[:, None].astype(np.float64) - truth[None, ..., :2], axis=-1)
    comparable = present[:, None] & (truth[None, ..., 2] > 0)
    return np.where(comparable, apart / sizes[None, :, None], np.inf)


def _right(apart: FloatArray, labeled: BoolArray, thresholds: FloatArray) -> BoolArray:
    """Which joints found (T, P, J) are near that of their match, by distances (P, N, J)."""
    near = apart <= thresholds[:, None, None, None]
    number_found, number = apart.shape[:2]
    if number_found == 0 or number == 0:
        return np.zeros((len(thresholds), number_found, apart.shape[2]), bool)
    share = near.sum(axis=-1) / np.maximum(labeled.sum(axis=-1), 1)
    favorite = share.argmax(axis=2)  # (T, P) the annotated person of each one found
    mutual = np.where(np.arange(number) == favorite[..., None], share, 0)
    chosen = mutual.argmax(axis=1)  # (T, N) the one found of each annotated person
    t, p = np.indices(favorite.shape)
    # Who has nothing right may be matched here by chance, and still has nothing right.
    matched = chosen[t, favorite] == p
    return near[t, p, favorite] & matched[..., None]


def _average_precision(scores: FloatArray, hits: BoolArray, annotated: FloatArray) -> FloatArray:
    """Area (T, J) under falling precision: scores (D, J), NaN where nothing was found."""
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


def _parts(joints: dict[str, float], head: tuple[str, ...], total: float | None = None) -> PartAP:
    """Average the sides; the total is the mean of all joints if not given."""
    sides = {part: (f"left_{part}", f"right_{part}") for part in PARTS}
    wanted = {"head": head, **sides}
    lacking = sorted({name for names in wanted.values() for name in names} - set(joints))
    if lacking:
        raise ValueError(f"the skeleton lacks {lacking}, which MPII's evaluations report")
    means = {part: _mean([joints[name] for name in names]) for part, names in wanted.items()}
    return PartAP(**means, total=_mean(list(joints.values())) if total is None else total)


def _mean(values: list[float]) -> float:
    """Mean of what is no NaN."""
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
            f"{len(poses)} images of people found, {len(people)} of annotated ones and "
            f"{len(head_sizes)} of head sizes: expected as many of each"
        )
    for row, (found, truth, sizes) in enumerate(zip(poses, people, head_sizes, strict=True)):
        fits = (
            found.keypoints.shape[1:] == (keypoints, 2)
            and truth.shape == (len(sizes), keypoints, 3)
            and np.ndim(sizes) == 1
        )
        if not fits:
            raise ValueError(
                f"image {row}: people found, annotated ones and head sizes must be (P, K, 2), "
                f"(N, K, 3) and (N,) with K = {keypoints}, not {found.keypoints.shape}, "
                f"{truth.shape} and {np.shape(sizes)}"
            )
        if (np.asarray(sizes) <= 0).any():
            raise ValueError(f"image {row}: head sizes must be positive, found {sizes}")
