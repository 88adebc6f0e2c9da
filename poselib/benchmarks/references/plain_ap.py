"""Average precision by pycocotools alone, the way everybody calls it."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def evaluate_plainly(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], sigmas: Sequence[float]
) -> list[float]:
    """Return the ten numbers of ``COCOeval.summarize``: AP, AP50, AP75, M, L and the same of AR."""
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        ground = COCO()
        ground.dataset = truth
        ground.createIndex()
        # It writes areas and numbers into the results.
        found = ground.loadRes([copy.copy(result) for result in results])
        evaluation = COCOeval(ground, found, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(number) for number in evaluation.stats]
