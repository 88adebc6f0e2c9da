"""Jitter, misses, inversions and swaps: by hand, against loops, and what correcting them gains."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.comparison import Comparison
from poselib.metrics.localization_errors import (
    ERRORS,
    LocalizationError,
    LocalizationErrors,
    ap_without_errors,
    classify_localization,
    correct_errors,
    error_rates,
)
from poselib.metrics.matching import match_people
from poselib.skeletons import COCO, CROWDPOSE
from tests.metrics.factories import (
    SPREAD,
    Entry,
    K,
    ap_of,
    comparison_of,
    person,
    random_crowd,
    result,
    truth_of,
)

AREA, SCALE = 2500.0, 50.0
NAMES = ("good", "jitter", "miss", "inversion", "swap")
NOSE, LEFT, RIGHT, ELBOW = (
    COCO.index(name) for name in ("nose", "left_wrist", "right_wrist", "left_elbow")
)


def someone(x: float = 100, y: float = 100) -> np.ndarray:
    """A person (K, 3) whose keypoints are too far apart to be taken for each other."""
    grid = np.stack([x + 60 * (np.arange(K) % 5), y + 60 * (np.arange(K) // 5)], axis=1)
    return np.column_stack([grid, np.full(K, 2.0)])


def like(points: np.ndarray, k: int, value: float) -> list[float]:
    """Where keypoint k would be similar to a given degree."""
    x, y, _ = points[k]
    return [x, y - SCALE * SPREAD[k] * math.sqrt(-2 * math.log(value)), 1.0]


def localization_of(*given: Any, **options: Any) -> LocalizationErrors:
    """The errors in what ``comparison_of`` takes."""
    return classify_localization(comparison_of(*given, **options))


def judged(people: list[np.ndarray], *found: np.ndarray, **fields: object) -> LocalizationErrors:
    truth = truth_of([person(points, AREA, **fields) for points in people])
    return classify_localization(
        comparison_of(truth, [result(p, 1 - n / 9) for n, p in enumerate(found)], COCO)
    )


def changed(points: np.ndarray, **moved: list[float]) -> np.ndarray:
    copy = points.copy()
    for name, place in moved.items():
        copy[COCO.index(name)] = place
    return copy


def kinds(one: LocalizationErrors) -> dict[str, LocalizationError]:
    """What the first person found has, but for what is good."""
    pairs = zip(COCO.keypoints, one.kinds[0].tolist(), strict=True)
    return {
        name: LocalizationError(value) for name, value in pairs if value != LocalizationError.GOOD
    }


# One keypoint at a time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.999, LocalizationError.GOOD),
        (0.851, LocalizationError.GOOD),
        (0.849, LocalizationError.JITTER),
        (0.501, LocalizationError.JITTER),
        (0.499, LocalizationError.MISS),
        (1e-9, LocalizationError.MISS),
    ],
)
def test_similarity_to_its_own_gives_the_kind(value: float, expected: LocalizationError) -> None:
    a = someone()
    one = judged([a], changed(a, nose=like(a, NOSE, value)))
    assert one.kinds[0, NOSE] == expected and (one.kinds[0, 1:] == LocalizationError.GOOD).all()
    assert one.similarity[0, NOSE] == pytest.approx(value)


def test_exactly_the_threshold_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    a = someone()
    found = changed(a, nose=like(a, NOSE, 0.85))
    value = judged([a], found).similarity[0, NOSE]
    monkeypatch.setattr("poselib.metrics.localization_errors.GOOD", value)
    assert kinds(judged([a], found)) == {}
    monkeypatch.setattr("poselib.metrics.localization_errors.GOOD", np.nextafter(value, 1))
    assert kinds(judged([a], found)) == {"nose": LocalizationError.JITTER}


def test_exchanged_sides_are_inversions() -> None:
    a = someone()
    found = changed(a, left_wrist=a[RIGHT], right_wrist=like(a, LEFT, 0.6))
    one = judged([a], found)
    assert kinds(one) == dict.fromkeys(("left_wrist", "right_wrist"), LocalizationError.INVERSION)
    assert one.similarity[0, [LEFT, RIGHT]] == pytest.approx([1.0, 0.6])


def test_a_keypoint_far_from_both_sides_is_a_miss() -> None:
    a = someone()
    found = changed(a, left_wrist=like(a, RIGHT, 0.49))
    assert kinds(judged([a], found)) == {"left_wrist": LocalizationError.MISS}


def test_another_persons_keypoint_of_either_side_is_a_swap() -> None:
    a, b, c = someone(), someone(500, 100), someone(100, 500)
    found = changed(a, left_wrist=like(b, LEFT, 0.55), right_wrist=c[LEFT], nose=b[ELBOW])
    one = judged([a, b, c], found)
    # The stranger's elbow is no nose: other types are not looked at.
    assert kinds(one) == {
        "left_wrist": LocalizationError.SWAP,
        "right_wrist": LocalizationError.SWAP,
        "nose": LocalizationError.MISS,
    }
    assert one.other_person[0, [LEFT, RIGHT, NOSE, ELBOW]].tolist() == [1, 2, -1, -1]
    assert one.found.tolist() == [0] and one.truth.tolist() == [0]


def test_another_persons_more_similar_keypoint_is_a_swap() -> None:
    a = someone()
    b = changed(someone(500, 100), left_wrist=like(a, LEFT, 0.7))
    beyond = like(a, LEFT, 0.6)
    assert kinds(judged([a, b], changed(a, left_wrist=beyond))) == {
        "left_wrist": LocalizationError.SWAP
    }
    assert kinds(judged([a], changed(a, left_wrist=beyond))) == {
        "left_wrist": LocalizationError.JITTER
    }


def test_another_persons_other_side_comes_before_the_own_other_side() -> None:
    a, b = someone(), someone(500, 100)
    found = changed(a, left_wrist=like(a, RIGHT, 0.6))
    assert kinds(judged([a, b], found)) == {"left_wrist": LocalizationError.INVERSION}
    b = changed(b, right_wrist=[*found[LEFT, :2], 2])
    assert kinds(judged([a, b], found)) == {"left_wrist": LocalizationError.SWAP}


def test_of_equals_its_own_comes_first_then_others_then_the_other_side() -> None:
    a = someone()
    same_wrists = changed(a, right_wrist=a[LEFT])
    assert kinds(judged([same_wrists], same_wrists)) == {}
    b = changed(someone(500, 100), left_wrist=a[LEFT])
    assert kinds(judged([a, b], a)) == {}
    b = changed(someone(500, 100), left_wrist=a[RIGHT])
    assert kinds(judged([a, b], changed(a, left_wrist=a[RIGHT]))) == {
        "left_wrist": LocalizationError.SWAP
    }
    b = changed(someone(500, 100), right_wrist=a[RIGHT])
    found = changed(a, left_wrist=a[RIGHT])
    assert kinds(judged([a, b], found)) == {"left_wrist": LocalizationError.INVERSION}


def test_unlabeled_keypoints_do_not_count() -> None:
    a, b = someone(), someone(500, 100)
    partly = changed(a, nose=[0, 0, 0], left_wrist=[0, 0, 0])
    # Its own nose is not labeled; that it lies on a stranger's does not count either.
    found = changed(a, nose=b[NOSE], right_wrist=[0.1, 0.1, 1])
    one = judged([partly, b], found)
    assert kinds(one) == {
        "nose": LocalizationError.UNCOUNTED,
        "left_wrist": LocalizationError.UNCOUNTED,
        "right_wrist": LocalizationError.MISS,
    }
    unlabeled = changed(b, left_wrist=[*b[LEFT, :2], 0])
    on_nothing = changed(a, left_wrist=b[LEFT])
    assert kinds(judged([a, unlabeled], on_nothing)) == {"left_wrist": LocalizationError.MISS}


def test_a_missing_keypoint_is_a_miss_even_at_the_corner() -> None:
    a = changed(someone(1, 1), nose=[0.01, 0.01, 2])
    one = judged([a], changed(a, nose=[0, 0, 0]))
    assert kinds(one) == {"nose": LocalizationError.MISS} and one.similarity[0, NOSE] == 0
    assert kinds(judged([a], changed(a, nose=[0, 0, 0.5]))) == {}


def test_only_matches_with_people_who_count_are_classified() -> None:
    a, far, crowd = someone(), someone(3000, 3000), someone(500, 100)
    truth = truth_of([person(a, AREA), person(crowd, AREA, iscrowd=1)])
    found = [result(a, 0.9), result(a, 0.8), result(far, 0.7), result(crowd, 0.6)]
    one = localization_of(truth, found, COCO)
    assert one.found.tolist() == [0] and one.truth.tolist() == [0]
    assert error_rates(one).loc["all", ["counted", "labeled"]].tolist() == [K, K]
    # A crowd's labeled keypoints can be taken for one's own all the same.
    on_crowd = classify_localization(
        comparison_of(truth, [result(changed(a, nose=crowd[NOSE]), 1)], COCO)
    )
    assert kinds(on_crowd) == {"nose": LocalizationError.SWAP}


# Rates


def test_rates_by_hand() -> None:
    a, b = someone(), someone(500, 100)
    partly = changed(b, left_elbow=[0, 0, 0])
    found_a = changed(a, nose=like(a, NOSE, 0.7), left_wrist=a[RIGHT], right_wrist=b[RIGHT])
    found_b = changed(b, nose=like(b, NOSE, 0.7), left_wrist=[1, 1, 1])
    table = error_rates(judged([partly, a, someone(100, 900)], found_a, found_b))
    assert list(table) == [*NAMES, "counted", "labeled"] and table.index.name == "keypoint"
    assert list(table.index) == [*COCO.keypoints, "all"]
    assert table.loc["nose", NAMES].tolist() == [0, 100, 0, 0, 0]
    assert table.loc["left_wrist", NAMES].tolist() == [0, 0, 50, 50, 0]
    assert table.loc["right_wrist", NAMES].tolist() == [50, 0, 0, 0, 50]
    assert table.loc["left_elbow", ["good", "counted", "labeled"]].tolist() == [100, 1, 2]
    everything = table.loc["all"]
    assert everything[["counted", "labeled"]].tolist() == [33, 50]
    assert everything[[*NAMES]].tolist() == pytest.approx([100 * n / 33 for n in (28, 2, 1, 1, 1)])


def test_no_detections_and_no_annotated_people() -> None:
    truth = truth_of([person(someone(), AREA)])
    nothing = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}
    for content, found, labeled in (
        (truth, [], K),
        (nothing, [result(someone(), 1)], 0),
        (nothing, [], 0),
    ):
        one = localization_of(content, found, COCO)
        assert one.kinds.shape == one.similarity.shape == one.other_person.shape == (0, K)
        table = error_rates(one)
        assert table[[*NAMES]].isna().all(axis=None)
        assert table.loc["all", ["counted", "labeled"]].tolist() == [0, labeled]
        gains = ap_without_errors(one)
        assert gains["AP"].isna().all() or (gains["AP"] == 0).all()


def test_images_and_detections_can_be_left_out() -> None:
    truth, results = random_crowd(1)
    part = localization_of(truth, results, COCO, image_ids=[3, 5, 8])
    alone = {**truth, "images": [i for i in truth["images"] if i["id"] in (3, 5, 8)]}
    alone["annotations"] = [a for a in truth["annotations"] if a["image_id"] in (3, 5, 8)]
    there = [r for r in results if r["image_id"] in (3, 5, 8)]
    same = localization_of(alone, there, COCO)
    pd.testing.assert_frame_equal(error_rates(part), error_rates(same))
    pd.testing.assert_frame_equal(ap_without_errors(part), ap_without_errors(same))
    best = localization_of(truth, results, COCO, max_detections=1)
    images = best.comparison.found.images[best.found]
    assert len(best.found) > 5 and len(set(images.tolist())) == len(images)
    best_alone, everyone = (ap_of(truth, results, COCO, None, most).AP for most in (1, 20))
    assert ap_without_errors(best).loc["nothing", "AP"] == best_alone != everyone


def test_bad_input_is_refused_by_name() -> None:
    truth, results = random_crowd(0)
    without = [{name: value for name, value in results[0].items() if name != "score"}]
    with pytest.raises(ValueError, match=r"results\[0\]: lacks score"):
        localization_of(truth, without, COCO)
    with pytest.raises(ValueError, match="keypoints: expected 42"):
        localization_of(truth, results, CROWDPOSE)
    with pytest.raises(ValueError, match="'truth'\\], not 'center'"):
        correct_errors(localization_of(truth, results, COCO), ERRORS, "center")  # type: ignore[arg-type]


# An independent count, one keypoint after the other


def slow(truth: Entry, results: list[Entry]) -> dict[int, list[str]]:
    """What each keypoint of each matched result is, by the result's number."""
    comparison = comparison_of(truth, results, COCO)
    pairs = comparison.pairs
    matched = match_people(comparison, 0.1)
    told = {}
    for who, partner in zip(pairs.order.tolist(), matched.tolist(), strict=True):
        if partner < 0:
            continue
        mine = truth["annotations"][partner]
        if mine["iscrowd"] or not any(mine["keypoints"][2::3]):
            continue
        told[who] = [one_word(truth, results[who], mine, k) for k in range(K)]
    return told


