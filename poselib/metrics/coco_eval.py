"""Precision and recall over object keypoint similarity, matched and counted by faster-coco-eval.

It counts as pycocotools does, the reference, and gives the same numbers to within 1e-15.
"""

from __future__ import annotations

from typing import Any

import faster_coco_eval as coco
import numpy as np
from numpy.typing import NDArray

from poselib.metrics.comparison import Comparison
from poselib.typing import FloatArray


def precision_and_recall(comparison: Comparison) -> tuple[FloatArray, FloatArray]:
    """Match detections to annotated people and count both as COCO does.

    Returns:
        Precision (T, R, C, A) at T similarities, R recalls, of C categories, in A sizes: of all
        people, of 32² to 96² px² and from 96² px² on; and recall (T, C, A). Both are -1 where no
        annotated person counts.
    """
    matrices = _oks_matrices(comparison)

    class Evaluation(coco.COCOeval_faster):
        """Reads similarities that are known; computing them by image takes longer than the rest."""

        def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802
            return matrices.get((int(imgId), int(catId)), [])

    truth, found = comparison.truth, comparison.found
    annotated = _entries(
        image_id=truth.images,
        category_id=truth.categories,
        area=truth.areas,
        iscrowd=truth.crowds,
        num_keypoints=~truth.ignored,
    )
    detected = _entries(
        image_id=found.images, category_id=found.categories, area=found.areas, score=found.scores
    )
    evaluation = Evaluation(
        _index(coco.COCO(), comparison, annotated),
        _index(coco.COCO(), comparison, detected),
        "keypoints",
    )
    evaluation.params.imgIds = list(range(len(comparison.images)))
    evaluation.params.catIds = list(range(len(truth.category_ids)))
    evaluation.params.maxDets = [comparison.max_detections]
    evaluation.params.kpt_oks_sigmas = np.array(comparison.skeleton.sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    values = evaluation.eval
    return np.asarray(values["precision"])[..., 0], np.asarray(values["recall"])[..., 0]


def _oks_matrices(comparison: Comparison) -> dict[tuple[int, int], FloatArray]:
    """OKS (detections, annotated people) by the positions of image and category."""
    pairs, values = comparison.pairs, comparison.oks
    (best,) = np.nonzero(pairs.ranks == 0)
    sizes = np.diff(np.append(best, len(pairs.order)))
    keys = np.stack([comparison.found.images, comparison.found.categories], axis=1)
    columns = keys[pairs.order[best]], pairs.starts[best], sizes, pairs.counts[best]
    return {
        (image, category): values[start : start + rows * people].reshape(rows, people)
        for (image, category), start, rows, people in zip(
            *(column.tolist() for column in columns), strict=True
        )
        if people
    }


def _index(index: Any, comparison: Comparison, annotations: list[dict[str, Any]]) -> Any:
    """Fill an index; images and categories are numbered by position, not by their ids."""
    index.dataset = {
        "images": [{"id": n} for n in range(len(comparison.images))],
        "categories": [{"id": n} for n in range(len(comparison.truth.category_ids))],
        "annotations": annotations,
    }
    index.createIndex()
    return index


def _entries(**columns: NDArray[Any]) -> list[dict[str, Any]]:
    # Numbered from 1: the evaluation takes a match with number 0 for no match.
    count = len(columns["image_id"])
    rows = zip(range(1, count + 1), *(c.tolist() for c in columns.values()), strict=True)
    return [dict(zip(("id", *columns), row, strict=True)) for row in rows]
