"""Metrics of crowds that hypothesis draws: those of pycocotools, whatever the order of anything."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.data.readers.coco import read_annotations
from poselib.metrics.association_errors import classify_keypoints
from poselib.metrics.comparison import compare
from poselib.metrics.diagnosis.diagnose import diagnose
from poselib.metrics.keypoint_ap import keypoint_ap
from poselib.metrics.localization_errors import (
    ap_without_errors,
    classify_localization,
    error_rates,
)
from poselib.metrics.matching import matched_people
from poselib.metrics.oracle_search import oracle_search
from poselib.skeletons import COCO
from poselib.structures import Poses, Sample
from tests.metrics.factories import (
    Entry,
    ap_of,
    assert_same,
    comparison_of,
    plain,
    random_crowd,
)
from tests.strategies import generators, quick, samples, wild

K = len(COCO)


def crowd_of(
    seed: int, images: int, steps: int, equal: bool, scale: float
) -> tuple[Entry, list[Entry]]:
    """Make a crowd whose scores or people may be equal, and a detection of absurd size."""
    truth, results = random_crowd(seed, images)
    for result in results:
        result["score"] = round(result["score"] * steps) / steps if steps else result["score"]
    people = truth["annotations"]
    for n, person in enumerate(people, start=1):  # pycocotools misses a person numbered 0
        person.update(id=n, num_keypoints=sum(seen > 0 for seen in person["keypoints"][2::3]))
    if people and equal:
        same = {name: people[0][name] for name in ("area", "keypoints", "num_keypoints")}
        for person in people:
            person.update(same)
    if results:
        results[0]["keypoints"] = [scale * value for value in results[0]["keypoints"]]
    return truth, results


crowds = st.builds(
    crowd_of,
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 4),
    steps=st.sampled_from([0, 1, 3]),
    equal=st.booleans(),
    scale=st.sampled_from([1.0, 0.0, 1e-30, 1e30]),
)


@quick
@given(crowds, st.sampled_from([1, 3, 20]))
def test_ap_is_that_of_pycocotools(crowd: tuple[Entry, list[Entry]], most: int) -> None:
    truth, results = crowd
    found = list(ap_of(truth, results, COCO, max_detections=most).as_dict().values())
    if results:  # of no results pycocotools knows nothing
        assert_same(found, plain(truth, results, most=most))


@quick
@given(crowds, generators)
def test_the_order_of_images_people_and_results_changes_nothing(
    crowd: tuple[Entry, list[Entry]], rng: np.random.Generator
) -> None:
    truth, results = crowd
    for n, result in enumerate(results):
        result["score"] = (n + rng.uniform(0.1, 0.9)) / len(results)  # none like another
    keys = ("images", "annotations")
    shuffled: dict[str, Any] = {
        k: [truth[k][i] for i in rng.permutation(len(truth[k]))] for k in keys
    }
    other = [results[i] for i in rng.permutation(len(results))]
    one = comparison_of(truth, results, COCO)
    two = comparison_of({**truth, **shuffled}, other, COCO)
    for measure in (keypoint_ap, lambda c: error_rates(classify_localization(c)).to_dict()):
        flat = [np.array(list(_leaves(measure(each)))) for each in (one, two)]
        np.testing.assert_allclose(*flat, atol=1e-12)
    assert ap_of(truth, results, COCO).as_dict() == pytest.approx(
        ap_of({**truth, **shuffled}, other, COCO).as_dict(), nan_ok=True, abs=1e-12
    )


def _leaves(tree: Any) -> Any:
    for value in tree.values():
        yield from _leaves(value) if isinstance(value, dict) else [value]


@quick
@given(crowds)
def test_every_measure_of_any_crowd_is_a_rate(crowd: tuple[Entry, list[Entry]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison = comparison_of(*crowd, COCO)
        classified = classify_localization(comparison)
        rates = [*keypoint_ap(comparison).values(), *ap_without_errors(classified)["AP"]]
        assert all(np.isnan(rate) or 0 <= rate <= 1 for rate in rates)
        error_rates(classified)
        assert all(isinstance(reason, str) for reason in diagnose(comparison))


@quick
@given(samples(), generators, st.integers(0, 5))
def test_any_finite_poses_are_compared_with_any_sample(
    sample: Sample, rng: np.random.Generator, people: int
) -> None:
    scores = wild(rng, people, K, finite=True).abs().numpy() * (rng.random((people, K)) < 0.7)
    points = wild(rng, people, K, 2, finite=True).numpy() * (scores > 0)[..., None]
    poses = Poses(points, scores, rng.random(people).astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classify_keypoints(poses, sample, COCO)
        _, values = matched_people(poses, sample, COCO)
        assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
        moved = oracle_search(poses, sample.keypoints, sample.areas, COCO.sigmas, 5, 2.0)
        assert np.isfinite(moved.keypoints).all()


@pytest.mark.parametrize("field", ["keypoints", "person_scores"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_detections_that_are_not_finite_are_refused(field: str, value: float) -> None:
    truth, _ = random_crowd(0, images=2)
    good = Poses(np.ones((1, K, 2)), np.ones((1, K)), np.ones(1))
    bad = Poses(np.ones((1, K, 2)), np.ones((1, K)), np.ones(1))
    getattr(bad, field).flat[0] = value
    with pytest.raises(ValueError, match=r"detections in image 2: a .* is not finite"):
        compare(read_annotations(truth, COCO), [good, bad], COCO)
