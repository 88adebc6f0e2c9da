"""COCO AP and AR: hand-made cases, an independent evaluation, and the reference's own numbers."""

from __future__ import annotations

import copy
import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.ap import APResult, images_by_crowding
from poselib.skeletons import COCO, CROWDPOSE
from tests.metrics.factories import Entry, ap_of, person, result, truth_of

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MEDIUM, LARGE = (32**2, 96**2), (96**2, 1e10)


def keypoints_at(x: float, y: float, spread: float = 10.0, count: int = 17) -> np.ndarray:
    rng = np.random.default_rng(int(x) + 1000 * int(y))
    xy = rng.uniform(0, spread, (count, 2)) + np.array([x, y])
    return np.column_stack([xy, np.full(count, 2.0)])


def shifted_to(similarity: float, keypoints: np.ndarray, area: float) -> np.ndarray:
    """Move every keypoint right by what brings its similarity, and so OKS, to a value."""
    distance = np.sqrt(-2 * area * (2 * np.array(COCO.sigmas)) ** 2 * np.log(similarity))
    moved = keypoints.copy()
    moved[:, 0] += distance
    return moved


def assert_numbers(found: APResult, **expected: float) -> None:
    # pycocotools divides by a count plus the smallest number: 1 comes out as 1 - 2e-16.
    numbers = {name: value for name, value in found.as_dict().items() if name in expected}
    assert numbers == pytest.approx(expected, nan_ok=True)


def test_ground_truth_as_detections_is_perfect() -> None:
    people = [person(keypoints_at(10, 10)), person(keypoints_at(70, 20), area=20000)]
    results = [result(np.reshape(p["keypoints"], (17, 3)), 1.0) for p in people]
    found = ap_of(truth_of(people), results, COCO)
    assert_numbers(found, **dict.fromkeys(found.as_dict(), 1.0))


def test_a_false_positive_between_two_hits() -> None:
    a, b = keypoints_at(10, 10), keypoints_at(200, 200)
    results = [result(a, 0.9), result(keypoints_at(900, 900), 0.8), result(b, 0.7)]
    found = ap_of(truth_of([person(a), person(b)]), results, COCO)
    # Precision 1 up to recall 0.5 (51 of 101 recall levels), then 2/3.
    assert_numbers(found, AP=(51 + 50 * 2 / 3) / 101, AR=1.0)


def test_one_person_detected_with_a_known_oks() -> None:
    a = keypoints_at(10, 10)
    found = ap_of(truth_of([person(a)]), [result(shifted_to(0.72, a, 2500.0), 1)], COCO)
    # 0.50, 0.55, 0.60, 0.65 and 0.70 are met.
    assert_numbers(found, AP=0.5, AP50=1, AP75=0, AR=0.5, AR50=1, AR75=0)


def test_keypoints_without_a_label_do_not_count() -> None:
    a = keypoints_at(10, 10)
    partly = a.copy()
    partly[5:] = 0
    wild = a.copy()
    wild[5:, :2] += 400
    assert_numbers(ap_of(truth_of([person(partly)]), [result(wild, 1)], COCO), AP=1)
    assert_numbers(ap_of(truth_of([person(a)]), [result(wild, 1)], COCO), AP=0)


def test_sizes_split_at_32_and_96_pixels() -> None:
    small, medium, large = (keypoints_at(x, 10) for x in (0, 200, 400))
    people = [person(small, area=1000), person(medium, area=1025), person(large, area=9300)]
    found = ap_of(truth_of(people), [result(small, 1), result(large, 1)], COCO)
    assert_numbers(found, AP_M=0, AP_L=1, AR_M=0, AR_L=1, AR=2 / 3)


def test_missing_fields_get_defaults() -> None:
    a = keypoints_at(10, 10)
    bare = {"keypoints": a.ravel().tolist(), "bbox": [0, 0, 100, 50]}
    truth = truth_of([bare])
    del truth["annotations"][0]["iscrowd"]
    area = 0.53 * 100 * 50
    for similarity, expected in ((0.72, 0.5), (0.98, 1.0), (0.49, 0.0)):
        found = ap_of(truth, [result(shifted_to(similarity, a, area), 1)], COCO)
        assert_numbers(found, AP=expected)


