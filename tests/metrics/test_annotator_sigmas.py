"""Known sigmas are recovered from simulated annotators; what cannot be estimated is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.annotations import AnnotationTable
from poselib.metrics.annotator_sigmas import MIN_PAIRS, estimate_sigmas
from poselib.skeletons import Skeleton
from tests.strategies import generators, quick

HAND = Skeleton("hand", ("wrist", "thumb", "tip"), (0.5, 0.5, 0.5), (), ())
SIGMAS = np.array([0.1, 0.02, 0.05])


def crowd(rng: np.random.Generator, images: int, people: int = 2) -> AnnotationTable:
    """True locations of people who lie apart, with areas of many sizes."""
    count = images * people
    areas = 10.0 ** rng.uniform(1, 4, count)
    centers = 1000.0 * np.tile(np.arange(people), images)[:, None, None]
    points = centers + rng.normal(size=(count, 3, 2)) * np.sqrt(areas)[:, None, None]
    table = AnnotationTable.empty(range(images), 3)
    return replace(
        table,
        keypoints=np.concatenate([points, np.full((count, 3, 1), 2.0)], axis=-1),
        boxes=np.zeros((count, 4)),
        areas=areas,
        images=np.repeat(np.arange(images), people),
        crowds=np.zeros(count, bool),
        ignored=np.zeros(count, bool),
        categories=np.zeros(count, np.int64),
    )


def annotated(truth: AnnotationTable, rng: np.random.Generator) -> AnnotationTable:
    """What an annotator makes of it, in an order of their own: E[d²] is (sigma s)²."""
    scale = SIGMAS[None, :, None] * np.sqrt(truth.areas)[:, None, None] / np.sqrt(2)
    points = truth.keypoints.copy()
    points[..., :2] += rng.normal(size=(*points.shape[:2], 2)) * scale
    order = np.lexsort((rng.random(len(truth)), truth.images))
    return replace(truth, keypoints=points[order], areas=truth.areas[order])


@pytest.mark.parametrize("annotators", [2, 3, 5])
def test_known_sigmas_are_recovered(annotators: int) -> None:
    rng = np.random.default_rng(annotators)
    truth = crowd(rng, 400)
    found = estimate_sigmas([annotated(truth, rng) for _ in range(annotators)], HAND)
    assert found.pairs.tolist() == [800 * (annotators - 1)] * 3
    assert (np.abs(found.sigmas - SIGMAS) < 4 * found.errors).all()
    assert (found.errors < 0.02 * found.sigmas).all()
    assert found.skeleton.sigmas == tuple(found.sigmas.tolist())
    assert list(found.to_dataframe()) == ["sigma", "error", "pairs", "used"] and repr(found)


def test_the_standard_error_is_that_of_repeated_estimates() -> None:
    rng, sigmas = np.random.default_rng(0), []
    for _ in range(200):
        truth = crowd(rng, 25, people=1)
        found = estimate_sigmas([annotated(truth, rng), annotated(truth, rng)], HAND)
        sigmas.append(found.sigmas / SIGMAS)
    assert found.pairs.tolist() == [MIN_PAIRS] * 3
    np.testing.assert_allclose(np.std(sigmas, axis=0), 0.1, rtol=0.2)


def test_two_annotations_by_hand() -> None:
    """Half the squared distance over the area: (3² + 4²) / 2 / 50."""
    truth = crowd(np.random.default_rng(0), 1, people=1)
    truth = replace(truth, areas=np.array([50.0]))
    moved = truth.keypoints.copy()
    moved[0, 0, :2] += (3, 4)
    moved[0, 2, 2] = 0
    found = estimate_sigmas([truth, replace(truth, keypoints=moved)], HAND, min_pairs=1)
    np.testing.assert_allclose(found.sigmas, [0.5, 0, np.nan])
    assert found.pairs.tolist() == [1, 1, 0]
    assert found.skeleton.sigmas == (0.5, 0.5, 0.5)  # a sigma of 0 or without a pair is not used
    assert "1 have fewer than 1 pairs" in repr(found)


def test_images_are_the_same_by_name_and_people_of_one_annotator_do_not_count() -> None:
    rng = np.random.default_rng(3)
    truth = replace(crowd(rng, 3), file_names=("a.jpg", "b.jpg", "c.jpg"))
    other = replace(
        annotated(truth, rng), image_ids=(7, 8, 9), file_names=("x.jpg", "b.jpg", "y.jpg")
    )
    found = estimate_sigmas([truth, other.only(np.arange(6) != 2)], HAND)
    assert found.pairs.tolist() == [1, 1, 1]
    with pytest.raises(
        ValueError, match="the first annotator shares no image with another, by file"
    ):
        estimate_sigmas([truth, replace(other, file_names=("x", "y", "z"))], HAND)


def test_what_cannot_be_estimated_is_refused() -> None:
    truth = crowd(np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="two annotators or more, not 1"):
        estimate_sigmas([truth], HAND)
    with pytest.raises(ValueError, match="annotations: 3 keypoints, but skeleton 'pair' has 2"):
        estimate_sigmas([truth, truth], Skeleton("pair", ("a", "b"), (0.1, 0.1), (), ()))
    nobody = AnnotationTable.empty([0], 3)
    for pair in ([truth, nobody], [nobody, truth], [nobody, nobody]):
        with pytest.raises(ValueError, match="shares no keypoint of a person with another"):
            estimate_sigmas(pair, HAND)


@quick
@given(generators, st.integers(1, 4), st.integers(1, 4))
def test_order_of_annotators_and_scale_do_not_matter(
    rng: np.random.Generator, images: int, people: int
) -> None:
    truth = crowd(rng, images, people)
    both = [annotated(truth, rng), annotated(truth, rng)]
    found = estimate_sigmas(both, HAND)
    larger = [replace(t, keypoints=t.keypoints * (3, 3, 1), areas=9 * t.areas) for t in both]
    for other in (estimate_sigmas(both[::-1], HAND), estimate_sigmas(larger, HAND)):
        assert (other.pairs == found.pairs).all()
        np.testing.assert_allclose(other.sigmas, found.sigmas, rtol=1e-6)
