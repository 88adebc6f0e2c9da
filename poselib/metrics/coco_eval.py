"""Precision and recall over object keypoint similarity, to the last bit those of pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poselib.metrics.comparison import Comparison
from poselib.metrics.matching import match_by_setting
from poselib.typing import BoolArray, FloatArray, IntArray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
# px²: all people, those of 32² to 96² px² and those from 96² px² on.
AREAS = np.array([[0, 1e10], [32**2, 96**2], [96**2, 1e10]])


@dataclass(frozen=True)
class Outcomes:
    """What COCO counts of D detections and N people, at T similarities and in A ranges of sizes.

    Attributes:
        right: (A, T, D) true for detections that are matched to a person who counts.
        counted: (A, T, D) false for detections that neither help nor hurt.
        images, categories: (D,) of the detections, which are in the order of categories and, within
            one, of falling scores.
        people: (N, A) true for people who count.
        people_images, people_categories: (N,).
        kinds: C, how many categories there are.
    """

    right: BoolArray
    counted: BoolArray
    images: IntArray
    categories: IntArray
    people: BoolArray
    people_images: IntArray
    people_categories: IntArray
    kinds: int

    def at(self, images: Sequence[int]) -> Outcomes:
        """Return the outcomes in the images at some positions, in their order in the dataset."""
        here = np.isin(self.images, images)
        people = np.isin(self.people_images, images)
        return replace(
            self,
            right=self.right[..., here],
            counted=self.counted[..., here],
            images=self.images[here],
            categories=self.categories[here],
            people=self.people[people],
            people_images=self.people_images[people],
            people_categories=self.people_categories[people],
        )

    def precision_and_recall(self) -> tuple[FloatArray, FloatArray]:
        """Count detections by falling score as COCO does.

        Returns:
            Precision (T, R, C, A) at T similarities, R recalls, of C categories, in A ranges of
            sizes; and recall (T, C, A). Both are -1 where no annotated person counts.
        """
        sizes, levels, _ = self.right.shape
        precision = np.full((levels, len(RECALLS), self.kinds, sizes), -1.0)
        recall = np.full((levels, self.kinds, sizes), -1.0)
        for kind in range(self.kinds):
            rows = slice(*np.searchsorted(self.categories, (kind, kind + 1)))
            totals = np.count_nonzero(self.people[self.people_categories == kind], axis=0)
            for size, level in np.ndindex(sizes, levels):
                if total := int(totals[size]):
                    right, counted = self.right[size, level, rows], self.counted[size, level, rows]
                    curve = _precision_and_recall(right, counted, total)
                    precision[level, :, kind, size], recall[level, kind, size] = curve
        return precision, recall


def outcomes(comparison: Comparison) -> Outcomes:
    """Match detections to annotated people as COCO does, at all similarities and sizes."""
    truth, found, order = comparison.truth, comparison.found, comparison.pairs.order
    sizes, levels = len(AREAS), len(THRESHOLDS)
    people = ~truth.ignored[:, None] & _within(truth.areas)
    ignored = np.repeat(~people, levels, axis=1)
    matched = match_by_setting(comparison, np.tile(THRESHOLDS, sizes), ignored)
    # Across images as within them: of equal scores the first comes first.
    ranked = np.lexsort((-found.scores[order], found.categories[order]))
    counted = np.repeat(_within(found.areas[order[ranked]]).T, levels, axis=0)
    right = np.zeros(counted.shape, dtype=bool)
    rows, settings = np.nonzero(matched >= 0)
    at = settings, np.argsort(ranked)[rows]
    right[at] = counted[at] = ~ignored[matched[rows, settings], settings]
    order = order[ranked]
    return Outcomes(
        right=right.reshape(sizes, levels, -1),
        counted=counted.reshape(sizes, levels, -1),
        images=found.images[order],
        categories=found.categories[order],
        people=people,
        people_images=truth.images,
        people_categories=truth.categories,
        kinds=len(truth.category_ids),
    )


def _within(areas: FloatArray) -> BoolArray:
    """(N, A) true for areas (N,) in a range of sizes; the bounds belong to both sides."""
    return ~((areas[:, None] < AREAS[:, 0]) | (areas[:, None] > AREAS[:, 1]))


def _precision_and_recall(
    right: BoolArray, counted: BoolArray, people: int
) -> tuple[FloatArray, float]:
    """Precision (R,) and the greatest recall of detections (D,) by falling score."""
    precision = np.zeros(len(RECALLS))
    (hits,) = np.nonzero(right)  # between them precision only falls
    so_far = np.arange(1.0, len(hits) + 1)
    recalls = so_far / people
    best = so_far / (np.cumsum(counted)[hits] + np.spacing(1))
    best = np.maximum.accumulate(best[::-1])[::-1]
    at = np.searchsorted(recalls, RECALLS)
    at = at[at < len(hits)]  # recalls that are never reached have precision 0
    precision[: len(at)] = best[at]
    return precision, float(recalls.max(initial=0))