def test_crowds_and_unlabeled_people_have_no_effect() -> None:
    a, b = keypoints_at(10, 10), keypoints_at(300, 300)
    crowd = person(np.zeros((17, 3)), iscrowd=1, bbox=[290, 290, 40, 40])
    blank = person(np.zeros((17, 3)), bbox=[290, 290, 40, 40])
    results = [result(b, 0.9), result(a, 0.8)]
    for other in (crowd, blank):
        assert_numbers(ap_of(truth_of([person(a), other]), results, COCO), AP=1)
    assert_numbers(ap_of(truth_of([person(a)]), results, COCO), AP=0.5)


def test_the_person_numbered_zero_counts() -> None:
    # pycocotools by itself takes a match with annotation 0 for no match.
    truth = truth_of([person(keypoints_at(10, 10))])
    assert truth["annotations"][0]["id"] == 0
    assert_numbers(ap_of(truth, [result(keypoints_at(10, 10), 1)], COCO), AP=1)


def test_no_results_give_zero() -> None:
    found = ap_of(truth_of([person(keypoints_at(10, 10))]), [], COCO)
    assert (found.AP, found.AP50, found.AP75, found.AR, found.AP_M) == (0, 0, 0, 0, 0)
    assert np.isnan(found.AP_L) and np.isnan(found.AR_L)


def test_no_annotated_people_give_nan() -> None:
    for results in ([], [result(keypoints_at(1, 1), 1)]):
        found = ap_of(truth_of([]), results, COCO)
        assert np.isnan(list(found.as_dict().values())).all()


def test_images_can_be_chosen() -> None:
    a = keypoints_at(10, 10)
    truth = truth_of([person(a), person(a, image_id=2)], images=2)
    results = [result(a, 1)]
    assert ap_of(truth, results, COCO).AR == 0.5
    assert_numbers(ap_of(truth, results, COCO, image_ids=[1]), AP=1)
    assert_numbers(ap_of(truth, results, COCO, image_ids=[2]), AP=0)


def test_only_the_best_detections_of_an_image_count() -> None:
    a = keypoints_at(10, 10)
    noise = [result(keypoints_at(900 + 20 * n, 900), 0.9) for n in range(20)]
    truth, results = truth_of([person(a)]), [*noise, result(a, 0.1)]
    assert ap_of(truth, results, COCO).AR == 0.0
    assert ap_of(truth, results, COCO, max_detections=21).AR == 1.0


def test_annotations_can_be_a_file_and_arguments_are_not_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = truth_of([person(keypoints_at(10, 10)), {"keypoints": [0] * 51}])
    results = [result(keypoints_at(10, 10), 1)]
    before = copy.deepcopy((truth, results))
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    assert_numbers(ap_of(path, results, COCO), **ap_of(truth, results, COCO).as_dict())
    assert (truth, results) == before
    assert capsys.readouterr().out == ""


def test_fourteen_keypoints_use_their_own_constants() -> None:
    a = keypoints_at(10, 10, count=14)
    truth = truth_of([person(a, area=2500.0)])
    distance = np.sqrt(-2 * 2500 * (2 * np.array(CROWDPOSE.sigmas)) ** 2 * np.log(0.72))
    moved = a.copy()
    moved[:, 1] += distance
    assert_numbers(ap_of(truth, [result(moved, 1)], CROWDPOSE), AP=0.5)


# An independent evaluation, one loop after the other


def oks(truth: np.ndarray, found: np.ndarray, area: float, sigmas: np.ndarray) -> float:
    labeled = truth[:, 2] > 0
    squared = ((truth[:, :2] - found[:, :2]) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * (2 * sigmas) ** 2))[labeled].mean())


