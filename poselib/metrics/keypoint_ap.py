"""Average precision of each keypoint type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poselib.metrics.coco_tables import Comparison, Entry, compare, read_truth
from poselib.metrics.matching import match_people
from poselib.metrics.pairwise_oks import pair_detections, similarity
from poselib.ops.oks import keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.typing import BoolArray, FloatArray, IntArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)


def keypoint_ap(
    ground_truth: Entry | Path,
    results: Sequence[Entry],
    skeleton: Skeleton,
    image_ids: Sequence[int] | None = None,
    max_detections: int = 20,
    *,
    least_similarity: float = 0.1,
) -> dict[str, float]:
    """Return COCO's average precision of each keypoint type by name; NaN where none is labeled.

    COCO defines none. People are matched once, as the evaluations of MPII and PoseTrack match
    them before they count joints: by the whole person, best score first, each to the free person
    of the greatest OKS. From there on each keypoint is on its own and counted as COCO counts
    people: its similarity ``exp(-d² / (2 s² k²))`` is held against 0.50, 0.55, ..., 0.95,
    precision over the ranked scores of the people is interpolated at 101 recalls, and AP is the
    mean. A keypoint of someone who matches nobody is a false positive. A keypoint does not count
    where the matched person's is not labeled, where the person matched is a crowd or has no
    labeled keypoint, or where it was not found (0, 0, 0 in the results): then it is only missed.

    Args:
        ground_truth, results, skeleton, image_ids, max_detections: as in ``evaluate_ap``.
        least_similarity: OKS from which people match; 0.1 is what the error analysis of Ronchi
            and Perona (2017) uses.

    Raises:
        FileNotFoundError, ValueError: as ``evaluate_ap`` does.
    """
    content = read_truth(ground_truth)
    comparison = compare(content, results, len(skeleton), image_ids)
    pairs = pair_detections(comparison, max_detections)
    values = similarity(comparison, pairs, skeleton.sigmas)
    matched = match_people(comparison, pairs, values, least_similarity)
    each, counted = _keypoints(comparison, pairs.order, matched, skeleton)
    # Across images as within them: of equal scores the first comes first.
    ranked = np.argsort(-comparison.found.scores[pairs.order], kind="stable")
    truth = comparison.truth
    labeled = (truth.labeled & ~truth.ignored[:, None]).sum(axis=0)
    return {
        name: _average_precision(each[ranked, k], counted[ranked, k], int(labeled[k]))
        for k, name in enumerate(skeleton.keypoints)
    }


def _keypoints(
    comparison: Comparison, order: IntArray, matched: IntArray, skeleton: Skeleton
) -> tuple[FloatArray, BoolArray]:
    """Similarity (D, K) of each keypoint to that of the matched person, and whether it counts."""
    truth, found = comparison.truth, comparison.found
    each = np.zeros((len(order), len(skeleton)))
    counted = found.present[order]
    (hit,) = np.nonzero(matched >= 0)
    person, candidate = matched[hit], order[hit]
    here, there = found.keypoints[candidate, :, :2], truth.keypoints[person, :, :2]
    each[hit] = keypoint_similarity(here, there, truth.areas[person], skeleton.sigmas)
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