def one_word(truth: Entry, found: Entry, mine: Entry, k: int) -> str:
    if not mine["keypoints"][3 * k + 2]:
        return "uncounted"
    x, y, score = found["keypoints"][3 * k : 3 * k + 3]
    best, word = -1.0, ""
    strangers = [
        p for p in truth["annotations"] if p["image_id"] == found["image_id"] and p is not mine
    ]
    for people, side, name in (
        ([mine], False, "own"),
        (strangers, False, "swap"),
        ([mine], True, "inversion"),
        (strangers, True, "swap"),
    ):
        for p in people:
            there = COCO.flip_indices[k] if side else k
            tx, ty, seen = p["keypoints"][3 * there : 3 * there + 3]
            if not seen:
                continue
            away = (x - tx) ** 2 + (y - ty) ** 2
            value = math.exp(-away / (2 * p["area"] * (2 * COCO.sigmas[k]) ** 2))
            if x == y == score == 0:
                value = 0.0
            if value > best:
                best, word = value, name
    if best < 0.5:
        return "miss"
    if word == "own":
        return "good" if best >= 0.85 else "jitter"
    return word


def test_crowds_equal_loops() -> None:
    total: Counter[str] = Counter()
    for seed in range(6):
        truth, results = random_crowd(seed)
        one = localization_of(truth, results, COCO)
        words = {
            who: [LocalizationError(v).name.lower() for v in row]
            for who, row in zip(one.found.tolist(), one.kinds, strict=True)
        }
        expected = slow(truth, results)
        assert words == expected
        counts = Counter(word for row in expected.values() for word in row)
        table = error_rates(one)
        counted = sum(counts[name] for name in NAMES)
        shares = [100 * counts[name] / counted for name in NAMES]
        assert table.loc["all", [*NAMES]].tolist() == pytest.approx(shares)
        assert table.loc["all", "counted"] == counted
        total += counts
    assert all(total[name] > 30 for name in (*NAMES, "uncounted")), total