def slow_numbers(images: list[tuple[list, list]], bounds: tuple[float, float]) -> tuple:
    """AP and AR over ten thresholds; images are ([(keypoints, area)], [(keypoints, score)])."""
    precisions, recalls = [], []
    for threshold in THRESHOLDS:
        hits: list[tuple[float, bool]] = []
        total = 0
        for people, found in images:
            counted = [bounds[0] <= area <= bounds[1] for _, area in people]
            total += sum(counted)
            free = set(range(len(people)))
            for keypoints, score in sorted(found, key=lambda pair: -pair[1]):
                values = {
                    i: oks(people[i][0], keypoints, people[i][1], np.array(COCO.sigmas))
                    for i in free
                }
                good = [i for i in free if values[i] >= threshold]
                # A person who counts is preferred to one who does not.
                best = max(good, key=lambda i: (counted[i], values[i]), default=None)
                if best is not None:
                    free.discard(best)
                    if counted[best]:
                        hits.append((score, True))
                    continue
                extent = np.ptp(keypoints[:, 0]) * np.ptp(keypoints[:, 1])
                if bounds[0] <= extent <= bounds[1]:
                    hits.append((score, False))
        hits.sort(key=lambda pair: -pair[0])
        right = np.cumsum([hit for _, hit in hits])
        recall, precision = right / total, right / np.arange(1, len(hits) + 1)
        levels = np.linspace(0, 1, 101)
        best_after = [precision[recall >= level].max(initial=0) for level in levels]
        precisions.append(np.mean(best_after))
        recalls.append(recall[-1])
    return np.mean(precisions), np.mean(recalls), precisions[0], recalls[5]


@pytest.mark.parametrize("seed", range(3))
def test_jittered_detections_equal_an_independent_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for image in range(1, 21):
        people, found = [], []
        for _ in range(rng.integers(1, 5)):
            size = rng.uniform(30, 200)
            keypoints = np.column_stack([rng.uniform(0, size, (17, 2)), rng.integers(0, 3, 17)])
            keypoints[0, 2] = 2
            keypoints[:, :2] += rng.uniform(0, 60, 2)
            area = float(size**2 * 0.6)
            people.append((keypoints, area))
            annotations.append(person(keypoints, area, image_id=image))
            if rng.random() < 0.85:
                moved = keypoints.copy()
                moved[:, :2] += rng.normal(0, size * rng.uniform(0, 0.12), (17, 2))
                found.append((moved, float(rng.random())))
        for _ in range(rng.integers(0, 2)):
            found.append((keypoints_at(5, 5, rng.uniform(40, 150)), float(rng.random())))
        images.append((people, found))
        results += [result(keypoints, score, image) for keypoints, score in found]
    got = ap_of(truth_of(annotations, images=20), results, COCO)
    ap, ar, ap50, ar75 = slow_numbers(images, (0, 1e10))
    assert 0.1 < ap < 0.9
    assert_numbers(got, AP=ap, AR=ar, AP50=ap50, AR75=ar75)
    ap, ar, *_ = slow_numbers(images, MEDIUM)
    assert_numbers(got, AP_M=ap, AR_M=ar)
    ap, ar, *_ = slow_numbers(images, LARGE)
    assert_numbers(got, AP_L=ap, AR_L=ar)


@pytest.mark.golden
def test_the_ten_numbers_of_the_reference(golden_dir: Path) -> None:
    with gzip.open(golden_dir / "oks_eval.json.gz") as file:
        golden = json.load(file)
    found = ap_of(golden["gt"], golden["dt"], COCO)
    names = [name.replace("_", "").lower() for name in found.as_dict()]
    assert names == [name.lower() for name in golden["names"]]
    # -1 there and NaN here: of a size that no annotated person has.
    expected = [math.nan if number == -1 else number for number in golden["stats"]]
    assert list(found.as_dict().values()) == pytest.approx(expected, abs=1e-12, nan_ok=True)


# Bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keypoints": [float("nan")] * 51}, r"results\[0\]: keypoints: expected finite"),
        ({"keypoints": [1.0] * 42}, r"results\[0\]: keypoints: expected 51"),
        ({"keypoints": ["a"] * 51}, r"results\[0\]: keypoints: expected finite"),
        ({"score": float("inf")}, r"results\[0\]: score: expected a finite"),
        ({"score": None}, r"results\[0\]: score"),
        ({"image_id": 8}, r"results\[0\]: image_id 8 is not in the ground truth"),
        ({"category_id": 3}, r"results\[0\]: category_id 3 is not in the ground truth"),
    ],
)
def test_bad_results_are_refused(change: Entry, words: str) -> None:
    a = keypoints_at(10, 10)
    with pytest.raises(ValueError, match=words):
        ap_of(truth_of([person(a)]), [{**result(a, 1), **change}], COCO)


def test_results_that_lack_a_field_are_refused() -> None:
    a = keypoints_at(10, 10)
    for field in result(a, 1):
        lacking = result(a, 1)
        del lacking[field]
        with pytest.raises(ValueError, match=rf"results\[0\]: lacks {field}"):
            ap_of(truth_of([person(a)]), [lacking], COCO)


