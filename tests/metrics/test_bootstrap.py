"""The paired bootstrap over images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from poselib.metrics.ap import evaluate_ap
from poselib.metrics.bootstrap import APGain, ap_gain, resampled_ap
from poselib.metrics.coco_eval import outcomes
from poselib.skeletons import COCO
from tests.metrics.factories import (
    CENTER,
    ap_of,
    comparison_of,
    person,
    random_crowd,
    result,
    truth_of,
)

K = len(COCO)


def repeated(truth: Any, results: Any, times: list[int]) -> tuple[Any, Any]:
    """The dataset with each image as often as ``times`` say, under ids of their own."""
    ids = [image["id"] for image in truth["images"] for _ in range(times[image["id"] - 1])]
    people: list[Any] = []
    found: list[Any] = []
    for new, old in enumerate(ids, start=1):
        for entry in truth["annotations"]:
            if entry["image_id"] == old:
                people.append({**entry, "image_id": new, "id": len(people) + 1})
        found += [{**each, "image_id": new} for each in results if each["image_id"] == old]
    images = [{"id": n + 1} for n in range(len(ids))]
    return {**truth, "images": images, "annotations": people}, found


@pytest.mark.parametrize("seed", range(3))
def test_repeated_images_count_as_often(seed: int) -> None:
    truth, results = random_crowd(seed, images=20)
    times = np.random.default_rng(seed).multinomial(20, np.full(20, 1 / 20), 3)
    times[2] = 1
    found = resampled_ap(outcomes(comparison_of(truth, results, COCO)), times)
    expected = [ap_of(*repeated(truth, results, line.tolist()), COCO).AP for line in times]
    assert 0 < min(expected) < max(expected) < 1
    np.testing.assert_allclose(found, expected)


def test_the_interval_is_that_of_the_images_drawn() -> None:
    # One person per image, found exactly or not at all: AP is the recall, to the next of 101.
    count, found = 100, 70
    points = np.column_stack([CENTER + np.arange(2 * K).reshape(K, 2), np.full(K, 2)])
    truth = truth_of([person(points, image_id=n + 1) for n in range(count)], count)
    every = [result(points, 0.9, n + 1) for n in range(count)]
    after, before = (comparison_of(truth, each, COCO) for each in (every, every[:found]))
    gain = ap_gain(before, after, resamples=400)
    assert gain.gain == pytest.approx(evaluate_ap(after).AP - evaluate_ap(before).AP)
    expected = binom.ppf([0.025, 0.975], count, 1 - found / count) / count
    np.testing.assert_allclose(gain[1:], expected, atol=0.03)
    assert str(gain).endswith("] (more)") and str(gain).startswith("+30.7 [+")
    # The same images for both: of equal detections no drawing makes a difference.
    assert ap_gain(before, before, resamples=20) == APGain(0, 0, 0)


def test_no_person_has_no_gain_and_other_images_are_refused() -> None:
    points = np.column_stack([np.ones((K, 2)), np.full(K, 2)])
    empty = comparison_of(truth_of([], 2), [result(points, 0.5)], COCO)
    assert np.isnan(ap_gain(empty, empty, resamples=5)).all()
    with pytest.raises(ValueError, match="in the same images, found 2 and 1 images"):
        ap_gain(empty, comparison_of(truth_of([], 1), [], COCO))
