"""The data set of scenes, its COCO description and the folder it is written to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco as pycoco

from poselib.data.readers.coco import PIXEL_CENTER, CocoKeypoints
from poselib.data.synthetic import export as synthetic_folder
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes, write
from poselib.skeletons import COCO, CROWDPOSE, Skeleton

RECIPE = SceneConfig(size=96, people=(1, 3))
SKELETONS = pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)


@SKELETONS
def test_samples_are_whole(skeleton: Skeleton) -> None:
    data = SyntheticScenes(RECIPE, 8, 1, skeleton)
    assert len(data) == 8 and data.skeleton is skeleton
    for i in range(8):
        sample = data[i]
        assert sample.image.shape == (3, 96, 96) and sample.image.dtype == np.uint8
        assert sample.image.flags.c_contiguous
        assert sample.keypoints.shape == (len(sample.areas), len(skeleton), 3)
        assert (sample.keypoints[..., 2] > 0).any(1).all() and (sample.areas >= 4).all()
        assert sample.ignore_mask.shape == (96, 96) and not sample.ignore_mask.any()
        assert sample.image_id == i
        np.testing.assert_array_equal(sample.to_original.matrix, np.eye(2, 3))


def test_ends_like_a_sequence() -> None:
    data = SyntheticScenes(RECIPE, 3, 1, COCO)
    assert len(list(data)) == 3
    with pytest.raises(IndexError):
        data[3]


def test_the_cache_holds_the_same_scenes_and_draws_them_once() -> None:
    data = SyntheticScenes(RECIPE, 4, 1, COCO)
    cached = data.cached()
    assert cached.scene(2) is cached.scene(2)
    for i in range(4):
        np.testing.assert_array_equal(cached[i].image, data[i].image)
        np.testing.assert_array_equal(cached[i].keypoints, data[i].keypoints)


@SKELETONS
def test_ground_truth_is_coco(skeleton: Skeleton) -> None:
    data = SyntheticScenes(RECIPE, 6, 2, skeleton)
    truth = data.ground_truth()
    api = pycoco.COCO()
    api.dataset = json.loads(json.dumps(truth))
    api.createIndex()
    assert api.getImgIds() == list(range(6))
    assert truth["categories"][0]["keypoints"] == list(skeleton.keypoints)
    assert min(a["id"] for a in truth["annotations"]) == 1
    for i in range(6):
        sample, people = data[i], api.loadAnns(api.getAnnIds(imgIds=[i]))
        assert len(people) == len(sample.areas)
        for row, area, person in zip(sample.keypoints, sample.areas, people, strict=True):
            kept = row[:, 2] > 0
            stored = np.array(person["keypoints"]).reshape(-1, 3)
            np.testing.assert_allclose(stored[kept, :2], row[kept, :2] - PIXEL_CENTER, atol=1e-3)
            np.testing.assert_array_equal(stored[:, 2], row[:, 2])
            assert person["num_keypoints"] == kept.sum() and person["area"] == area
            left, top, width, height = person["bbox"]
            assert min(left, top) >= 0 and max(left + width, top + height) <= 96


@SKELETONS
def test_a_written_folder_reads_as_the_same_samples(tmp_path: Path, skeleton: Skeleton) -> None:
    folder = write(tmp_path / "made" / "here", RECIPE, 5, 3, skeleton)
    read = CocoKeypoints(folder / "annotations.json", folder / "images", skeleton)
    drawn = SyntheticScenes(RECIPE, 5, 3, skeleton)
    assert sorted(p.name for p in (folder / "images").iterdir())[0] == "000000.png"
    for i in range(5):
        a, b = read[i], drawn[i]
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_array_equal(a.areas, b.areas)
        assert read.crowd_indices[i] == pytest.approx(drawn.scene(i).crowd_index, abs=1e-3)
    assert [p.name for p in folder.parent.iterdir()] == ["here"], "nothing temporary is left"


def test_the_same_request_does_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "scenes", RECIPE, 2, 0, COCO)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert write(folder, RECIPE, 2, 0, COCO) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_another_request_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    folder = write(tmp_path / "scenes", RECIPE, 2, 0, COCO)
    with pytest.raises(ValueError, match="differ in count"):
        write(folder, RECIPE, 3, 0, COCO)
    with pytest.raises(ValueError, match="differ in seed"):
        write(folder, RECIPE, 2, 1, COCO)
    with pytest.raises(ValueError, match="differ in keypoints, skeleton"):
        write(folder, RECIPE, 2, 0, CROWDPOSE)
    with pytest.raises(ValueError, match="differ in recipe"):
        write(folder, SceneConfig(), 2, 0, COCO)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="no folder of synthetic scenes"):
        write(tmp_path, RECIPE, 2, 0, COCO)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scenes").write_text("")
    with pytest.raises(ValueError, match="no folder of synthetic scenes"):
        write(tmp_path / "scenes", RECIPE, 2, 0, COCO)


def test_a_writer_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, done = synthetic_folder.render_scene, []

    def fail_later(recipe: SceneConfig, seed: int, index: int) -> object:
        if len(done) == 2:
            raise RuntimeError("disk full")
        done.append(index)
        return render(recipe, seed, index)

    monkeypatch.setattr(synthetic_folder, "render_scene", fail_later)
    with pytest.raises(RuntimeError, match="disk full"):
        write(tmp_path / "scenes", RECIPE, 4, 0, COCO)
    assert list(tmp_path.iterdir()) == []


def test_jpg_can_be_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "scenes", RECIPE, 2, 0, COCO, image_format="jpg")
    read = CocoKeypoints(folder / "annotations.json", folder / "images", COCO)
    drawn = SyntheticScenes(RECIPE, 2, 0, COCO)
    error = np.abs(read[1].image.astype(int) - drawn[1].image.astype(int))
    assert read.image_path(1).suffix == ".jpg" and error.mean() < 8


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count"):
        SyntheticScenes(RECIPE, -1, 0, COCO)
    with pytest.raises(ValueError, match="seed"):
        SyntheticScenes(RECIPE, 1, -1, COCO)
    with pytest.raises(ValueError, match="image_format"):
        write(tmp_path / "scenes", RECIPE, 1, 0, COCO, image_format="gif")
    odd = Skeleton("odd", ("nose", "left_wing"), (0.1, 0.1), (), ())
    with pytest.raises(ValueError, match="left_wing"):
        write(tmp_path / "scenes", RECIPE, 1, 0, odd)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_write_the_same(tmp_path: Path) -> None:
    one = write(tmp_path / "one", RECIPE, 20, 4, COCO)
    two = write(tmp_path / "two", RECIPE, 20, 4, COCO, processes=2)
    for file in sorted(one.rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (two / file.relative_to(one)).read_bytes()