def test_swaps_name_the_other_person() -> None:
    truth, results = random_crowd(7, images=30)
    one = localization_of(truth, results, COCO)
    rows, types = np.nonzero(one.kinds == LocalizationError.SWAP)
    assert len(rows) > 30 and (one.other_person[one.kinds != LocalizationError.SWAP] == -1).all()
    people = one.comparison.truth
    for row, k in zip(rows.tolist(), types.tolist(), strict=True):
        other = one.other_person[row, k]
        assert other != one.truth[row] and people.images[other] == people.images[one.truth[row]]
        here = one.comparison.found.keypoints[one.found[row], k, :2]
        values = []
        for there in (k, COCO.flip_indices[k]):
            if people.labeled[other, there]:
                away = ((here - people.keypoints[other, there, :2]) ** 2).sum()
                values.append(math.exp(-away / (2 * people.areas[other] * SPREAD[k] ** 2)))
        assert max(values) == pytest.approx(one.similarity[row, k]) and max(values) >= 0.5


# Corrections


def similarities(one: LocalizationErrors, corrected: Comparison) -> np.ndarray:
    """(R, K) similarity of corrected keypoints to their own."""
    people = one.comparison.truth
    found = corrected.found.keypoints[one.found]
    away = ((found[..., :2] - people.keypoints[one.truth, :, :2]) ** 2).sum(axis=-1)
    return np.exp(-away / (2 * people.areas[one.truth, None] * SPREAD**2))


