"""Average precision of each keypoint type."""

from __future__ import annotations

import numpy as np

from poselib.metrics.coco_eval import RECALLS, THRESHOLDS
from poselib.metrics.comparison import Comparison
from poselib.metrics.matching import match_people
from poselib.ops.oks import keypoint_similarity
from poselib.typing import BoolArray, FloatArray, IntArray

MIN_OKS = 0.1


def keypoint_ap(comparison: Comparison) -> dict[str, float]:
    """Measure COCO's average precision of each keypoint type; NaN where none is labeled.

    COCO defines no such number. Detections are matched once, as in the evaluations of MPII and
    PoseTrack: best score first, each to the free annotated person of the greatest OKS, from 0.1 on
    as in the error analysis of Ronchi and Perona (2017). From there
    on every keypoint counts on its own, as COCO counts people: its similarity
    ``exp(-d² / (2 s² k²))`` is compared with 0.50, 0.55, ..., 0.95, precision over the ranked
    scores of the people is interpolated at 101 recalls, and AP is the mean. A keypoint of an
    unmatched detection is a false positive. A keypoint does not count where the matched person's
    is not labeled, where the matched person is a crowd or has no labeled keypoint, or where it was
    not found (0, 0, 0 in the results): then it is only missed.

    Returns:
        AP by the name of the keypoint, from 0 to 1.
    """
    skeleton, order = comparison.skeleton, comparison.pairs.order
    each, counted = _keypoints(comparison, match_people(comparison, MIN_OKS))
    # Across images as within them: of equal scores the first comes first.
    ranked = np.argsort(-comparison.found.scores[order], kind="stable")
    truth = comparison.truth
    labeled = (truth.labeled & ~truth.ignored[:, None]).sum(axis=0)
    return {
        name: _average_precision(each[ranked, k], counted[ranked, k], int(labeled[k]))
        for k, name in enumerate(skeleton.keypoints)
    }


def _keypoints(comparison: Comparison, matched: IntArray) -> tuple[FloatArray, BoolArray]:
    """Similarity (D, K) of each keypoint to that of the matched person, and whether it counts."""
    truth, found, order = comparison.truth, comparison.found, comparison.pairs.order
    sigmas = comparison.skeleton.sigmas
    each = np.zeros((len(order), len(sigmas)))
    counted = found.present[order]
    (hit,) = np.nonzero(matched >= 0)
    person, candidate = matched[hit], order[hit]
    here, there = found.keypoints[candidate, :, :2], truth.keypoints[person, :, :2]
    each[hit] = keypoint_similarity(here, there, truth.areas[person], sigmas)
    counted[hit] &= truth.labeled[person] & ~truth.ignored[person, None]
    return each, counted


def _average_precision(values: FloatArray, counted: BoolArray, labeled: int) -> float:
    """COCO's average precision of one keypoint: values (D,) by rank, of which some count."""
    if not labeled:
        return float("nan")
    hits = (values[counted] >= THRESHOLDS[:, None]).cumsum(axis=1)
    recall = hits / labeled
    precision = hits / np.arange(1, hits.shape[1] + 1)
    best_after = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # Recalls that are never reached have precision 0.
    padded = np.concatenate([best_after, np.zeros((len(THRESHOLDS), 1))], axis=1)
    levels = [row[np.searchsorted(r, RECALLS)] for r, row in zip(recall, padded, strict=True)]
    return float(np.mean(levels))
