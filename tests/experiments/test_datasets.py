from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poselib.data.recipe import SceneRecipe
from poselib.data.synthetic import write
from poselib.experiments.datasets import in_memory, open_dataset, open_files
from poselib.experiments.presets import preset_named
from poselib.skeletons import COCO

SMOKE = preset_named("smoke")


def test_training_and_test_scenes_differ() -> None:
    train, test = (open_dataset("synthetic", split, SMOKE) for split in ("train", "test"))
    assert (len(train), len(test)) == (SMOKE.train_scenes, SMOKE.test_scenes)
    assert not np.array_equal(train[0].image, test[0].image)


def test_scenes_in_memory_are_the_same_scenes() -> None:
    scenes = open_dataset("synthetic", "test", SMOKE)
    kept = in_memory(scenes)
    assert np.array_equal(kept[1].image, scenes[1].image)
    assert kept[1] is not scenes[1] and kept.skeleton is COCO


def test_any_coco_file_can_be_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", SceneRecipe(size=64), 2, 0, COCO)
    files = open_files(folder / "annotations.json", folder / "images", "coco")
    assert len(files) == 2 and in_memory(files) is files
    with pytest.raises(ValueError, match="needs the folder of its images"):
        open_files(folder / "annotations.json", "", "coco")
    with pytest.raises(ValueError, match="unknown skeleton 'mpi'"):
        open_files(folder / "annotations.json", folder / "images", "mpi")


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("imagenet", "", "unknown dataset 'imagenet'; known: synthetic, coco, crowdpose"),
        ("coco", "", "'coco' needs the folder"),
    ],
)
def test_what_cannot_be_opened_is_named(name: str, folder: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset(name, "train", SMOKE, folder)


def test_a_preset_for_real_data_has_no_scenes() -> None:
    with pytest.raises(ValueError, match="for real data"):
        open_dataset("synthetic", "train", preset_named("paper"))


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("coco", "train", "annotations/person_keypoints_train2017.json"),
        ("coco", "test", "annotations/person_keypoints_val2017.json"),
        ("crowdpose", "train", "json/crowdpose_trainval.json"),
        ("crowdpose", "test", "json/crowdpose_test.json"),
    ],
)
def test_an_absent_file_is_named(name: str, split: str, file: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=file):
        open_dataset(name, split, SMOKE, tmp_path)  # type: ignore[arg-type]
