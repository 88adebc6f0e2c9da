"""Errors image by image: they add up to those of the dataset, and OKS is that of the ranking."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.association_errors import association_errors
from poselib.analysis.image_errors import (
    KINDS,
    errors_by_image,
    image_poses,
    mark_errors,
    worst_images,
)
from poselib.analysis.select_images import rank_images
from poselib.data.catalog import open_dataset
from poselib.engine.evaluate import evaluate_poses
from poselib.metrics.comparison import Comparison
from poselib.metrics.localization_errors import classify_localization, error_rates
from poselib.structures import Poses

DATASET = open_dataset("synthetic", "val", count=4)


def detections() -> list[Poses]:
    """Return the truth with sides exchanged, people mixed, one dropped and one invented."""
    found = []
    for number in range(len(DATASET)):
        people = DATASET[number].keypoints.copy()
        if number == 0:
            people[0] = people[0, DATASET.skeleton.flip_indices]
        if number == 1 and len(people) > 1:
            people[:2, 8:] = people[1::-1, 8:]
        if number == 2:
            people = people[1:]
        people[..., :2] += number
        points, seen = people[..., :2], (people[..., 2] > 0).astype(np.float32)
        if number == 3:
            points = np.concatenate([points, np.full((1, *points.shape[1:]), 5, np.float32)])
            seen = np.concatenate([seen, np.ones((1, seen.shape[1]), np.float32)])
        points = np.where(seen[..., None] > 0, points, 0)
        found.append(Poses(points, seen, np.linspace(0.9, 0.5, len(points), dtype=np.float32)))
    return found


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return evaluate_poses(DATASET, detections(), DATASET.skeleton).comparison


def test_they_add_up_to_those_of_the_dataset(comparison: Comparison) -> None:
    errors = errors_by_image(comparison)
    rates = error_rates(classify_localization(comparison)).loc["all"]
    for kind in ("jitter", "miss", "inversion", "swap"):
        assert errors[kind].sum() == pytest.approx(rates[kind] * rates["counted"] / 100)
    association = association_errors(DATASET, detections(), DATASET.skeleton).loc["all"]
    for kind in ("wrong_person", "fragment"):
        assert errors[kind].sum() == association[kind]
    ranked = rank_images(DATASET, detections(), DATASET.skeleton).set_index("index")
    assert errors["oks"].to_dict() == pytest.approx(ranked["oks"].to_dict(), abs=1e-4)
    assert errors["people"].to_dict() == ranked["people"].to_dict()
    assert errors.at[2, "missed"] >= 1 and errors.at[3, "false"] == 1
    assert errors.at[0, "inversion"] > 0


def test_the_worst_come_first(comparison: Comparison) -> None:
    errors = errors_by_image(comparison)
    assert worst_images(errors, "oks").index[0] == errors["oks"].idxmin()
    assert worst_images(errors, "false").index[0] == 3
    for kind in KINDS:
        counts = worst_images(errors, kind)[kind]
        assert counts.is_monotonic_decreasing and (counts > 0).all()
    with pytest.raises(ValueError, match="unknown kind of error 'bogus'; known: oks, miss"):
        worst_images(errors, "bogus")


def test_errors_are_marked_where_they_are(comparison: Comparison) -> None:
    errors, found = errors_by_image(comparison), detections()
    for position in range(len(DATASET)):
        sample = DATASET[position]
        poses = image_poses(comparison, position, sample)
        order = np.argsort(-found[position].person_scores)
        np.testing.assert_allclose(
            poses.keypoints[np.argsort(-poses.person_scores)],
            found[position].keypoints[order],
            atol=1e-3,
        )
        for kind in KINDS:
            marks, count = mark_errors(comparison, position, kind, sample), errors[kind][position]
            assert count == (
                len(marks.boxes) + len(marks.false_boxes) + max(len(marks.truth), len(marks.found))
            )
            for point in marks.found:
                away = np.linalg.norm(poses.keypoints - point, axis=-1)
                assert away[poses.found].min() < 1e-3
    (box,) = mark_errors(comparison, 3, "false", DATASET[3]).false_boxes
    assert box == pytest.approx((5, 5, 5, 5))
