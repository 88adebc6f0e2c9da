"""Pairs of detections and annotated people, and their OKS."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pycocotools.coco
import pytest
from pycocotools.cocoeval import COCOeval

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics import pairwise_oks as module
from poselib.metrics.comparison import Comparison
from poselib.skeletons import COCO
from tests.metrics.factories import comparison_of


def workload(images: int = 40, seed: int = 0) -> Comparison:
    return comparison_of(*evaluation_workload(COCO, images, seed), COCO)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_pairs_are_those_of_a_loop_over_images(most: int) -> None:
    comparison = workload()
    expected, ranks = [], []
    for image in range(len(comparison.images)):
        (found,) = np.nonzero(comparison.found.images == image)
        (people,) = np.nonzero(comparison.truth.images == image)
        best = sorted(found, key=lambda i: -comparison.found.scores[i])[:most]
        ranks += range(len(best))
        expected += [(int(f), int(t)) for f in best for t in people]
    pairs = replace(comparison, max_detections=most).pairs
    assert list(zip(pairs.found.tolist(), pairs.truth.tolist(), strict=True)) == expected
    assert pairs.ranks.tolist() == ranks and pairs.counts.sum() == len(expected)


def test_similarity_equals_that_of_pycocotools_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 7)  # several parts
    truth, results = evaluation_workload(COCO, 60, seed=1)
    comparison = comparison_of(truth, results, COCO)
    values = comparison.oks
    with contextlib.redirect_stdout(io.StringIO()):
        index = pycocotools.coco.COCO()
        index.dataset = truth
        index.createIndex()
        evaluation = COCOeval(index, index.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(COCO.sigmas)
        evaluation.evaluate()
    expected = [np.ravel(evaluation.ious[image, 1]) for image in comparison.images]
    assert len(values) > 300 and (comparison.truth.labeled.sum(1) == 0).any()
    np.testing.assert_array_equal(values, np.concatenate(expected))


def test_the_most_similar_is_that_of_a_loop() -> None:
    truth, results = evaluation_workload(COCO, 40, seed=2)
    comparison = comparison_of(truth, results[:60], COCO)
    best, who = comparison.best_oks()
    pairs = comparison.pairs
    values = comparison.oks
    for person, (value, found) in enumerate(zip(best, who, strict=True)):
        mine = pairs.truth == person
        assert value == values[mine].max(initial=0) and (found >= 0) == mine.any()
        assert found < 0 or value in values[mine & (pairs.found == found)]
    assert (who < 0).any() and (best > 0.5).any()


def test_no_people_or_detections_make_no_pairs() -> None:
    truth, results = evaluation_workload(COCO, 5)
    for content, found in (({**truth, "annotations": []}, results), (truth, [])):
        comparison = comparison_of(content, found, COCO)
        pairs = comparison.pairs
        assert len(pairs.found) == len(pairs.truth) == 0
        assert len(pairs.order) == len(pairs.counts)
        assert comparison.oks.shape == (0,)
