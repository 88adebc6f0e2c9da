"""What a perfect search near the keypoints found would gain: an upper bound of refinement.

Around each keypoint found lies a square of candidates; an oracle that knows the truth takes the
best one. Scores stay, and nobody is added or left out: what is still missing then is no matter of
localization within the window, but of detection, of scores, or of keypoints that are far off
(LOGO-CAP, Sec. 1, "An Empirical Observation").
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from poselib.ops.oks import keypoint_similarity
from poselib.structures import Poses
from poselib.typing import FloatArray


def candidate_spacing(sigmas: ArrayLike, step: float) -> FloatArray:
    """Return how far apart the candidates of each keypoint lie (LOGO-CAP, Algorithm 1).

    Args:
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.
        step: px between neighboring candidates of the keypoint of least sigma.

    Returns:
        (K,) px, ``step * sigma / min(sigma)``.

    Raises:
        ValueError: there are no sigmas, or one of them or the step is not positive and finite.
    """
    values = np.asarray(sigmas, np.float64)
    if values.ndim != 1 or not values.size or not _positive(values) or not _positive(step):
        raise ValueError(f"sigmas and step must be positive, not {values.tolist()} and {step}")
    spacing: FloatArray = step * values / values.min()
    return spacing


def offset_in_steps(found: ArrayLike, truth: ArrayLike, spacing: ArrayLike) -> FloatArray:
    """Return how far keypoints are from the truth in x or in y, whichever is more, in spacings.

    The square that a window of w by w candidates covers, each for the places next to it, has the
    side ``w * spacing``: the truth lies inside where this is at most ``w / 2``.

    Args:
        found, truth: (..., K, 2) px; all but the last axis are broadcast against each other.
        spacing: (..., K) px, of ``candidate_spacing``.

    Returns:
        (..., K) from 0.
    """
    apart = np.abs(np.asarray(found, np.float64) - np.asarray(truth, np.float64)).max(axis=-1)
    steps: FloatArray = apart / np.asarray(spacing, np.float64)
    return steps


def nearest_candidates(
    points: ArrayLike, goals: ArrayLike, spacing: ArrayLike, window: int
) -> FloatArray:
    """Return the candidates nearest to where keypoints should be.

    Candidates of a keypoint at p lie at ``p + (i, j) * spacing`` with whole i and j from -r to r,
    r = (window - 1) / 2. As they are a grid, the nearest one follows by rounding; similarity falls
    with the distance, so it is the most similar one too.

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
    start, apart = np.asarray(points, np.float64), np.asarray(spacing, np.float64)[..., None]
    steps = np.rint((np.asarray(goals, np.float64) - start) / apart)
    best: FloatArray = start + np.clip(steps, -(window // 2), window // 2) * apart
    return best


def best_reachable_oks(
    poses: Poses,
    truth: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
    window: int,
    step: float,
) -> FloatArray:
    """Return the OKS that everyone found could reach with every annotated person.

    The mean over an annotated person's labeled keypoints of the similarity of the best candidate
    (``oks_person_best`` in the official code); 0 for a keypoint that was not found.

    Args and errors are those of ``search_locally``.

    Returns:
        (P, N) from 0 to 1; 0 for annotated people without a labeled keypoint.
    """
    annotated, size = _checked(poses, truth, areas, sigmas)
    places = poses.keypoints[:, None], annotated[..., :2]
    best = nearest_candidates(*places, candidate_spacing(sigmas, step), window)
    near = keypoint_similarity(best, annotated[..., :2], size, sigmas)
    labeled = annotated[..., 2] > 0
    total = np.where(poses.found[:, None] & labeled, near, 0.0).sum(axis=-1)
    mean: FloatArray = total / np.maximum(labeled.sum(axis=-1), 1)
    return mean


def search_locally(
    poses: Poses,
    truth: ArrayLike,
    areas: ArrayLike,
    sigmas: ArrayLike,
    window: int,
    step: float,
) -> Poses:
    """Move every keypoint found to the best place in a window around it (LOGO-CAP, Sec. 1).

    Each person found is taken for the annotated one with whom it could reach the highest OKS, the
    first of equals; several may be taken for the same. Its keypoints go to the candidates most
    similar to that person's labeled ones, so that its OKS with that person never falls. Whoever
    could reach nobody, not even by a similarity above 0, stays as it is.

    The paper does not say how keypoints that are not labeled are treated: they stay. Nor is
    anybody moved for the sake of a crowd or of a person without labeled keypoints.

    Args:
        poses: the P people found in an image, px.
        truth: (N, K, 3) annotated people, px of the same frame, and visibility; 0 does not count.
        areas: (N,) px², the ``s²`` of OKS.
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.
        window: odd side of the square of candidates; with 1 nothing is moved.
        step: px between neighboring candidates of the keypoint of least sigma.

    Returns:
        The same people in the same order, with the same scores. Missing keypoints stay missing.

    Raises:
        ValueError: a shape does not fit, the window is not odd and positive, or a sigma or the
            step is not positive.
    """
    annotated, _ = _checked(poses, truth, areas, sigmas)
    reach = best_reachable_oks(poses, annotated, areas, sigmas, window, step)
    if not reach.size:
        return poses
    who = reach.argmax(axis=1)
    spacing = candidate_spacing(sigmas, step)
    best = nearest_candidates(poses.keypoints, annotated[who, :, :2], spacing, window)
    moved = poses.found & (annotated[who, :, 2] > 0) & (reach.max(axis=1) > 0)[:, None]
    keypoints = np.where(moved[..., None], best, poses.keypoints).astype(np.float32)
    return replace(poses, keypoints=keypoints)


def _checked(
    poses: Poses, truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Annotated people and their areas as arrays, if their shapes fit."""
    annotated, size = np.asarray(truth, np.float64), np.asarray(areas, np.float64)
    count = np.size(sigmas)
    fits = (
        annotated.shape[1:] == (count, 3)
        and poses.keypoints.shape[1:] == (count, 2)
        and size.shape == annotated.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"people found, truth and areas must be (P, K, 2), (N, K, 3) and (N,) with K = "
            f"{count}, not {poses.keypoints.shape}, {annotated.shape} and {size.shape}"
        )
    return annotated, size


def _positive(values: ArrayLike) -> bool:
    numbers = np.asarray(values, np.float64)
    return bool((np.isfinite(numbers) & (numbers > 0)).all())
