"""Match detections to annotated people, greedily as COCO does or one to one by total OKS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.metrics.comparison import Comparison
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import BoolArray, FloatArray, IntArray


def check_people(
    where: str, poses: Poses, people: NDArray[Any], sizes: NDArray[Any], keypoints: int
) -> None:
    """Raise ValueError unless detections fit annotated people (N, K, 3) with one size (N,) each."""
    shapes = poses.keypoints.shape, people.shape, sizes.shape
    if shapes != ((len(poses), keypoints, 2), (len(sizes), keypoints, 3), (len(sizes),)):
        raise ValueError(
            f"{where}: detections, annotated people and their sizes must be (P, K, 2), (N, K, 3) "
            f"and (N,) with K = {keypoints}, not {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )


def assign_one_to_one(similarity: FloatArray) -> IntArray:
    """Assign rows to columns so that the similarities add up to the most (Hungarian method).

    Args:
        similarity: (N, M) from 0.

    Returns:
        (N,) int64 columns; -1 for rows without a column of their own that is similar at all.
    """
    rows, columns = linear_sum_assignment(-similarity)
    assigned = np.full(len(similarity), -1, dtype=np.int64)
    assigned[rows] = np.where(similarity[rows, columns] > 0, columns, -1)
    return assigned


def matched_people(poses: Poses, sample: Sample, skeleton: Skeleton) -> tuple[IntArray, FloatArray]:
    """Match the detections of an image to its annotated people, one to one by OKS.

    Args:
        poses: detections, px of the sample's image.
        sample: the annotated people.

    Returns:
        (N,) int64, the detection of each annotated person, -1 if it has none; and (N,) their OKS
        from 0 to 1, NaN for people without a labeled keypoint.
    """
    oks = object_keypoint_similarity(
        poses.keypoints, sample.keypoints, sample.areas, skeleton.sigmas
    )
    partners = assign_one_to_one(oks)
    matched = np.zeros(len(oks))
    (rows,) = np.nonzero(partners >= 0)
    matched[rows] = oks[rows, partners[rows]]
    matched[~(sample.keypoints[..., 2] > 0).any(axis=1)] = np.nan
    return partners, matched


def match_people(comparison: Comparison, min_oks: float) -> IntArray:
    """Match detections to annotated people as COCO does.

    Best score first, each detection is matched to the most similar free person that counts; if
    there is none, to one that is ignored, and crowds are matched as often as need be.

    Args:
        min_oks: OKS from which two may match.

    Returns:
        (D,) int64 for each of ``comparison.pairs.order`` its row of ``comparison.truth``; -1 where
        unmatched.
    """
    ignored = comparison.truth.ignored[:, None]
    return match_by_setting(comparison, np.array([min_oks]), ignored).ravel()


def match_by_setting(comparison: Comparison, min_oks: FloatArray, ignored: BoolArray) -> IntArray:
    """Match detections to annotated people as COCO does, in S settings at once.

    Args:
        min_oks: (S,) OKS from which two may match.
        ignored: (N, S) true for people who neither help nor hurt, all crowds among them.

    Returns:
        (D, S) int64, as ``match_people``.
    """
    pairs, oks = comparison.pairs, comparison.oks
    matched = np.full((len(pairs.order), len(min_oks)), -1, dtype=np.int64)
    free = np.ones(ignored.shape, dtype=bool)
    rows = np.repeat(np.arange(len(pairs.order)), pairs.counts)
    (similar,) = np.nonzero(oks >= min_oks.min())
    # By rank, and for each detection the preferred last: of equals the last, as pycocotools does.
    similar = similar[np.lexsort((oks[similar], rows[similar], pairs.ranks[rows[similar]]))]
    rows, people, oks = rows[similar], pairs.truth[similar], oks[similar]
    ranks = pairs.ranks[rows]
    for rank in np.unique(ranks):
        here = slice(*np.searchsorted(ranks, (rank, rank + 1)))
        row, first = np.unique(rows[here], return_index=True)
        candidate = people[here]
        usable = (oks[here, None] >= min_oks) & free[candidate]
        # People who count come before all others.
        order = 1 + np.arange(len(candidate))[:, None] + len(candidate) * ~ignored[candidate]
        best = np.maximum.reduceat(np.where(usable, order, 0), first, axis=0)
        which, setting = np.nonzero(best)
        person = candidate[(best[which, setting] - 1) % len(candidate)]
        matched[row[which], setting] = person
        free[person, setting] = comparison.truth.crowds[person]
    return matched
