"""Oracle search around detected keypoints: an upper bound of what local refinement can gain.

Around each detected keypoint lies a square of candidates; an oracle that knows the ground truth
takes the best one. Scores stay, and no detection is added or removed: the errors that remain are
not of localization within the window, but of detection, of scores, or of keypoints that are far off
(LOGO-CAP, Sec. 1, "An Empirical Observation").
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from poselib.metrics.matching import check_people
from poselib.ops.oks import keypoint_similarity
from poselib.structures import Poses
from poselib.typing import FloatArray


def candidate_spacing(sigmas: ArrayLike, step: float) -> FloatArray:
    """Compute the distance between the candidates of each keypoint (LOGO-CAP, Algorithm 1).

    Args:
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.
        step: px between neighboring candidates of the keypoint with the smallest sigma.

    Returns:
        (K,) px, ``step * sigma / min(sigma)``.

    Raises:
        ValueError: there are no sigmas, or one of them or the step is not positive and finite.
    """
    values = np.asarray(sigmas, np.float64)
    if not values.size or not all(0 < value < np.inf for value in (*values, step)):
        raise ValueError(f"sigmas and step must be positive, not {values.tolist()} and {step}")
    spacing: FloatArray = step * values / values.min()
    return spacing


def offset_in_steps(found: ArrayLike, truth: ArrayLike, spacing: ArrayLike) -> FloatArray:
    """Measure the larger of the offsets in x and in y from the truth, in candidate spacings.

    A window of w by w candidates, each with the area around it, covers a square of side
    ``w * spacing``: the truth lies inside where this is at most ``w / 2``.

    Args:
        found, truth: (..., K, 2) px; all but the last axis are broadcast against each other.
        spacing: (..., K) px, of ``candidate_spacing``.

    Returns:
        (..., K) from 0.
    """
    offset = np.abs(np.asarray(found, np.float64) - np.asarray(truth, np.float64)).max(axis=-1)
    steps: FloatArray = offset / np.asarray(spacing, np.float64)
    return steps


def nearest_candidates(
    points: ArrayLike, goals: ArrayLike, spacing: ArrayLike, window: int
) -> FloatArray:
    """Find the candidates nearest to the goals of keypoints.

    Candidates of a keypoint at p lie at ``p + (i, j) * spacing`` with whole i and j from -r to r,
    r = (window - 1) / 2. On this grid the nearest one follows by rounding; similarity falls with
    the distance, so it is the most similar one too.

    Args:
        points, goals: (..., K, 2) px; all but the last axis are broadcast against each other.
        spacing: (K,) px, of ``candidate_spacing``.
        window: odd side of the square, candidates.

    Returns:
        (..., K, 2) px.

    Raises:
        ValueError: the window is not odd and positive.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"a window must have an odd positive side, not {window}")
    start, step = np.asarray(points, np.float64), np.asarray(spacing, np.float64)[..., None]
    steps = np.rint((np.asarray(goals, np.float64) - start) / step)
    best: FloatArray = start + np.clip(steps, -(window // 2), window // 2) * step
    return best


def best_reachable_oks(
    poses: Poses,
    truth: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
    window: int,
    step: float,
) -> FloatArray:
    """Compute the OKS that each detection could reach with each annotated person.

    It is the mean over the person's labeled keypoints of the similarity of the best candidate
    (``oks_person_best`` in the official code); 0 for a keypoint that was not found.

    Args and errors are those of ``oracle_search``.

    Returns:
        (P, N) from 0 to 1; 0 for annotated people without a labeled keypoint.
    """
    annotated, size = np.asarray(truth, np.float64), np.asarray(areas, np.float64)
    check_people("oracle search", poses, annotated, size, np.size(sigmas))
    spacing = candidate_spacing(sigmas, step)
    best = nearest_candidates(poses.keypoints[:, None], annotated[..., :2], spacing, window)
    near = keypoint_similarity(best, annotated[..., :2], size, sigmas)
    labeled = annotated[..., 2] > 0
    total = np.where(poses.found[:, None] & labeled, near, 0.0).sum(axis=-1)
    mean: FloatArray = total / np.maximum(labeled.sum(axis=-1), 1)
    return mean


def oracle_search(
    poses: Poses,
    truth: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
    window: int,
    step: float,
) -> Poses:
    """Move every detected keypoint to the best candidate in a window around it (LOGO-CAP, Sec. 1).

    Each detection is matched to the annotated person that it could reach the highest OKS with, the
    first of equals; several may be matched to the same. Its keypoints move to the candidates most
    similar to that person's labeled ones, so that its OKS with that person never falls. A detection
    that could reach no OKS above 0 is not moved.

    The paper does not say how keypoints that are not labeled are treated: they are not moved. Nor
    is a detection moved for a crowd or a person without labeled keypoints.

    Args:
        poses: the P detections in an image, px.
        truth: (N, K, 3) annotated people, px of the same frame, and visibility; 0 does not count.
        areas: (N,) px², the ``s²`` of OKS.
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.
        window: odd side of the square of candidates; with 1 nothing is moved.
        step: px between neighboring candidates of the keypoint with the smallest sigma.

    Returns:
        The same detections in the same order, with the same scores. Missing keypoints stay missing.

    Raises:
        ValueError: a shape does not fit, the window is not odd and positive, or a sigma or the
            step is not positive.
    """
    oks = best_reachable_oks(poses, truth, areas, sigmas, window, step)
    if not oks.size:
        return poses
    annotated, person = np.asarray(truth, np.float64), oks.argmax(axis=1)
    spacing = candidate_spacing(sigmas, step)
    best = nearest_candidates(poses.keypoints, annotated[person, :, :2], spacing, window)
    moved = poses.found & (annotated[person, :, 2] > 0) & (oks.max(axis=1) > 0)[:, None]
    keypoints = np.where(moved[..., None], best, poses.keypoints).astype(np.float32)
    return replace(poses, keypoints=keypoints)
