r"""Object keypoint similarity (OKS).

.. math::
    \mathrm{OKS} = \frac{\sum_k \exp\left( -d_k^2 / (2 s^2 \kappa_k^2) \right) [v_k > 0]}
    {\sum_k [v_k > 0]}, \qquad \kappa_k = 2 \sigma_k

with the distance ``d`` of predicted and annotated keypoint, the area ``s²`` of the annotated person
and the visibility ``v`` (HAE, Eq. 19).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from poselib.typing import FloatArray

# Area of a person as a fraction of the box, for annotations without areas: CrowdPose's own rule.
AREA_OF_BOX = 0.53
# pycocotools adds this to areas, so that none is 0.
MIN_AREA = np.spacing(1)


def keypoint_similarity(
    predicted: ArrayLike, ground_truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> FloatArray:
    """Return the similarity of each predicted keypoint to its ground truth, a term of HAE, Eq. 19.

    Args:
        predicted, ground_truth: (..., K, 2) px; all but the last axis are broadcast.
        areas: (...) px², of the ground-truth people.
        sigmas: (K,) OKS constants, ``Skeleton.sigmas``.

    Returns:
        (..., K) float64 from 0 to 1.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(ground_truth, np.float64)
    size = np.asarray(areas, np.float64)[..., None] + MIN_AREA
    scale = 2 * size * (2 * np.asarray(sigmas, np.float64)) ** 2
    similarity: FloatArray = np.exp(-(difference**2).sum(axis=-1) / scale)
    return similarity


def object_keypoint_similarity(
    predicted: ArrayLike, ground_truth: ArrayLike, areas: ArrayLike, sigmas: ArrayLike
) -> FloatArray:
    """Return the OKS of every ground-truth person and every detection (HAE, Eq. 19).

    Args:
        predicted: (P, K, 2) px.
        ground_truth: (N, K, 3) px and visibility; keypoints of visibility 0 do not count.
        areas: (N,) px², of the ground-truth people.
        sigmas: (K,) OKS constants, ``Skeleton.sigmas``.

    Returns:
        (N, P) float64 from 0 to 1; 0 for people without a labeled keypoint.

    Raises:
        ValueError: a shape does not fit.

    Example:
        >>> ground_truth = [[[10, 10, 2], [0, 0, 0]]]  # the second keypoint is not labeled
        >>> predicted = [[[12, 10], [5, 5]]]
        >>> oks = object_keypoint_similarity(predicted, ground_truth, [100], [0.1, 0.1])
        >>> oks.round(3).tolist()  # exp(-2² / (2 * 100 * 0.2²))
        [[0.607]]
    """
    people, annotated = np.asarray(predicted, np.float64), np.asarray(ground_truth, np.float64)
    size, count = np.asarray(areas, np.float64), np.size(sigmas)
    fits = (
        annotated.shape[1:] == (count, 3)
        and people.shape[1:] == (count, 2)
        and size.shape == annotated.shape[:1]
    )
    if not fits:
        raise ValueError(
            f"predicted, ground_truth and areas must be (P, K, 2), (N, K, 3) and (N,) with K = "
            f"{count}, not {people.shape}, {annotated.shape} and {size.shape}"
        )
    similarity = keypoint_similarity(people, annotated[:, None, :, :2], size[:, None], sigmas)
    labeled = annotated[:, None, :, 2] > 0
    total = np.where(labeled, similarity, 0.0).sum(axis=-1)
    mean: FloatArray = total / np.maximum(labeled.sum(axis=-1), 1)
    return mean
