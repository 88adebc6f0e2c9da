"""AP of crowded videos with weighted frames: by hand, and a slow version person by person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.annotations import AnnotationTable
from poselib.metrics.weighted_ap import THRESHOLDS, weighted_ap
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import HIEVE
from poselib.structures import Poses
from tests.strategies import generators, quick

K = len(HIEVE)


def table_of(
    people: np.ndarray, images: list[int], ignored: list[int] | None = None
) -> AnnotationTable:
    """People (N, K, 3), pixel indices, of 2500 px² each, in frames 0, 1, ..."""
    count = len(people)
    aside = np.isin(np.arange(count), ignored or [])
    return AnnotationTable(
        image_ids=tuple(range(10, 10 + max(images) + 1)),
        keypoints=people,
        boxes=np.tile([0.0, 0, 50, 100], (count, 1)),
        areas=np.full(count, 2500.0),
        images=np.array(images),
        crowds=aside,
        ignored=aside,
        categories=np.zeros(count, np.int64),
    )


def person(x: float) -> np.ndarray:
    points = np.stack([np.full(K, x), np.linspace(0, 100, K), np.full(K, 2.0)], axis=1)
    return points


def poses(*found: tuple[np.ndarray, float]) -> Poses:
    xy = np.array([points[:, :2] + 0.5 for points, _ in found], np.float32).reshape(-1, K, 2)
    scores = np.array([score for _, score in found], np.float32)
    return Poses(xy, np.ones(xy.shape[:2], np.float32), scores)


def test_a_heavy_frame_by_hand() -> None:
    """Ranked: right in frame 0, wrong in frame 1, right in frame 1, which weighs 3."""
    table = table_of(np.stack([person(20), person(20)]), [0, 1])
    found = [poses((person(20), 0.9)), poses((person(400), 0.8), (person(20), 0.7))]
    values = weighted_ap(found, table, HIEVE, [1, 3])
    assert list(values) == ["AP", "AP50", "AP75", "AP90", "wAP", "wAP50", "wAP75", "wAP90"]
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1; weighted 1, 1/4, 4/7 at 1/4, 1/4, 1.
    assert [values[name] for name in ("AP", "AP50", "AP90")] == pytest.approx([5 / 6] * 3)
    assert [values[name] for name in ("wAP", "wAP75")] == pytest.approx([1 / 4 + 3 / 4 * 4 / 7] * 2)
    assert set(weighted_ap(found, table, HIEVE)) == {"AP", "AP50", "AP75", "AP90"}


def test_a_person_keeps_the_most_similar_detection_whatever_its_score() -> None:
    table = table_of(np.stack([person(20)]), [0])
    values = weighted_ap([poses((person(22), 0.9), (person(20), 0.3))], table, HIEVE)
    assert values["AP90"] == pytest.approx(1 / 2)  # the first is a false positive


def test_what_is_near_ignored_people_does_not_count() -> None:
    people = np.stack([person(20), person(300)])
    found = [poses((person(300), 0.9), (person(20), 0.8))]
    assert weighted_ap(found, table_of(people, [0, 0], [1]), HIEVE)["AP"] == 1
    alone = replace(table_of(people[:1], [0]))
    assert weighted_ap(found, alone, HIEVE)["AP"] == 0.5


def slowly(found: list[Poses], table: AnnotationTable, weights: np.ndarray, level: float) -> float:
    """One detection after the other."""
    listed = []
    for image, each in enumerate(found):
        rows = [n for n in range(len(table)) if table.images[n] == image]
        truth = [n for n in rows if not table.ignored[n]]
        aside = [n for n in rows if table.ignored[n]]
        index = (each.keypoints - 0.5).astype(np.float64)

        def oks(people: list[int], points: np.ndarray = index) -> np.ndarray:
            return object_keypoint_similarity(
                points, table.keypoints[people], table.areas[people], HIEVE.sigmas
            )

        similar, near = oks(truth), oks(aside)
        best = {}
        for d in range(len(each)):
            if truth:
                favorite = int(similar[:, d].argmax())
                holder = best.get(favorite)
                if holder is None or similar[favorite, d] > similar[favorite, holder]:
                    best[favorite] = d
        for d in range(len(each)):
            right = any(best[t] == d and similar[t, d] >= level for t in best)
            if right or not (near[:, d] >= level).any():
                listed.append((float(each.person_scores[d]), right, weights[image]))
    total = sum(weights[table.images[n]] for n in range(len(table)) if not table.ignored[n])
    listed.sort(key=lambda each: -each[0])
    area, points = 0.0, []
    hits = taken = 0.0
    for _, right, weight in listed:
        hits, taken = hits + right * weight, taken + weight
        points.append((right * weight / total, hits / taken if taken else 0.0))
    for n, (step, _) in enumerate(points):
        area += step * max(precision for _, precision in points[n:])
    return area


@quick
@given(generators, st.integers(1, 4))
def test_it_equals_a_slow_version(rng: np.random.Generator, frames: int) -> None:
    counts = rng.integers(1, 5, frames)
    images = np.repeat(np.arange(frames), counts).tolist()
    people = np.stack([person(x) for x in rng.uniform(0, 60, len(images))])
    people[..., 2] *= rng.random(people.shape[:2]) < 0.8
    people[:, 0, 2] = 2
    ignored = [n for n in range(1, len(images)) if rng.random() < 0.2]
    table = table_of(people, images, ignored)
    found = []
    for image in range(frames):
        near = [n for n in range(len(images)) if images[n] == image] * 2
        shown = [people[n] + [*rng.normal(0, 6, 2), 0] for n in near if rng.random() < 0.7]
        found.append(
            poses(
                *(
                    (points, float(score))
                    for points, score in zip(shown, rng.random(len(shown)), strict=True)
                )
            )
        )
    weights = rng.uniform(0, 5, frames) * (rng.random(frames) < 0.9)
    weights[0] = 1.0
    values = weighted_ap(found, table, HIEVE, weights)
    for level in THRESHOLDS:
        name = f"{100 * level:g}"
        assert values[f"AP{name}"] == pytest.approx(slowly(found, table, np.ones(frames), level))
        assert values[f"wAP{name}"] == pytest.approx(slowly(found, table, weights, level))


def test_bad_weights_are_refused_and_without_people_there_is_no_number() -> None:
    table = table_of(np.stack([person(20)]), [0])
    none = [Poses.empty(K)]
    for wrong in ([1, 2], [-1], [np.nan], [[1]]):
        with pytest.raises(ValueError, match="weights must be 1 numbers from 0"):
            weighted_ap(none, table, HIEVE, wrong)
    assert weighted_ap(none, table, HIEVE)["AP"] == 0
    nobody = weighted_ap(none, table_of(np.stack([person(20)]), [0], [0]), HIEVE)
    assert np.isnan(list(nobody.values())).all()
