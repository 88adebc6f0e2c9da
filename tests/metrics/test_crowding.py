"""Easy, medium and hard images, as CrowdPose's evaluation tells them apart."""

from __future__ import annotations

import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.crowding import images_by_crowding
from poselib.skeletons import CROWDPOSE
from tests.metrics.factories import ap_of


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
    for person in truth["annotations"]:
        del person["area"]  # CrowdPose has none
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
