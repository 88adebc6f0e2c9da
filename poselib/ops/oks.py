"""Object keypoint similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Area of a person as a share of the box, for annotations without areas: CrowdPose's own rule.
AREA_OF_BOX = 0.53
# What pycocotools adds to areas: nobody has none.
MIN_AREA = np.spacing(1)


def keypoint_similarity(
    found: ArrayLike, truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> NDArray[np.float64]:
    """Return the similarity of each keypoint to another: one term of HAE, Eq. 19.

    ``exp(-d² / (2 s² k²))``, with the distance d, the area s² and ``k = 2 sigma``.

    Args:
        found, truth: (..., K, 2) px; all but the last axis are broadcast against each other.
        areas: (...) px², of the annotated people.
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.

    Returns:
        (..., K) from 0 to 1.
    """
    apart = np.asarray(found, np.float64) - np.asarray(truth, np.float64)
    size = np.asarray(areas, np.float64)[..., None] + MIN_AREA
    scale = 2 * size * (2 * np.asarray(sigmas, np.float64)) ** 2
    near: NDArray[np.float64] = np.exp(-(apart**2).sum(axis=-1) / scale)
    return near


def object_keypoint_similarity(
    found: ArrayLike, truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> NDArray[np.float64]:
    """Return the similarity of every annotated person to every person found (HAE, Eq. 19).

    The mean of ``keypoint_similarity`` over a person's labeled keypoints.

    Args:
        found: (P, K, 2) px.
        truth: (N, K, 3) px and visibility; 0 does not count.
        areas: (N,) px².
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.

    Returns:
        (N, P) from 0 to 1; 0 for people without a labeled keypoint.

    Raises:
        ValueError: a shape does not fit.
    """
    people, annotated = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    size, count = np.asarray(areas, np.float64), np.size(sigmas)
    fits = (
        annotated.shape[1:] == (count, 3)
        and people.shape[1:] == (count, 2)
        and size.shape == annotated.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"found, truth and areas must be (P, K, 2), (N, K, 3) and (N,) with K = {count}, "
            f"not {people.shape}, {annotated.shape} and {size.shape}"
        )
    near = keypoint_similarity(people, annotated[:, None, :, :2], size[:, None], sigmas)
    labeled = annotated[:, None, :, 2] > 0
    total = np.where(labeled, near, 0.0).sum(axis=-1)
    mean: NDArray[np.float64] = total / np.maximum(labeled.sum(axis=-1), 1)
    return mean
