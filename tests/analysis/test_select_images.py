"""Images are ranked, spaced and selected by hand-made numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.select_images import (
    LabeledSubset,
    evenly_spaced,
    extremes,
    first_crowded,
    mean_oks,
    rank_images,
)
from poselib.annotations import AnnotationTable
from poselib.data.readers.coco import read_annotations
from poselib.engine.evaluate import evaluate_poses
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Poses, Sample
from tests.analysis.factories import poses_at
from tests.engine.factories import scenes
from tests.metrics.factories import coco_document


def sample(people: int, unlabeled: int = 0) -> Sample:
    rng = np.random.default_rng(people)
    keypoints = rng.uniform(0, 60, (people + unlabeled, 17, 3)).astype(np.float32)
    keypoints[:people, :, 2], keypoints[people:, :, 2] = 2, 0
    areas = np.full(len(keypoints), 400, np.float32)
    image, ignore = np.zeros((3, 64, 64), np.uint8), np.zeros((64, 64), bool)
    return Sample(image, keypoints, areas, ignore, 1, AffineTransform.identity())


CROWDS = [sample(1), sample(3), sample(2, unlabeled=5), sample(3), sample(4)]


def found(truth: Sample, shift: float) -> Poses:
    ones = np.ones(truth.keypoints.shape[:2], np.float32)
    return Poses(truth.keypoints[..., :2] + np.float32(shift), ones, ones.mean(1))


def test_first_crowded_images() -> None:
    assert first_crowded(CROWDS, people=3, count=2) == [1, 3]
    assert first_crowded(CROWDS, people=2, count=9) == [1, 2, 3, 4, 0]


def test_first_crowded_falls_back_to_the_largest() -> None:
    assert first_crowded(CROWDS, people=4, count=3) == [4, 1, 3]
    assert first_crowded(CROWDS, people=4, count=1, within=3) == [1]


def test_images_are_ranked_from_the_worst() -> None:
    shifts = [0.0, 4.0, 0.0, 8.0, 2.0]
    poses = [found(s, x) for s, x in zip(CROWDS, shifts, strict=True)]
    table = rank_images(CROWDS, poses, COCO)
    assert list(table["index"]) == [3, 1, 4, 0, 2]  # of equal ones, the first
    assert list(table["people"]) == [3, 3, 4, 1, 2]
    assert table["oks"].iloc[-1] == pytest.approx(1)


def test_images_without_people_are_not_ranked() -> None:
    empty = sample(0)
    table = rank_images([empty, CROWDS[0]], [Poses.empty(17)] * 2, COCO)
    assert list(table["index"]) == [1] and table["oks"].iloc[0] == 0
    with pytest.raises(ValueError, match="1 predictions for 2 images"):
        rank_images(CROWDS[:2], [Poses.empty(17)], COCO)


def test_the_mean_oks_counts_people_not_images() -> None:
    table = pd.DataFrame({"people": [3, 1], "oks": [0.2, 1.0]})
    assert mean_oks(table) == pytest.approx(0.4)
    assert np.isnan(mean_oks(table.iloc[:0]))


def test_rows_are_evenly_spaced_from_the_first_to_the_last() -> None:
    table = pd.Series(range(10, 21))
    assert evenly_spaced(table, 3).tolist() == [10, 15, 20]
    assert evenly_spaced(table, 1).tolist() == [10]
    assert evenly_spaced(table, 99).tolist() == [*range(10, 21)]
    assert len(evenly_spaced(table.iloc[:0], 3)) == 0
    with pytest.raises(ValueError, match="at least 1 example must be shown, not 0"):
        evenly_spaced(table, 0)


def select(gains: list[float], count: int) -> dict[str, list[int]]:
    return extremes(pd.Series(gains, index=[10 + n for n in range(len(gains))]), count)


def test_largest_gains_and_losses_and_the_median_are_selected() -> None:
    selected = select([0.3, -0.2, 0.0, 0.1, -0.4, 0.5, 0.02, -0.01, 0.05], 2)
    assert selected["largest gain"] == [15, 10] and selected["largest loss"] == [14, 11]
    # Of nine values the one in the middle, and the first of the two beside it.
    assert selected["median gain"] == [12, 16]


def test_nothing_is_selected_twice() -> None:
    few = {"largest gain": [10, 12], "median gain": [], "largest loss": [11]}
    assert select([0.3, -0.2, 0.1], 2) == few
    assert select([0.0] * 3, 1) == {"largest gain": [], "median gain": [11], "largest loss": []}
    assert select([0.1, 0.2], 1)["largest loss"] == []


class PartlyLabeled:
    """Five scenes: the second has a box alone, the third nobody, the fourth one of either kind."""

    def __init__(self) -> None:
        self.scenes = scenes(5, seed=3)
        truth = coco_document(self.scenes)
        people = [p for p in truth["annotations"] if p["image_id"] != 2]
        for entry in people:
            if entry["image_id"] == 1:
                entry["keypoints"] = [0] * 51
        box = {"id": 999, "image_id": 3, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81,
               "keypoints": [0] * 51,
               "iscrowd": 0, "num_keypoints": 0}  # fmt: skip
        self.truth = {**truth, "annotations": [*people, box]}

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Any:
        return self.scenes[index]

    def annotations(self) -> AnnotationTable:
        return read_annotations(self.truth, COCO)


def test_labeled_subset_keeps_images_with_labeled_keypoints() -> None:
    whole = PartlyLabeled()
    assert [image["id"] for image in whole.truth["images"]] == [0, 1, 2, 3, 4]
    kept = LabeledSubset(whole)
    assert kept.indices == (0, 3, 4) and len(kept) == 3
    assert [kept[i].image_id for i in range(3)] == [0, 3, 4]
    table = kept.annotations()
    assert table.image_ids == (0, 3, 4) and set(table.images.tolist()) == {0, 1, 2}
    assert table.areas[table.ignored].tolist() == [81]  # ignored as usual
    assert len(whole.annotations().image_ids) == 5
    with pytest.raises(IndexError):
        kept[3]


def test_labeled_subset_leaves_out_other_detections() -> None:
    whole = PartlyLabeled()
    kept = LabeledSubset(whole)
    exact = [poses_at(*whole[i].keypoints[..., :2]) for i in range(5)]
    everywhere = evaluate_poses(whole, exact, COCO, explain=False).ap.AP
    assert everywhere < 1  # somebody was found where nobody is annotated
    some = evaluate_poses(kept, [exact[i] for i in kept.indices], COCO, explain=False).ap.AP
    assert some == pytest.approx(1.0)
    with pytest.raises(ValueError, match="5 predictions for 3 images"):
        evaluate_poses(kept, exact, COCO)
    nobody = evaluate_poses(kept, [Poses.empty(17)] * 3, COCO, explain=False).ap.AP
    assert nobody == 0 and np.isfinite(everywhere)
