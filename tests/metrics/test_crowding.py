"""Easy, medium and hard images, as CrowdPose's evaluation tells them apart."""

from __future__ import annotations

import pytest

from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.metrics.ap import evaluate_ap
from poselib.metrics.coco_eval import Backend
from poselib.metrics.crowding import has_crowd_indices, images_by_crowding
from poselib.skeletons import CROWDPOSE


def image(number: int, index: object) -> dict:
    return {"id": number, "crowdIndex": index}


def test_the_thresholds_belong_to_the_harder_images() -> None:
    indices = [0, 0.1999, 0.2, 0.5, 0.7999, 0.8, 1.0, 3.5]
    levels = images_by_crowding(image(n, index) for n, index in enumerate(indices))
    assert levels == {"easy": [0, 1], "medium": [2, 3, 4], "hard": [5, 6, 7]}


def test_every_image_must_have_an_index() -> None:
    assert has_crowd_indices([image(1, 0.5)])
    assert not has_crowd_indices([]) and not has_crowd_indices([image(1, 0.5), {"id": 2}])
    for bad in (None, "0.2", float("nan")):
        with pytest.raises(ValueError, match="image 7: crowdIndex: expected a finite number"):
            images_by_crowding([image(3, 0.2), image(7, bad)])
    truth, results = evaluation_workload(CROWDPOSE, 4)
    del truth["images"][2]["crowdIndex"]
    with pytest.raises(ValueError, match="image 3: crowdIndex"):
        evaluate_ap(truth, results, CROWDPOSE, by_crowding=True)
    kept = evaluate_ap(truth, results, CROWDPOSE, [1, 2, 4], by_crowding=True)
    assert kept.AP_crowd_easy is not None


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_each_level_is_the_evaluation_of_its_images(backend: Backend) -> None:
    truth, results = evaluation_workload(CROWDPOSE, 60, seed=4)
    together = evaluate_ap(truth, results, CROWDPOSE, by_crowding=True, backend=backend)
    for name, (low, high) in {"easy": (0, 0.2), "medium": (0.2, 0.8), "hard": (0.8, 9)}.items():
        ids = [i["id"] for i in truth["images"] if low <= i["crowdIndex"] < high]
        alone = evaluate_ap(truth, results, CROWDPOSE, ids, backend="pycocotools").AP
        assert together.as_dict()[f"AP_crowd_{name}"] == pytest.approx(alone, abs=1e-14)
        assert 0.1 < alone < 0.9
    everyone = evaluate_ap(truth, results, CROWDPOSE, backend=backend)
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
    found = evaluate_ap(truth, results, CROWDPOSE, by_crowding=True)
    levels = (found.AP_crowd_easy, found.AP_crowd_medium, found.AP_crowd_hard)
    assert levels == pytest.approx(expected, abs=5.1e-5)


def test_a_level_without_people_has_no_number() -> None:
    truth, results = evaluation_workload(CROWDPOSE, 6)
    for entry in truth["images"]:
        entry["crowdIndex"] = 0.5
    found = evaluate_ap(truth, results, CROWDPOSE, by_crowding=True)
    assert found.AP_crowd_medium == found.AP
    assert found.AP_crowd_easy != found.AP_crowd_easy  # NaN
    assert found.AP_crowd_hard != found.AP_crowd_hard