@pytest.mark.parametrize(
    ("placement", "jitter", "miss", "power"),
    [
        ("circle", 0.85, 0.5, 1.0),
        ("published", 0.85**0.25, 0.5**0.25, 0.25),
        ("truth", 1.0, 1.0, 0.0),
    ],
)
def test_corrected_keypoints_are_as_similar_as_they_should_be(
    placement: str, jitter: float, miss: float, power: float
) -> None:
    one = localization_of(*random_crowd(3), COCO)
    after = similarities(one, correct_errors(one, ERRORS, placement))  # type: ignore[arg-type]
    assert after[one.kinds == LocalizationError.JITTER] == pytest.approx(jitter)
    assert after[one.kinds == LocalizationError.MISS] == pytest.approx(miss)
    for kind in (LocalizationError.INVERSION, LocalizationError.SWAP):
        chosen = one.kinds == kind
        assert after[chosen] == pytest.approx(one.similarity[chosen] ** power)


def test_only_the_named_errors_are_corrected() -> None:
    one = localization_of(*random_crowd(4), COCO)
    before = one.comparison.found
    np.testing.assert_array_equal(correct_errors(one, ()).found.keypoints, before.keypoints)
    for kind in ERRORS:
        after = correct_errors(one, [kind]).found
        changes = np.argwhere((after.keypoints != before.keypoints).any(axis=-1))
        moved = {(row, k) for row, k in changes.tolist()}
        rows, types = np.nonzero(one.kinds == kind)
        assert moved == set(zip(one.found[rows].tolist(), types.tolist(), strict=True))
        np.testing.assert_array_equal(after.scores, before.scores)


