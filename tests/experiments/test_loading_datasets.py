"""Datasets for a checkpoint, and their descriptions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.experiments.loading import describe, evaluation_set
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO, CROWDPOSE, PENN_ACTION, POSETRACK18

SMOKE = get_preset("smoke")


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_the_same_drawn_people_get_the_keypoints_of_the_checkpoint(skeleton) -> None:
    dataset, _ = evaluation_set("synthetic", SMOKE, "", skeleton)
    usual = SMOKE.open_dataset("synthetic", "test")
    assert dataset.skeleton is skeleton and len(dataset) == len(usual)
    for index in range(len(dataset)):
        assert np.array_equal(dataset[index].image, usual[index].image)
        assert dataset[index].keypoints.shape[1] == len(skeleton)
    elbow, other = (s.index("left_elbow") for s in (skeleton, COCO))
    assert np.array_equal(dataset[0].keypoints[:, elbow], usual[0].keypoints[:, other])


def test_training_images_are_those_that_were_trained_on() -> None:
    dataset, words = evaluation_set("synthetic", SMOKE, "", CROWDPOSE, split="train")
    trained, tested = (SMOKE.open_dataset("synthetic", split) for split in ("train", "test"))
    assert words.startswith("8 synthetic scenes") and len(dataset) == len(trained) == 8
    assert np.array_equal(dataset[0].image, trained[0].image)
    assert not np.array_equal(dataset[0].image, tested[0].image)


def test_synthetic_scenes_have_the_size_that_is_given() -> None:
    dataset, words = evaluation_set("synthetic", SMOKE, "", COCO, size=64)
    assert dataset[0].size == (64, 64) and words.endswith("64 px")
    assert evaluation_set("synthetic", SMOKE, "", COCO, size=None)[1].endswith("128 px")


def test_they_are_described() -> None:
    _, words = evaluation_set("synthetic", SMOKE, "", COCO)
    low, high = SMOKE.scenes.people
    assert words == f"4 synthetic scenes, {low} to {high} people, 128 px"
    recipe = SceneConfig(size=96, people=(5, 5), crowd_index=0.5)
    scenes = SyntheticScenes(recipe, 7, 0, COCO)
    assert describe(scenes, "any") == "7 synthetic scenes, 5 people, crowd index 0.5, 96 px"
    spread = SyntheticScenes(replace(recipe, crowd_index=(0, 1)), 7, 0, COCO)
    assert "crowd index 0 to 1" in describe(spread, "any")
    clips = SyntheticClips(ClipConfig(size=64, frames=7), 2, 0, POSETRACK18)
    assert describe(clips, "any") == "2 synthetic clips of 7 frames, 1 person, 64 px"
    one = SyntheticClips(ClipConfig(people=(2, 3)), 1, 0, POSETRACK18)
    assert describe(one, "any") == "1 synthetic clip of 30 frames, 2 to 3 people, 128 px"


def test_the_people_of_clips_get_the_keypoints_of_the_checkpoint() -> None:
    preset = replace(SMOKE, scenes=ClipConfig(size=64, frames=2), test_scenes=2)
    dataset, _ = evaluation_set("clips", preset, "", PENN_ACTION)
    usual = preset.open_dataset("clips", "test")
    assert dataset.skeleton is PENN_ACTION and len(dataset) == len(usual) == 4
    wrist, other = (s.index("left_wrist") for s in (PENN_ACTION, POSETRACK18))
    assert np.array_equal(dataset[3].image, usual[3].image)
    assert np.array_equal(dataset[3].keypoints[:, wrist], usual[3].keypoints[:, other])


def crowdpose_folder(folder: Path) -> Path:
    (folder / "images").mkdir()
    (folder / "json").mkdir()
    cv2.imwrite(str(folder / "images" / "1.jpg"), np.zeros((20, 20, 3), np.uint8))
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9],
              "keypoints": [5, 5, 2] * 14, "iscrowd": 0, "num_keypoints": 14}  # fmt: skip
    image = {"id": 1, "file_name": "1.jpg", "width": 20, "height": 20, "crowdIndex": 0.1}
    names = list(CROWDPOSE.keypoints)
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": []}
    content = {"images": [image], "annotations": [person], "categories": [category]}
    (folder / "json" / "crowdpose_test.json").write_text(json.dumps(content))
    return folder


def test_real_people_must_have_the_keypoints_of_the_checkpoint(tmp_path: Path) -> None:
    folder = crowdpose_folder(tmp_path)
    dataset, words = evaluation_set("crowdpose", SMOKE, folder, CROWDPOSE)
    assert len(dataset) == 1 and words == "1 image of crowdpose"
    with pytest.raises(ValueError, match="'crowdpose', but the checkpoint predicts 'coco'"):
        evaluation_set("crowdpose", SMOKE, folder, COCO)
