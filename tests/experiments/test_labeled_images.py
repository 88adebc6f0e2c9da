from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from poselib.engine.evaluate import score
from poselib.experiments.labeled_images import LabeledSubset
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.engine.toys import scenes
from tests.experiments.standing_people import build_tiny, poses_at


class PartlyLabeled:
    """Five scenes: the second has a box alone, the third nobody, the fourth one of either kind."""

    skeleton = COCO

    def __init__(self) -> None:
        self.scenes = scenes(5, seed=3)
        truth = copy.deepcopy(self.scenes.ground_truth())
        people = [p for p in truth["annotations"] if p["image_id"] != 2]
        for entry in people:
            if entry["image_id"] == 1:
                entry["keypoints"] = [0] * 51
        box = {"id": 999, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81,
               "iscrowd": 0, "num_keypoints": 0}  # fmt: skip
        self.truth = {**truth, "annotations": [*people, box]}

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Any:
        return self.scenes[index]

    def ground_truth(self) -> dict[str, Any]:
        return self.truth


def test_images_in_which_somebody_has_keypoints_are_kept_in_their_order() -> None:
    whole = PartlyLabeled()
    assert [image["id"] for image in whole.truth["images"]] == [0, 1, 2, 3, 4]
    kept = LabeledSubset(whole)
    assert kept.indices == (0, 3, 4) and len(kept) == 3 and kept.skeleton is COCO
    assert [kept[i].image_id for i in range(3)] == [0, 3, 4]
    truth = kept.ground_truth()
    assert [image["id"] for image in truth["images"]] == [0, 3, 4]
    assert 999 in {person["id"] for person in truth["annotations"]}  # ignored as ever
    assert {person["image_id"] for person in truth["annotations"]} == {0, 3, 4}
    assert len(whole.ground_truth()["images"]) == 5
    with pytest.raises(IndexError):
        kept[3]


def test_people_found_in_other_images_do_not_count() -> None:
    whole = PartlyLabeled()
    kept = LabeledSubset(whole)
    exact = [poses_at(*whole[i].keypoints[..., :2]) for i in range(5)]
    system = build_tiny()
    everywhere = score(system, whole, exact, explain=False).ap.AP
    assert everywhere < 1  # somebody was found where nobody is annotated
    some = score(system, kept, [exact[i] for i in kept.indices], explain=False).ap.AP
    assert some == pytest.approx(1.0)
    with pytest.raises(ValueError, match="5 predictions for 3 images"):
        score(system, kept, exact)
    nobody = score(system, kept, [Poses.empty(17)] * 3, explain=False).ap.AP
    assert nobody == 0 and np.isfinite(everywhere)
