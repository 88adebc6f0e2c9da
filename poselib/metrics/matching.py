"""Match detections to annotated people, greedily as COCO does or one to one by total OKS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.metrics.comparison import Comparison
from poselib.metrics.pairwise_oks import concatenated_ranges
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import FloatArray, IntArray


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
    truth, pairs, oks = comparison.truth, comparison.pairs, comparison.oks
    matched = np.full(len(pairs.order), -1, dtype=np.int64)
    free = np.ones(len(truth), dtype=bool)
    starts = pairs.starts
    for rank in range(int(pairs.ranks.max(initial=-1)) + 1):
        (rows,) = np.nonzero((pairs.ranks == rank) & (pairs.counts > 0))
        for people in (~truth.ignored, truth.ignored):
            rows = rows[matched[rows] < 0]
            counts = pairs.counts[rows]
            if not len(rows):
                break
            chosen = concatenated_ranges(starts[rows], counts)
            candidate = pairs.truth[chosen]
            usable = people[candidate] & (free | truth.crowds)[candidate]
            value = np.where(usable & (oks[chosen] >= min_oks), oks[chosen], -1.0)
            best = np.maximum.reduceat(value, np.cumsum(counts) - counts)
            at_best = (value == np.repeat(best, counts)) & (value >= 0)
            # Of equals the last is kept, as pycocotools does.
            matched[np.repeat(rows, counts)[at_best]] = candidate[at_best]
            free[matched[rows][matched[rows] >= 0]] = False
    return matched