def test_gains_by_hand() -> None:
    a, b = someone(), someone(500, 100)
    a[5:], b[5:] = 0, 0  # five keypoints count
    inverted = changed(a, left_eye=a[COCO.index("right_eye")], right_eye=a[COCO.index("left_eye")])
    missed = changed(b, nose=[1, 900, 1])
    truth = truth_of([person(a, AREA), person(b, AREA)])
    one = classify_localization(
        comparison_of(truth, [result(inverted, 0.9), result(missed, 0.8)], COCO)
    )
    table = ap_without_errors(one)
    assert list(table.index) == ["nothing", "jitter", "miss", "inversion", "swap", "all"]
    # OKS 0.6 and 0.8: right at 3 and at 7 of ten thresholds, where the first one stays before it.
    second = 51 / 101 / 2 * 4  # recall up to a half, precision a half, at 0.65 to 0.80
    assert table.loc["nothing", "AP"] == pytest.approx((3 + second) / 10)
    assert table.loc["jitter", ["gain", "gain75"]].tolist() == [0, 0]
    assert table.loc["swap", ["gain", "gain75"]].tolist() == [0, 0]
    # OKS 1 and 0.8.
    inversions = (7 + 3 * 51 / 101) / 10
    assert table.loc["inversion", "AP"] == pytest.approx(inversions)
    assert table.loc["inversion", "gain75"] == pytest.approx(1 - 51 / 101 / 2)
    # OKS 0.6 and (4 + 0.5) / 5 = 0.9.
    misses = (3 + 51 / 101 / 2 * 6) / 10
    assert table.loc["miss", "AP"] == pytest.approx(misses)
    assert table.loc["all", "AP"] == pytest.approx((9 + 51 / 101) / 10)
    exact = ap_without_errors(one, "truth")
    assert exact.loc["all", ["AP", "AP50", "AP75"]].tolist() == [1, 1, 1]


def test_a_person_of_misses_alone_reaches_the_threshold_of_a_match() -> None:
    a = someone()
    found = np.array([like(a, k, 0.3) for k in range(K)])
    table = ap_without_errors(judged([a], found))
    # pycocotools divides by a count plus the smallest number: 1 comes out as 1 - 2e-16.
    assert table["AP50"].tolist() == pytest.approx([0, 0, 1, 0, 0, 1], abs=1e-15)


def test_nothing_corrected_is_the_ap_of_the_results() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 40)
    ids = [image["id"] for image in truth["images"][:30]]
    there = [r for r in results if r["image_id"] in ids]
    one = localization_of(truth, there, CROWDPOSE, ids)
    table = ap_without_errors(one)
    plain = ap_of(truth, there, CROWDPOSE, ids)
    assert table.loc["nothing", ["AP", "AP50", "AP75"]].tolist() == [
        plain.AP,
        plain.AP50,
        plain.AP75,
    ]
    assert table.loc["all", "AP"] > plain.AP + 0.1
    assert (table["gain"] == table["AP"] - plain.AP).all()
