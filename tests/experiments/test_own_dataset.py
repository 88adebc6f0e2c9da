"""Datasets that commands are given: their parts, what is held out, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from poselib.data.readers.coco import CocoKeypoints
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.experiments.own_dataset import (
    find_parts,
    held_out,
    open_own,
    positions_of,
    skeleton_for,
    split_images,
    subset,
)
from poselib.skeletons import COCO


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    return write_scenes(folder, SceneConfig(size=64, people=(1, 2)), 20, 1, COCO)


def copied(folder: Path, target: Path, *names: str) -> Path:
    shutil.copytree(folder / "images", target / "images")
    for name in names:
        shutil.copy(folder / "annotations.json", target / name)
    return target


def renamed(file: Path, keypoints: list[str]) -> None:
    content = json.loads(file.read_text())
    content["categories"][0].update(name="other", keypoints=keypoints, skeleton=[])
    file.write_text(json.dumps(content))


def test_a_tenth_is_held_out_by_seed_images_without_people_too(folder: Path) -> None:
    dataset = CocoKeypoints(folder / "annotations.json", folder / "images", COCO)
    rows = ~np.isin(dataset.table.images, np.arange(10))  # ten images lose their people
    dataset.table = dataset.table.only(rows)
    train, val = split_images(dataset, 3)
    assert (len(train), len(val)) == (9, 2) and train.table.has_people.all()
    assert val.table.has_people.tolist() == [False, True]
    assert not {*train.image_ids} & {*val.image_ids}
    assert split_images(dataset, 3)[1].image_ids == val.image_ids
    assert len({split_images(dataset, seed)[1].image_ids for seed in range(8)}) > 1
    for position, number in enumerate(val.image_ids):
        expected = dataset[dataset.image_ids.index(number)]
        np.testing.assert_array_equal(val[position].image, expected.image)
        np.testing.assert_array_equal(val[position].keypoints, expected.keypoints)


def test_one_image_with_people_cannot_be_split(folder: Path) -> None:
    dataset = CocoKeypoints(folder / "annotations.json", folder / "images", COCO)
    with pytest.raises(ValueError, match="1 image with people, too few"):
        split_images(subset(dataset, np.array([4])), 0)


def test_a_validation_set_is_used_as_it_is(folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path, "train.json", "val.json", "test.json")
    parts = find_parts(str(tmp_path))
    data = open_own(parts, skeleton_for(parts), 0)
    assert (len(data.train), len(data.val), data.drawn) == (20, 20, ())
    assert data.val.table.source == tmp_path / "val.json"
    (tmp_path / "val.json").unlink()
    parts = find_parts(str(tmp_path))
    assert open_own(parts, COCO, 0).val.table.source == tmp_path / "test.json"
    (tmp_path / "train.json").unlink()
    with pytest.raises(ValueError, match=r"\(test\): none of the parts is to train on"):
        open_own(find_parts(str(tmp_path)), COCO, 0)


def test_the_keypoints_are_those_of_the_files(folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path, "train.json", "val.json")
    assert skeleton_for(find_parts(str(tmp_path))) == COCO
    names = [f"point {k}" for k in range(17)]
    renamed(tmp_path / "val.json", names)
    with pytest.raises(ValueError, match=r"the keypoints of .* differ"):
        skeleton_for(find_parts(str(tmp_path)))
    renamed(tmp_path / "train.json", names)
    assert [*skeleton_for(find_parts(str(tmp_path))).keypoints] == names


def test_what_a_training_held_out_is_found_by_its_folder_or_checkpoint(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "annotations.json"
    assert held_out(tmp_path, file) == []
    (tmp_path / "split.json").write_text(json.dumps({"annotations": str(file), "val": [3, 5]}))
    assert held_out(tmp_path, file) == held_out(tmp_path / "best.safetensors", file) == [3, 5]
    assert capsys.readouterr().err == ""
    assert held_out(tmp_path, tmp_path / "others.json") == []
    assert f"held out images of {file}; of {tmp_path / 'others.json'}" in capsys.readouterr().err
    for wrong in ({"annotations": str(file), "val": 3}, {"annotations": "\0", "val": []}):
        (tmp_path / "split.json").write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"split\.json: expected .* a list of ids, val"):
            held_out(tmp_path, file)
    (tmp_path / "split.json").write_text(json.dumps({"annotations": str(file), "val": [3, 5]}))
    dataset = CocoKeypoints(file, folder / "images", COCO)
    assert positions_of(dataset, [5, 3]).tolist() == [3, 5]
