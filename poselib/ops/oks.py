"""Object keypoint similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Area of a person as a share of the box, for annotations without areas: CrowdPose's own rule.
AREA_OF_BOX = 0.53
# What pycocotools adds to areas: nobody has none.
_LEAST_AREA = np.spacing(1)


def object_keypoint_similarity(
    found: ArrayLike, truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> NDArray[np.float64]:
    """Return the similarity of every annotated person to every person found (HAE, Eq. 19).

    The mean over a person's labelled keypoints of ``exp(-d² / (2 s² k²))``, with the distance d,
    the area s² and ``k = 2 sigma``.

    Args:
        found: (P, K, 2) px.
        truth: (N, K, 3) px and visibility; 0 does not count.
        areas: (N,) px².
        sigmas: (K,) constants of the keypoints, ``Skeleton.sigmas``.

    Returns:
        (N, P) from 0 to 1; 0 for people without a labelled keypoint.

    Raises:
        ValueError: a shape does not fit.
    """
    people, annotated = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    size, spread = np.asarray(areas, np.float64), np.asarray(sigmas, np.float64)
    fits = (
        annotated.shape[1:] == (len(spread), 3)
        and people.shape[1:] == (len(spread), 2)
        and size.shape == annotated.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"found, truth and areas must be (P, K, 2), (N, K, 3) and (N,) with K = {len(spread)}, "
            f"not {people.shape}, {annotated.shape} and {size.shape}"
        )
    square = ((annotated[:, None, :, :2] - people[None]) ** 2).sum(axis=-1)
    scale = 2 * (size[:, None, None] + _LEAST_AREA) * (2 * spread) ** 2
    labelled = annotated[:, None, :, 2] > 0
    total = np.where(labelled, np.exp(-square / scale), 0.0).sum(axis=-1)
    mean: NDArray[np.float64] = total / np.maximum(labelled.sum(axis=-1), 1)
    return mean
