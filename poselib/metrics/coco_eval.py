"""Precision and recall over object keypoint similarity, through one of two evaluations."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poselib.metrics.comparison import Comparison
from poselib.typing import FloatArray

Chosen = Literal["faster", "pycocotools"]
Backend = Literal["auto"] | Chosen


@dataclass(frozen=True)
class Curves:
    """Precision and recall; -1 where no annotated person counts.

    Attributes:
        precision: (T, R, C, A) at T similarities, R recalls, of C categories, in A sizes: of
            all people, of 32² to 96² px² and from 96² px² on.
        recall: (T, C, A).
    """

    precision: FloatArray
    recall: FloatArray


def chosen_backend(backend: Backend) -> Chosen:
    """Return the evaluation that a name stands for; raises ValueError if it cannot be had."""
    if backend not in ("auto", "faster", "pycocotools"):
        raise ValueError(f"backend must be 'auto', 'faster' or 'pycocotools', not {backend!r}")
    if backend == "pycocotools":
        return backend
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError as error:
        if backend == "faster":
            raise ValueError(f"backend 'faster' needs faster-coco-eval: {error}") from error
        return "pycocotools"
    return "faster"


def curves(comparison: Comparison, backend: Chosen) -> Curves:
    """Match detections to annotated people and count both as COCO does.

    Args:
        comparison: annotated people and detections.
        backend: the evaluation that matches and counts.
    """
    evaluation = (_faster if backend == "faster" else _plain)(comparison)
    return Curves(
        np.asarray(evaluation["precision"])[..., 0], np.asarray(evaluation["recall"])[..., 0]
    )


def _plain(comparison: Comparison) -> dict[str, Any]:
    truth, found = _truth_entries(comparison), _found_entries(comparison)
    people = zip(truth, comparison.truth.keypoints, comparison.truth.boxes, strict=True)
    for entry, points, box in people:
        entry.update(keypoints=points.ravel(), bbox=box)
    for entry, points in zip(found, comparison.found.keypoints, strict=True):
        entry["keypoints"] = points.ravel()
    # pycocotools reports on stdout at every step.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _indexed(COCO(), comparison, truth), _indexed(COCO(), comparison, found), "keypoints"
        )
        _set(evaluation.params, comparison)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def _faster(comparison: Comparison) -> dict[str, Any]:
    import faster_coco_eval as fast

    matrices = _matrices(comparison)

    class CocoEvaluation(fast.COCOeval_faster):
        """Reads similarities that are known; computing them by image takes longer than the rest."""

        def computeOks(self, imgId: int, catId: int) -> Any:  # noqa: N802
            return matrices.get((int(imgId), int(catId)), [])

    evaluation = CocoEvaluation(
        _indexed(fast.COCO(), comparison, _truth_entries(comparison)),
        _indexed(fast.COCO(), comparison, _found_entries(comparison)),
        "keypoints",
    )
    _set(evaluation.params, comparison)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval


def _matrices(comparison: Comparison) -> dict[tuple[int, int], FloatArray]:
    """Similarities (found, annotated) by the positions of image and category."""
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


def _set(params: Any, comparison: Comparison) -> None:
    params.imgIds = list(range(len(comparison.images)))
    params.catIds = list(range(len(comparison.truth.category_ids)))
    params.maxDets = [comparison.max_detections]
    params.kpt_oks_sigmas = np.array(comparison.skeleton.sigmas)


def _indexed(index: Any, comparison: Comparison, annotations: list[dict[str, Any]]) -> Any:
    """Fill an index; images and categories are numbered by position, not by their ids."""
    index.dataset = {
        "images": [{"id": n} for n in range(len(comparison.images))],
        "categories": [{"id": n} for n in range(len(comparison.truth.category_ids))],
        "annotations": annotations,
    }
    index.createIndex()
    return index


def _truth_entries(comparison: Comparison) -> list[dict[str, Any]]:
    truth = comparison.truth
    names = ("image_id", "category_id", "area", "iscrowd", "num_keypoints")
    columns = (truth.images, truth.categories, truth.areas, truth.crowds, ~truth.ignored)
    return _entries(names, columns)


def _found_entries(comparison: Comparison) -> list[dict[str, Any]]:
    found = comparison.found
    columns = (found.images, found.categories, found.areas, found.scores)
    return _entries(("image_id", "category_id", "area", "score"), columns)


def _entries(names: tuple[str, ...], columns: tuple[NDArray[Any], ...]) -> list[dict[str, Any]]:
    # Numbered from 1: both evaluations take a match with number 0 for no match.
    rows = zip(range(1, len(columns[0]) + 1), *(c.tolist() for c in columns), strict=True)
    return [dict(zip(("id", *names), row, strict=True)) for row in rows]