def test_bad_annotations_are_refused(tmp_path: Path) -> None:
    a = keypoints_at(10, 10)
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        ap_of(tmp_path / "none.json", [], COCO)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json: not JSON"):
        ap_of(tmp_path / "bad.json", [], COCO)
    with pytest.raises(ValueError, match="categories: expected a list"):
        ap_of({"images": [], "annotations": []}, [], COCO)
    with pytest.raises(ValueError, match=r"annotations: an entry lacks \['image_id'\]"):
        broken = truth_of([person(a)])
        del broken["annotations"][0]["image_id"]
        ap_of(broken, [], COCO)
    with pytest.raises(ValueError, match="annotations: id 0: keypoints: expected 42"):
        ap_of(truth_of([person(a)]), [], CROWDPOSE)
    with pytest.raises(ValueError, match="annotations: id 0: area: expected a finite"):
        ap_of(truth_of([person(a, area=float("nan"))]), [], COCO)
    with pytest.raises(ValueError, match="annotations: id 0: bbox"):
        ap_of(truth_of([person(a * 0, bbox=None)]), [], COCO)
    with pytest.raises(ValueError, match=r"image_ids: the ground truth lacks \[4\]"):
        ap_of(truth_of([person(a)]), [], COCO, image_ids=[1, 4])
    with pytest.raises(ValueError, match="max_detections must be 1 or more"):
        ap_of(truth_of([person(a)]), [], COCO, max_detections=0)


def test_the_thresholds_belong_to_the_harder_images() -> None:
    indices = [0, 0.1999, 0.2, 0.5, 0.7999, 0.8, 1.0, 3.5]
    levels = images_by_crowding(range(8), dict(enumerate(indices)))
    assert levels == {"easy": [0, 1], "medium": [2, 3, 4], "hard": [5, 6, 7]}


def test_every_image_needs_an_index() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 4)
    for bad in (None, "0.2", float("nan")):
        truth["images"][2]["crowdIndex"] = bad
        with pytest.raises(ValueError, match="id 3: crowdIndex: expected a finite number"):
            ap_of(truth, results, CROWDPOSE)
    del truth["images"][2]["crowdIndex"]
    with pytest.raises(ValueError, match="image 3 has no crowdIndex"):
        ap_of(truth, results, CROWDPOSE, by_crowding=True)
    kept = ap_of(truth, results, CROWDPOSE, [1, 2, 4], by_crowding=True)
    assert kept.AP_crowd_easy is not None


def test_each_level_is_the_evaluation_of_its_images() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 60, seed=4)
    together = ap_of(truth, results, CROWDPOSE, by_crowding=True)
    for name, (low, high) in {"easy": (0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, 9)}.items():
        ids = [i["id"] for i in truth["images"] if low <= i["crowdIndex"] < high]
        alone = ap_of(truth, results, CROWDPOSE, ids).AP
        assert together.as_dict()[f"AP_crowd_{name}"] == pytest.approx(alone, abs=1e-14)
        assert 0.1 < alone < 0.9
    everyone = ap_of(truth, results, CROWDPOSE)
    assert everyone.as_dict() == {k: v for k, v in together.as_dict().items() if "crowd" not in k}


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, (0.5183, 0.4962, 0.4708)),
        (1, (0.5637, 0.5230, 0.5018)),
        (2, (0.5531, 0.5290, 0.4778)),
    ],
)
def test_the_levels_of_the_reference(seed: int, expected: tuple[float, ...]) -> None:
    """What the dataset's own evaluation gives for the same people; it rounds to four places."""
    truth, results = evaluation_workload(CROWDPOSE, 300, seed)
    for entry in truth["annotations"]:
        del entry["area"]  # CrowdPose has none
    found = ap_of(truth, results, CROWDPOSE, by_crowding=True)
    levels = (found.AP_crowd_easy, found.AP_crowd_medium, found.AP_crowd_hard)
    assert levels == pytest.approx(expected, abs=5.1e-5)


def test_a_level_without_people_has_no_number() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 6)
    for entry in truth["images"]:
        entry["crowdIndex"] = 0.5
    found = ap_of(truth, results, CROWDPOSE, by_crowding=True)
    assert found.AP_crowd_medium == found.AP
    assert found.AP_crowd_easy != found.AP_crowd_easy  # NaN
    assert found.AP_crowd_hard != found.AP_crowd_hard
