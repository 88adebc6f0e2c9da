"""The evaluation gives the numbers of pycocotools for the plain JSON, in difficult cases too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.skeletons import AIC, COCO, CROWDPOSE, MPII, Skeleton
from tests.metrics.factories import ap_of, assert_same, person, plain, result, truth_of

Entry = dict[str, Any]
K = len(COCO)


def ours(truth: Entry, results: list[Entry], **options: Any) -> list[float]:
    return list(ap_of(truth, results, COCO, **options).as_dict().values())


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE, AIC, MPII], ids=lambda each: each.name)
def test_a_workload_and_its_levels_of_crowding(skeleton: Skeleton) -> None:
    truth, results = evaluation_workload(skeleton, 60, seed=len(skeleton))
    expected = plain(truth, results, skeleton=skeleton)
    assert 0.05 < expected[0] < 0.9
    found = ap_of(truth, results, skeleton, by_crowding=True)
    levels = {"easy": (0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, 9)}
    for low, high in levels.values():
        images = [i["id"] for i in truth["images"] if low <= i["crowdIndex"] < high]
        expected.append(plain(truth, results, images, skeleton=skeleton)[0])
    assert_same(list(found.as_dict().values()), expected)


def difficult(rng: np.random.Generator) -> tuple[Entry, list[Entry]]:
    """A few crowded images with everything that could make two evaluations differ."""
    images = [int(n) for n in rng.permutation(40)[:6] * 7919]
    people: list[Entry] = []
    results: list[Entry] = []
    for image in images:
        for _ in range(rng.integers(0, 7)):
            points = np.dstack(
                [rng.integers(0, 12, (1, K, 2)), rng.choice(3, (1, K, 1), p=[0.5, 0.2, 0.3])]
            )[0].astype(float)
            points[:, 2] *= rng.random() > 0.15
            person = {
                "id": len(people) + 1,
                "image_id": image,
                "category_id": int(rng.integers(1, 3)),
                "keypoints": points.ravel().tolist(),
                "num_keypoints": int((points[:, 2] > 0).sum()),
                "bbox": [*rng.integers(0, 9, 2).tolist(), *rng.integers(0, 9, 2).tolist()],
                "area": float(rng.choice([0.0, 1.0, 900.0, 1024.0, 5000.0, 9216.0, 2e4])),
                "iscrowd": int(rng.random() < 0.2),
            }
            people.append(person)
            if rng.random() < 0.2:  # the very same person twice
                people.append({**person, "id": len(people) + 1})
            for _ in range(rng.integers(0, 9)):
                moved = points.copy()
                moved[:, :2] += rng.choice([0.0, 1.0, 40.0], (K, 1), p=[0.6, 0.3, 0.1])
                results.append(
                    {
                        "image_id": image,
                        "category_id": int(rng.integers(1, 3)),
                        "keypoints": moved.ravel().tolist(),
                        "score": float(rng.choice([-1.0, 0.0, 0.5, 0.5, 0.9])),
                    }
                )
    results = [results[i] for i in rng.permutation(len(results))]
    truth = {
        "images": [{"id": image} for image in images],
        "annotations": people,
        "categories": [{"id": 2}, {"id": 1}, {"id": 3}],
    }
    return truth, results


@pytest.mark.parametrize("seed", range(30))
def test_difficult_cases(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, results = difficult(rng)
    most = int(rng.choice([1, 3, 20]))
    images = [image["id"] for image in truth["images"]][:: int(rng.integers(1, 3))]
    expected = plain(truth, results, images, most)
    found = ours(truth, results, image_ids=images, max_detections=most)
    assert_same(found, expected)


@pytest.mark.parametrize("order", [1, -1])
def test_of_equally_similar_people_the_last_is_matched(order: int) -> None:
    """Then another detection finds only one of the two, in one order of the annotations."""
    whole = np.column_stack([np.arange(2 * K).reshape(K, 2) * 9.0, np.full(K, 2)])
    nose = np.where(np.arange(K)[:, None] == 0, whole, 0)
    elsewhere = np.where(np.arange(K)[:, None] == 0, whole, 999)
    fields = {"num_keypoints": 1}
    people = [person(whole, id=1, **fields), person(nose, id=2, **fields)][::order]
    truth, results = truth_of(people), [result(whole, 0.9), result(elsewhere, 0.8)]
    found = ours(truth, results)
    assert_same(found, plain(truth, results))
    assert (found[0] > 0.9) is (order == -1)


def test_images_without_people_results_or_both() -> None:
    truth, results = evaluation_workload(COCO, 12, seed=3)
    no_people = {**truth, "annotations": []}
    assert np.isnan(ours(no_people, results)).all()
    assert np.isnan(ours(no_people, [])).all()
    assert np.isnan(ours(truth, results, image_ids=[])).all()
    only = [r for r in results if r["image_id"] < 4]
    assert_same(ours(truth, only), plain(truth, only))
    some = {**truth, "annotations": [a for a in truth["annotations"] if a["image_id"] > 4]}
    assert_same(ours(some, results), plain(some, results))


def test_images_may_have_any_ids() -> None:
    truth, results = evaluation_workload(COCO, 20, seed=1)
    expected = plain(truth, results)
    for name in (lambda n: f"{n:09d}", lambda n: 2**60 + n, lambda n: n - 50):
        renamed = {
            **truth,
            "images": [{**image, "id": name(image["id"])} for image in truth["images"]],
            "annotations": [
                {**person, "image_id": name(person["image_id"])} for person in truth["annotations"]
            ],
        }
        found = [{**result, "image_id": name(result["image_id"])} for result in results]
        assert_same(ours(renamed, found), expected)
