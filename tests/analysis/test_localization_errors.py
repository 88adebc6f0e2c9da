"""Localization errors are found and drawn, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.analysis.association_errors import FailureCase, largest_failures
from poselib.analysis.localization_errors import error_cases, error_panels
from poselib.metrics.localization_errors import (
    LocalizationError,
    LocalizationErrors,
    classify_localization,
)
from poselib.plots.panels import Panel, show_panels
from poselib.structures import AffineTransform, Sample
from tests.metrics.factories import comparison_of
from tests.toy_people import ANN, BOB, NONE, TOY, Annotated, Predicted, at, poses, sample

a, b = at(ANN), at(BOB)
PEOPLE = ([ANN, BOB], [], [ANN, BOB], [BOB])
IDS = (40, 30, 20, 10)  # the results come in another order than the images
# Image 0: Ann has Bob's hands, and lacks her nose; Bob's hands are exchanged. Image 2: Ann's tail
# is 5 px off, Bob has Ann's tail. Image 3: Bob is 0.8 px off.
FOUND: tuple[list[Predicted], ...] = (
    [[NONE, b[1], b[2], a[3]], [b[0], b[2], b[1], b[3]]],
    [],
    [[*a[:3], (40, 15)], [*b[:3], a[3]]],
    [[(x + 0.8, y) for x, y in b]],
)


def entry(image: int, number: int, person: Annotated) -> dict:
    # The file counts pixels from their corners' neighbors: half a px less than an image does.
    keypoints = [v for x, y, seen in person for v in (x - 0.5, y - 0.5, seen)]
    return {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 100,
            "bbox": [0, 0, 50, 50], "keypoints": keypoints}  # fmt: skip


def judged() -> LocalizationErrors:
    people = [(image, one) for image, here in zip(IDS, PEOPLE, strict=True) for one in here]
    truth = {
        "images": [{"id": image} for image in IDS],
        "annotations": [entry(image, n, one) for n, (image, one) in enumerate(people)],
        "categories": [{"id": 1}],
    }
    results = [
        result
        for image, here in zip(IDS, FOUND, strict=True)
        for result in poses(*here).to_coco(image)
    ]
    return classify_localization(comparison_of(truth, results, TOY))


DATASET = [sample(*people) for people in PEOPLE]


def case_of(kind: str) -> FailureCase:
    return largest_failures(error_cases(judged()), kind, 1)[0]


def pair(kind: str, dataset: list[Sample] = DATASET) -> tuple[Panel, Panel]:
    truth, found = error_panels([case_of(kind)], judged(), dataset)
    return truth, found


def test_cases_by_hand_the_largest_first() -> None:
    one = judged()
    told = [(case.kind, case.index, case.keypoints) for case in error_cases(one)]
    assert told == [
        ("jitter", 3, (0, 1, 2, 3)),
        ("swap", 0, (1, 2)),
        ("inversion", 0, (1, 2)),
        ("swap", 2, (3,)),
        ("miss", 2, (3,)),
        ("miss", 0, (0,)),
    ]
    swap = case_of("swap")
    assert (swap.person, swap.other) == (0, 4) and swap.distance == pytest.approx(2 * 4.0)
    jitter, miss = case_of("jitter"), case_of("miss")
    assert jitter.distance == pytest.approx(4 * 0.08) and miss.distance == pytest.approx(0.5)
    assert jitter.other == miss.other == -1 and jitter.person == 4
    # What was not found is nowhere.
    assert error_cases(one)[-1].distance == 0


def test_swaps_with_two_people_are_two_cases() -> None:
    cat: Annotated = [(x, 30, seen) for x, _, seen in ANN]
    c = at(cat)
    truth = {
        "images": [{"id": 1}],
        "annotations": [entry(1, n, one) for n, one in enumerate((ANN, BOB, cat))],
        "categories": [{"id": 1}],
    }
    mixed = poses([a[0], b[1], c[2], c[3]])
    one = classify_localization(comparison_of(truth, mixed.to_coco(1), TOY))
    own = int(one.truth[0])
    told = [(case.other, case.keypoints) for case in error_cases(one)]
    wrong = {0: (0,), 1: (1,), 2: (2, 3)}
    assert sorted(told) == sorted((who, which) for who, which in wrong.items() if who != own)
    assert (one.kinds == LocalizationError.SWAP).sum() == sum(len(which) for _, which in told)


def test_panel_of_a_swap_marks_prediction_and_annotation() -> None:
    truth, found = pair("swap")
    assert truth.poses is None and truth.rings.tolist() == [list(a[1]), list(a[2])]
    np.testing.assert_allclose(truth.truth, np.array([ANN, BOB]), atol=1e-4)
    assert found.poses is not None and len(found.poses) == 1 and found.partners.tolist() == [0]
    np.testing.assert_allclose(found.rings, [b[1], b[2]], atol=1e-4)
    assert found.targets.tolist() == truth.rings.tolist()
    assert found.poses.found.tolist() == [[False, True, True, True]]
    assert found.title == "image 0: 2 keypoints on another person's"
    left, top, right, bottom = found.window or (0,) * 4
    # Bob, whose hands they are, is shown whole.
    assert left < 10 and top < 10 and right > 40 and bottom > 50


def test_panel_of_a_missing_keypoint_marks_its_annotation() -> None:
    case = error_cases(judged())[-1]
    truth, found = error_panels([case], judged(), DATASET)
    assert truth.rings.tolist() == found.rings.tolist() == [list(a[0])]
    assert (
        np.isnan(found.targets).all() and found.title == "image 0: 1 keypoint far off or not found"
    )


def test_panels_are_in_px_of_the_sample() -> None:
    _, plain = pair("jitter")
    halves = AffineTransform(np.array([[2.0, 0, 0], [0, 2.0, 0]]))
    half = [
        Sample(s.image, s.keypoints, s.areas, s.ignore_mask, s.image_id, halves) for s in DATASET
    ]
    _, small = pair("jitter", half)
    np.testing.assert_allclose(small.rings, plain.rings / 2)
    np.testing.assert_allclose(small.targets, plain.targets / 2)
    assert small.poses is not None and plain.poses is not None
    np.testing.assert_allclose(small.poses.keypoints, plain.poses.keypoints / 2)


def test_panels_can_be_drawn() -> None:
    cases = error_cases(judged())
    sheet = show_panels(error_panels(cases, judged(), DATASET), TOY, marked="wrong")
    assert len([ax for ax in sheet.axes if ax.get_title()]) == 2 * len(cases)
