"""Each kind of mistake in correct results is recognized, and none is invented."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.metrics.diagnosis.diagnose import LOW_AP, diagnose
from poselib.skeletons import AIC, COCO, CROWDPOSE, LSP, Skeleton
from tests.metrics.factories import ap_of, coco_document, comparison_of

Entry = dict[str, Any]
Change = Callable[[np.ndarray, Entry], np.ndarray]
WIDTH = 192


def scenes(
    skeleton: Skeleton = COCO,
    people: tuple[int, int] = (1, 4),
    seed: int = 5,
    count: int = 30,
    size: int = WIDTH,
) -> Entry:
    recipe = SceneConfig(size=size, people=people)
    return coco_document(SyntheticScenes(recipe, count, seed, skeleton))


def detections(truth: Entry, seed: int = 0) -> list[Entry]:
    """Annotated people with small offsets, and as many false positives with lower scores."""
    rng = np.random.default_rng(seed)
    results = []
    for person in truth["annotations"]:
        points = np.reshape(person["keypoints"], (-1, 3)).astype(float)
        size = np.sqrt(person["area"])
        middle = points[points[:, 2] > 0, :2].mean(axis=0)
        # A network detects keypoints that are not labeled, too.
        guess = middle + rng.normal(0, 0.3 * size, (len(points), 2))
        xy = np.where(points[:, 2:] > 0, points[:, :2], guess)
        xy += rng.normal(0, 0.02 * size, xy.shape)
        random = rng.uniform(0, WIDTH, (len(points), 2))
        for where, score in ((xy, rng.uniform(0.5, 1)), (random, rng.uniform(0, 0.5))):
            results.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "keypoints": np.column_stack([where, np.ones(len(points))]).ravel().tolist(),
                    "score": float(score),
                }
            )
    return results


def with_mistake(results: list[Entry], change: Change) -> list[Entry]:
    rows = []
    for result in results:
        points = np.reshape(result["keypoints"], (-1, 3))
        keypoints = np.column_stack([change(points[:, :2].copy(), result), points[:, 2]])
        rows.append({**result, "keypoints": keypoints.ravel().tolist()})
    return rows


TRUTH = scenes()
RESULTS = detections(TRUTH)
MIRROR = np.array([-1.0, 1.0])
MISTAKES: dict[str, tuple[Change, str]] = {
    "halved": (lambda xy, _: xy / 2, r"coordinates are 2 times too small"),
    "quartered": (lambda xy, _: xy / 4, r"coordinates are 4 times too small"),
    "enlarged": (lambda xy, _: xy * 3.3, r"coordinates are 3\.3 times too large"),
    "shifted": (
        lambda xy, _: xy + np.array([60, -25]),
        r"shifted by 60(\.\d+)?, -2[45](\.\d+)? px",
    ),
    "padded": (
        lambda xy, _: xy * 2 + np.array([100, 40]),
        r"2(\.0\d*)? times too large and shifted by (99|10\d)(\.\d+)?, (39|4\d)(\.\d+)? px",
    ),
    "y, x": (lambda xy, _: xy[:, ::-1], "x and y are exchanged"),
    "left and right": (lambda xy, _: xy[COCO.flip_indices], "left and right are exchanged"),
    "mirrored": (lambda xy, _: xy * MIRROR + np.array([WIDTH - 1, 0]), "the images were mirrored"),
    "half turn": (lambda xy, _: WIDTH - 1 - xy, "pictures turned by half a turn"),
    "quarter to the right": (
        lambda xy, _: xy[:, ::-1] * MIRROR[::-1] + np.array([0, WIDTH - 1]),
        "pictures turned by a quarter to the right",
    ),
    "quarter to the left": (
        lambda xy, _: xy[:, ::-1] * MIRROR + np.array([WIDTH - 1, 0]),
        "pictures turned by a quarter to the left",
    ),
    "relative": (lambda xy, _: xy / WIDTH, "relative to the size of the image"),
    "scaled by image": (
        lambda xy, result: xy * (1.5 + result["image_id"] % 7),
        r"scaled, by 1\.5\d* to 7\.(5|49)\d* in different images",
    ),
    "rotated order": (
        lambda xy, _: np.roll(xy, 5, axis=0),
        "keypoints are in another order: what is written as",
    ),
}


def reasons_of(*given: Any, **options: Any) -> tuple[str, ...]:
    """The diagnosis of what ``comparison_of`` takes."""
    return diagnose(comparison_of(*given, **options))


def only(reasons: tuple[str, ...], words: str) -> bool:
    return len(reasons) == 1 and re.search(words, reasons[0]) is not None


@pytest.mark.parametrize("name", MISTAKES)
def test_wrong_coordinates_are_recognized(name: str) -> None:
    change, words = MISTAKES[name]
    results = with_mistake(RESULTS, change)
    assert ap_of(TRUTH, results, COCO).AP < 0.2 < 0.8 < ap_of(TRUTH, RESULTS, COCO).AP
    reasons = reasons_of(TRUTH, results, COCO)
    assert only(reasons, words), reasons


@pytest.mark.parametrize("step", [1, -1, 4])
def test_results_of_other_images_are_recognized(step: int) -> None:
    ids = [image["id"] for image in TRUTH["images"]]
    other = {image: ids[(n - step) % len(ids)] for n, image in enumerate(ids)}
    results = [{**result, "image_id": other[result["image_id"]]} for result in RESULTS]
    side = "before" if step > 0 else "after"
    reasons = reasons_of(TRUTH, results, COCO)
    assert only(reasons, rf"in the wrong images: most are {abs(step)} {side} their own"), reasons


def test_results_in_random_images_are_recognized() -> None:
    ids = [image["id"] for image in TRUTH["images"]]
    other = dict(zip(ids, np.random.default_rng(0).permutation(ids).tolist(), strict=True))
    results = [{**result, "image_id": other[result["image_id"]]} for result in RESULTS]
    reasons = reasons_of(TRUTH, results, COCO)
    assert only(reasons, r"detections are in the wrong images \("), reasons


@pytest.mark.parametrize("other", [LSP, AIC])
def test_the_order_of_another_skeleton_is_recognized(other: Skeleton) -> None:
    truth = scenes(CROWDPOSE)
    like = {"head_top": "head"}
    places = [CROWDPOSE.index(like.get(name, name)) for name in other.keypoints]
    results = with_mistake(detections(truth), lambda xy, _: xy[places])
    reasons = reasons_of(truth, results, CROWDPOSE)
    assert only(reasons, f"in another order, as in skeleton '{other.name}'"), reasons


def test_results_of_another_skeleton_cut_to_length_are_recognized() -> None:
    truth = scenes(CROWDPOSE)
    # COCO's first fourteen: the face, then from the shoulders down to one knee.
    names = [name if name in CROWDPOSE.keypoints else "head" for name in COCO.keypoints[:14]]
    places = [CROWDPOSE.index(name) for name in names]
    results = with_mistake(detections(truth), lambda xy, _: xy[places])
    reasons = reasons_of(truth, results, CROWDPOSE)
    assert only(reasons, "in another order, as in skeleton '(coco|ochuman|uav_human)'"), reasons


def test_people_of_a_category_without_detections_are_not_similar() -> None:
    first, *rest = TRUTH["annotations"]
    people = [first, *({**person, "category_id": 7} for person in rest)]
    truth = {**TRUTH, "annotations": people, "categories": [{"id": 1}, {"id": 7}]}
    # One person of many, in another image than their own.
    elsewhere = {**RESULTS[0], "image_id": TRUTH["images"][-1]["id"]}
    reasons = reasons_of(truth, [elsewhere], COCO)
    assert only(reasons, "are not similar to the annotated people"), reasons
    # Only some of very many people are looked at, none of them of the category that was found.
    many = [{**person, "category_id": 1} for person in people * 3]
    many[-2]["category_id"] = 7
    results = [{**result, "category_id": 7} for result in RESULTS]
    reasons = reasons_of({**truth, "annotations": many}, results, COCO)
    assert only(reasons, "are not similar to the annotated people"), reasons


def test_wrong_areas_are_recognized() -> None:
    people = [{**person, "area": 1.0} for person in TRUTH["annotations"]]
    reasons = reasons_of({**TRUTH, "annotations": people}, RESULTS, COCO)
    assert only(reasons, "annotated areas are about 0.00"), reasons


def test_right_detections_with_low_scores_are_recognized() -> None:
    wrong = [r for r in RESULTS if r["score"] < 0.5]
    right = [{**r, "score": 0.1} for r in RESULTS if r["score"] >= 0.5]
    many = [{**r, "score": 0.9} for r in wrong for _ in range(20)]
    assert ap_of(TRUTH, right + many, COCO).AP < LOW_AP
    assert only(reasons_of(TRUTH, right + many, COCO), "not among the best 20 of their image")
    few = [{**r, "score": 0.9} for r in wrong for _ in range(2)]
    assert only(reasons_of(TRUTH, right + few, COCO), "wrong detections have better scores")
    equal_scores = [{**r, "score": 0.25} for r in RESULTS]
    assert only(
        reasons_of(TRUTH, equal_scores, COCO),
        r"every score is 0\.25: their ranking is chance",
    )


def test_missing_people_and_detections_are_recognized() -> None:
    no_people = {**TRUTH, "annotations": []}
    assert only(reasons_of(no_people, RESULTS, COCO), "no annotated person with a labeled keypoint")
    assert only(reasons_of(TRUTH, [], COCO), "there are no detections")
    uncounted = [{**person, "num_keypoints": 0} for person in TRUTH["annotations"]]
    reasons = reasons_of({**TRUTH, "annotations": uncounted}, RESULTS, COCO)
    assert only(reasons, rf"num_keypoints says 0 for {len(uncounted)} who have some"), reasons
    first = [r for r in RESULTS if r["image_id"] == 0]
    reasons = reasons_of(TRUTH, first, COCO, image_ids=[1, 2])
    assert only(reasons, "there are no detections in the evaluated images")
    others = [person for person in TRUTH["annotations"] if person["image_id"] != 0]
    reasons = reasons_of({**TRUTH, "annotations": others}, first, COCO)
    assert only(reasons, r"not similar to the annotated people \(mean similarity 0\.00\)"), reasons
    missing = [{**r, "keypoints": [0.0] * 51} for r in RESULTS]
    assert only(reasons_of(TRUTH, missing, COCO), "written as missing")
    two = {**TRUTH, "categories": [{"id": 1}, {"id": 7}]}
    strange = [{**r, "category_id": 7} for r in RESULTS]
    assert only(reasons_of(two, strange, COCO), r"the category that the detections name: \[7\]")


@pytest.mark.parametrize("seed", range(5))
def test_no_reason_is_invented_for_random_people(seed: int) -> None:
    # Real poses of other scenes: plausible everywhere, right nowhere.
    strangers = scenes(seed=100 + seed)
    reasons = reasons_of(TRUTH, detections(strangers), COCO)
    assert only(reasons, "are not similar to the annotated people"), reasons
    noise = with_mistake(
        RESULTS, lambda xy, _: np.random.default_rng(seed).uniform(0, WIDTH, xy.shape)
    )
    assert only(reasons_of(TRUTH, noise, COCO), "are not similar to the annotated people")


@pytest.mark.slow
def test_similarity_by_chance_among_many_is_no_reason() -> None:
    truth, strangers = (scenes(seed=s, count=n, size=64) for s, n in ((5, 60), (77, 150)))
    many = [
        {**result, "image_id": result["image_id"] % 60}
        for shift in np.random.default_rng(0).uniform(-8, 8, (4, 2))
        for result in with_mistake(detections(strangers), lambda xy, _, shift=shift: xy + shift)
    ]
    assert len(many) > 2500
    reasons = reasons_of(truth, many, COCO)
    assert only(reasons, "are not similar to the annotated people"), reasons


def test_images_without_sizes_and_a_single_image_suffice() -> None:
    bare = {**TRUTH, "images": [{"id": image["id"]} for image in TRUTH["images"]]}
    results = with_mistake(RESULTS, lambda xy, _: xy[:, ::-1])
    assert only(reasons_of(bare, results, COCO), "x and y are exchanged")
    crowded = scenes(people=(4, 4))
    one = crowded["images"][0]["id"]
    shifted = with_mistake(detections(crowded), lambda xy, _: xy + 40)
    assert only(reasons_of(crowded, shifted, COCO, image_ids=[one]), "shifted by 4")
