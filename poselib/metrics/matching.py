"""Which person found is which annotated one."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from poselib.metrics.comparison import Comparison
from poselib.metrics.pairwise_oks import concatenated_ranges
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import FloatArray, IntArray


def matched_oks(poses: Poses, sample: Sample, skeleton: Skeleton) -> FloatArray:
    """Return how well each annotated person was found: its OKS with a person of its own.

    People are matched one to one so that the similarities add up to the most.

    Args:
        poses: people found, px of the sample's image.
        sample: the image's annotated people.
        skeleton: gives the OKS constants.

    Returns:
        (N,) from 0 to 1; 0 for who was matched to nobody, NaN for who has no labeled keypoint.
    """
    return matched_people(poses, sample, skeleton)[1]


def matched_people(poses: Poses, sample: Sample, skeleton: Skeleton) -> tuple[IntArray, FloatArray]:
    """Return who was found of each annotated person, matched as by ``matched_oks``.

    Args:
        poses, sample, skeleton: as there.

    Returns:
        (N,) int64 numbers of people found, -1 for nobody; and their similarity, as there.
    """
    values = object_keypoint_similarity(
        poses.keypoints, sample.keypoints, sample.areas, skeleton.sigmas
    )
    rows, columns = linear_sum_assignment(-values)
    partners, matched = np.full(len(values), -1, np.int64), np.zeros(len(values))
    matched[rows] = values[rows, columns]
    partners[rows] = np.where(matched[rows] > 0, columns, -1)
    matched[~(sample.keypoints[..., 2] > 0).any(axis=1)] = np.nan
    return partners, matched


def match_people(comparison: Comparison, min_oks: float) -> IntArray:
    """Match detections to annotated people as COCO does.

    Best score first, each detection is matched to the most similar free person that counts; if
    there is none, to one that is ignored, and crowds are matched as often as need be.

    Args:
        comparison: annotated people and detections.
        min_oks: similarity from which two may match.

    Returns:
        (D,) for each of ``comparison.pairs.order`` its row of ``comparison.truth``; -1 where
        unmatched.
    """
    truth, pairs, values = comparison.truth, comparison.pairs, comparison.oks
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
            value = np.where(usable & (values[chosen] >= min_oks), values[chosen], -1.0)
            best = np.maximum.reduceat(value, np.cumsum(counts) - counts)
            at_best = (value == np.repeat(best, counts)) & (value >= 0)
            # Of equals the last is kept, as pycocotools does.
            matched[np.repeat(rows, counts)[at_best]] = candidate[at_best]
            free[matched[rows][matched[rows] >= 0]] = False
    return matched
