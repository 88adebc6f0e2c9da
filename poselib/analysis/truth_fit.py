"""Poses of one person compared keypoint by keypoint with the annotated person they fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poselib.ops.oks import keypoint_similarity, object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.typing import FloatArray


@dataclass(frozen=True, eq=False)
class TruthFit:
    """How poses of one person fit the annotated person whose pose the last of them is most like.

    Attributes:
        person: index of the annotated person.
        points: (K, 3) px and visibility, as annotated.
        errors: (P, K) px; NaN for keypoints that are not labeled.
        similarities: (P, K) terms of OKS; NaN for these too.
        oks: (P,).
        rivals: (K,) index of another annotated person, to whose keypoint the last pose's is nearer
            than to this one's; -1 for none.
    """

    person: int
    points: FloatArray
    errors: FloatArray
    similarities: FloatArray
    oks: FloatArray
    rivals: NDArray[np.int64]


def fit_to_truth(poses: FloatArray, sample: Sample, skeleton: Skeleton) -> TruthFit | None:
    """Compare poses (P, K, 2) of one person with the people of the sample; None without any."""
    truth = sample.keypoints.astype(np.float64)
    labeled = truth[..., 2] > 0
    if not labeled.any():
        return None
    sigmas = skeleton.sigmas
    apart = np.linalg.norm(poses[:, None] - truth[None, ..., :2], axis=-1)  # (P, N, K)
    apart[:, ~labeled] = np.nan
    oks = object_keypoint_similarity(poses, truth, sample.areas, sigmas)
    means = np.full(len(truth), np.inf)
    some = labeled.any(axis=1)
    means[some] = np.nanmean(apart[-1, some], axis=1)
    person = int(oks[:, -1].argmax()) if oks[:, -1].any() else int(means.argmin())
    last = np.where(labeled, apart[-1], np.inf)
    nearest = last.argmin(axis=0)
    rivals = np.where(labeled[person] & (nearest != person), nearest, -1)
    similar = keypoint_similarity(poses, truth[person, :, :2], sample.areas[person], sigmas)
    similar[:, ~labeled[person]] = np.nan
    return TruthFit(person, truth[person], apart[:, person], similar, oks[person], rivals)
