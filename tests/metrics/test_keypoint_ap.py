"""AP of each keypoint type: by hand, against loops, and against COCO's AP of one keypoint."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.keypoint_ap import keypoint_ap
from poselib.skeletons import COCO, CROWDPOSE
from tests.metrics.factories import Entry, ap_of, comparison_of, person, result, truth_of

K = len(COCO)
SPREAD = (2 * np.array(COCO.sigmas)) ** 2


def points_at(x: float, y: float) -> np.ndarray:
    grid = np.stack([x + 10 * (np.arange(K) % 5), y + 10 * (np.arange(K) // 5)], axis=1)
    return np.column_stack([grid, np.full(K, 2.0)])


def beside(points: np.ndarray, k: int, value: float, area: float = 2500.0) -> np.ndarray:
    """Move keypoint k to where its similarity is a given value."""
    moved = points.copy()
    moved[k, 0] += np.sqrt(-2 * area * SPREAD[k] * np.log(value))
    return moved


def test_three_people_by_hand() -> None:
    a, b, c = points_at(10, 10), points_at(200, 10), points_at(10, 200)
    b_truth = b.copy()
    b_truth[4] = 0  # not labeled
    truth = truth_of([person(a), person(b_truth), person(c, image_id=2)], images=3)
    partly = beside(c, 3, 0.72)
    partly[6] = 0  # not found
    results = [
        result(a, 0.9),
        result(b, 0.8),
        result(partly, 0.7, 2),
        result(points_at(50, 50), 0.95, 3),  # no person is there
    ]
    found = keypoint_ap(comparison_of(truth, results, COCO))
    # Ranked: wrong, right, right, right; recall in thirds, so precision 3/4 throughout.
    assert found["nose"] == pytest.approx(0.75)
    # The third is right at five of ten thresholds; up to recall 2/3 (67 of 101) precision is 2/3.
    assert found[COCO.keypoints[3]] == pytest.approx((0.75 + 67 / 101 * 2 / 3) / 2)
    # One of the three is not labeled and counts neither way.
    assert found[COCO.keypoints[4]] == pytest.approx(2 / 3)
    # One was not found: recall stops at 2/3.
    assert found[COCO.keypoints[6]] == pytest.approx(67 / 101 * 2 / 3)


def test_a_keypoint_without_labels_has_no_ap() -> None:
    points = points_at(10, 10)
    points[2] = 0
    found = keypoint_ap(comparison_of(truth_of([person(points)]), [result(points, 1)], COCO))
    assert np.isnan(found[COCO.keypoints[2]]) and found["nose"] == 1


def test_crowds_have_no_effect() -> None:
    a = points_at(10, 10)
    crowd = person(np.zeros((K, 3)), iscrowd=1, bbox=[190, 190, 60, 60])
    inside = [result(points_at(200, 200), 0.9 + n / 100) for n in range(3)]
    truth = truth_of([person(a), crowd])
    assert keypoint_ap(comparison_of(truth, [*inside, result(a, 0.5)], COCO))["nose"] == 1
    alone = keypoint_ap(comparison_of(truth_of([person(a)]), [*inside, result(a, 0.5)], COCO))
    assert alone["nose"] == pytest.approx(1 / 4)


def test_each_person_is_matched_once_best_score_first(monkeypatch: pytest.MonkeyPatch) -> None:
    a = points_at(10, 10)
    better, worse = a, beside(a, 0, 0.62)
    truth = truth_of([person(a)])
    found = keypoint_ap(comparison_of(truth, [result(better, 0.5), result(worse, 0.9)], COCO))
    # The first match counts: at 0.50 to 0.60 it is right, above it the second is a duplicate.
    assert found["nose"] == pytest.approx(0.3)
    assert found["left_eye"] == 1
    monkeypatch.setattr("poselib.metrics.keypoint_ap.MIN_OKS", 0.99)
    assert keypoint_ap(comparison_of(truth, [result(worse, 0.9)], COCO))["left_eye"] == 0


def test_people_far_apart_give_cocos_ap_of_each_keypoint_alone() -> None:
    rng = np.random.default_rng(0)
    people, results = [], []
    for image in range(1, 41):
        for place in range(rng.integers(0, 4)):
            points = points_at(300 * place, 0)
            points[rng.random(K) < 0.3] = 0
            if not points.any():
                continue
            people.append(person(points, image_id=image))
            if rng.random() < 0.8:
                noise = rng.normal(0, 0.04, (K, 1)) * 50
                moved = points_at(300 * place, 0)
                moved[:, :2] += noise
                results.append(result(moved, float(rng.random()), image))
        if rng.random() < 0.4:
            results.append(result(points_at(0, 900), float(rng.random()), image))
    truth = truth_of(people, 40)
    found = keypoint_ap(comparison_of(truth, results, COCO))
    for k, name in enumerate(COCO.keypoints):
        single = []
        for p in truth["annotations"]:
            points = np.reshape(p["keypoints"], (K, 3)).copy()
            box = [float(points[:, 0].max() // 300 * 300), 0.0, 60.0, 60.0]
            points[np.arange(K) != k] = 0
            single.append({**p, "keypoints": points.ravel().tolist(), "bbox": box})
        alone = ap_of({**truth, "annotations": single}, results, COCO)
        assert 0.05 < alone.AP < 0.95
        assert found[name] == pytest.approx(alone.AP, abs=1e-12), name


# An independent evaluation, one loop after the other


def slow(truth: Entry, results: list[Entry], k: int, least: float = 0.1) -> float:
    images = [i["id"] for i in truth["images"]]
    people = {i: [p for p in truth["annotations"] if p["image_id"] == i] for i in images}
    marks: list[tuple[float, float]] = []  # score, similarity of keypoint k; -1 if wrong
    labeled = 0
    for image in images:
        points = [np.reshape(p["keypoints"], (K, 3)) for p in people[image]]
        out = [
            bool(p["iscrowd"]) or not (q[:, 2] > 0).any()
            for p, q in zip(people[image], points, strict=True)
        ]
        labeled += sum(q[k, 2] > 0 for q, ignored in zip(points, out, strict=True) if not ignored)
        free = set(range(len(points)))
        found = [r for r in results if r["image_id"] == image]
        for entry in sorted(found, key=lambda r: -r["score"])[:20]:
            xy = np.reshape(entry["keypoints"], (K, 3))
            best, best_value = None, least
            for ignored in (False, True):
                for i, q in enumerate(points):
                    crowd = people[image][i]["iscrowd"]
                    if out[i] != ignored or (i not in free and not crowd):
                        continue
                    value = whole(q, xy, people[image][i])
                    if value >= best_value:
                        best, best_value = i, value
                if best is not None:
                    break
            if best is not None:
                free.discard(best)
            if not xy[k].any() or (best is not None and (out[best] or points[best][k, 2] == 0)):
                continue
            if best is None:
                marks.append((entry["score"], -1.0))
            else:
                square = ((xy[k, :2] - points[best][k, :2]) ** 2).sum()
                area = people[image][best]["area"]
                marks.append((entry["score"], float(np.exp(-square / 2 / area / SPREAD[k]))))
    marks.sort(key=lambda mark: -mark[0])
    total = 0.0
    for threshold in np.linspace(0.5, 0.95, 10):
        right = np.cumsum([value >= threshold for _, value in marks])
        precision = right / np.arange(1, len(marks) + 1)
        for level in np.linspace(0, 1, 101):
            total += precision[right / labeled >= level].max(initial=0)
    return total / 1010


def whole(truth: np.ndarray, found: np.ndarray, entry: Entry) -> float:
    labeled = truth[:, 2] > 0
    if labeled.any():
        square = ((truth[:, :2] - found[:, :2]) ** 2).sum(axis=1)
    else:
        x, y, w, h = entry["bbox"]
        low, high = np.array([x - w, y - h]), np.array([x + 2 * w, y + 2 * h])
        apart = np.maximum(low - found[:, :2], 0) + np.maximum(found[:, :2] - high, 0)
        square, labeled = (apart**2).sum(axis=1), ~labeled
    return float(np.exp(-square / (2 * entry["area"] * SPREAD))[labeled].mean())


@pytest.mark.parametrize("seed", range(3))
def test_a_workload_equals_loops(seed: int) -> None:
    truth, results = evaluation_workload(COCO, 30, seed)
    results[3]["keypoints"][0:3] = [0, 0, 0]
    found = keypoint_ap(comparison_of(truth, results, COCO))
    for k in (0, 5, 16):
        expected = slow(truth, results, k)
        assert 0.01 < expected < 0.95
        assert found[COCO.keypoints[k]] == pytest.approx(expected, abs=1e-12)


def test_names_are_those_of_the_skeleton() -> None:
    found = keypoint_ap(comparison_of(*evaluation_workload(CROWDPOSE, 20), CROWDPOSE))
    assert tuple(found) == CROWDPOSE.keypoints
    assert all(0 < value < 1 for value in found.values())
    nothing = keypoint_ap(comparison_of(evaluation_workload(CROWDPOSE, 20)[0], [], CROWDPOSE))
    assert set(nothing.values()) == {0.0}
