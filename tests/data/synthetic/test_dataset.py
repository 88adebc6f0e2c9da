"""The data set of scenes, its COCO description and the folder it is written to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco as pycoco

from poselib.annotations import PIXEL_CENTER
from poselib.data.image_io import read_image
from poselib.data.readers.coco import CocoKeypoints, read_annotations
from poselib.data.synthetic import export
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes, write_scenes
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from tests.metrics.factories import coco_document

CONFIG = SceneConfig(size=96, people=(1, 3))
SKELETONS = pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)


@SKELETONS
def test_samples_are_complete(skeleton: Skeleton) -> None:
    data = SyntheticScenes(CONFIG, 8, 1, skeleton)
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


def test_index_past_the_end() -> None:
    data = SyntheticScenes(CONFIG, 3, 1, COCO)
    assert len(list(data)) == 3
    assert data[-1].image_id == 2
    with pytest.raises(IndexError, match="image 3 of 3"):
        data[3]
    with pytest.raises(TypeError, match=r"takes one integer, .*; several are \[dataset\[i\] for"):
        data[:2]  # type: ignore[index]


def test_cached_scenes_are_the_same_and_rendered_once() -> None:
    data = SyntheticScenes(CONFIG, 4, 1, COCO)
    cached = data.cached()
    assert cached.scene(2) is cached.scene(2)
    for i in range(4):
        np.testing.assert_array_equal(cached[i].image, data[i].image)
        np.testing.assert_array_equal(cached[i].keypoints, data[i].keypoints)


@SKELETONS
def test_document_is_in_coco_format(skeleton: Skeleton) -> None:
    data = SyntheticScenes(CONFIG, 6, 2, skeleton)
    truth = coco_document(data)
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
def test_annotations_are_those_of_the_written_document(skeleton: Skeleton) -> None:
    data = SyntheticScenes(CONFIG, 6, 2, skeleton)
    table, read = data.annotations(), read_annotations(coco_document(data), skeleton)
    assert table.image_ids == read.image_ids and table.sizes == read.sizes
    assert table.crowd_indices == read.crowd_indices
    for name in ("keypoints", "boxes", "areas", "images", "crowds", "ignored", "categories"):
        np.testing.assert_array_equal(getattr(table, name), getattr(read, name), err_msg=name)


@SKELETONS
def test_written_folder_reads_as_the_same_samples(tmp_path: Path, skeleton: Skeleton) -> None:
    folder = write_scenes(tmp_path / "made" / "here", CONFIG, 5, 3, skeleton)
    read = CocoKeypoints(folder / "annotations.json", folder / "images", skeleton)
    rendered = SyntheticScenes(CONFIG, 5, 3, skeleton)
    assert sorted(p.name for p in (folder / "images").iterdir())[0] == "000000.png"
    for i in range(5):
        a, b = read[i], rendered[i]
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_array_equal(a.areas, b.areas)
        assert read.crowd_indices[i] == pytest.approx(rendered.scene(i).crowd_index, abs=1e-3)
    assert [p.name for p in folder.parent.iterdir()] == ["here"], "nothing temporary is left"


def test_write_scenes_twice_writes_once(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", CONFIG, 2, 0, COCO)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert write_scenes(folder, CONFIG, 2, 0, COCO) == folder
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_write_scenes_refuses_a_folder_of_other_scenes(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", CONFIG, 2, 0, COCO)
    with pytest.raises(ValueError, match="differ in count"):
        write_scenes(folder, CONFIG, 3, 0, COCO)
    with pytest.raises(ValueError, match="differ in seed"):
        write_scenes(folder, CONFIG, 2, 1, COCO)
    with pytest.raises(ValueError, match="differ in keypoints, skeleton"):
        write_scenes(folder, CONFIG, 2, 0, CROWDPOSE)
    with pytest.raises(ValueError, match="differ in recipe"):
        write_scenes(folder, SceneConfig(), 2, 0, COCO)


def test_write_scenes_refuses_a_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="not a folder of synthetic scenes"):
        write_scenes(tmp_path, CONFIG, 2, 0, COCO)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_write_scenes_refuses_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "scenes").write_text("")
    with pytest.raises(ValueError, match=r"not a folder of synthetic scenes \(it is a file\); "):
        write_scenes(tmp_path / "scenes", CONFIG, 2, 0, COCO)


def test_write_scenes_leaves_nothing_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, done = export.render_scene, []

    def fail_later(config: SceneConfig, seed: int, index: int) -> object:
        if len(done) == 2:
            raise RuntimeError("disk full")
        done.append(index)
        return render(config, seed, index)

    monkeypatch.setattr(export, "render_scene", fail_later)
    with pytest.raises(RuntimeError, match="disk full"):
        write_scenes(tmp_path / "scenes", CONFIG, 4, 0, COCO)
    assert list(tmp_path.iterdir()) == []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("place", ["folder", "link", "dangling", "."])
def test_write_scenes_into_an_empty_folder_or_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    monkeypatch.chdir(target if place == "." else tmp_path)
    before, inode = names(tmp_path), target.stat().st_ino
    written = write_scenes(Path(place), CONFIG, 1, 0, COCO)
    assert names(written) == ["annotations.json", "images"]
    assert set(names(tmp_path)) - set(before) == ({"new"} if place == "dangling" else set())
    assert target.stat().st_ino == inode, "a working directory must not be replaced"


@pytest.mark.parametrize("exists", [False, True])
def test_of_two_writers_of_the_same_scenes_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    folder, render, other = tmp_path / "scenes", export.render_scene, []
    if exists:
        folder.mkdir()

    def second_is_faster(config: SceneConfig, seed: int, index: int) -> object:
        if not other:
            other.append(seed)
            write_scenes(folder, CONFIG, 2, 0, COCO)
        return render(config, seed, index)

    monkeypatch.setattr(export, "render_scene", second_is_faster)
    assert write_scenes(folder, CONFIG, 2, 0, COCO) == folder
    assert names(folder) == ["annotations.json", "images"] and names(tmp_path) == ["scenes"]


def test_of_two_writers_of_other_scenes_the_later_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, other = export.render_scene, []

    def second_is_faster(config: SceneConfig, seed: int, index: int) -> object:
        if not other:
            other.append(seed)
            write_scenes(tmp_path / "scenes", CONFIG, 2, 1, COCO)
        return render(config, seed, index)

    monkeypatch.setattr(export, "render_scene", second_is_faster)
    with pytest.raises(ValueError, match="differ in seed"):
        write_scenes(tmp_path / "scenes", CONFIG, 2, 0, COCO)


@pytest.mark.parametrize("name", [b"caf\xe9", "\u5bf9" * 80, "a" * 255])
def test_write_scenes_into_folders_of_any_name(tmp_path: Path, name: str | bytes) -> None:
    folder = write_scenes(tmp_path / os.fsdecode(name), CONFIG, 1, 0, COCO)
    assert read_image(folder / "images" / "000000.png").shape == (96, 96, 3)
    with pytest.raises((OSError, ValueError), match="too long"):
        write_scenes(tmp_path / ("a" * 256), CONFIG, 1, 0, COCO)


def test_write_scenes_as_jpg(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", CONFIG, 2, 0, COCO, image_format="jpg")
    read = CocoKeypoints(folder / "annotations.json", folder / "images", COCO)
    rendered = SyntheticScenes(CONFIG, 2, 0, COCO)
    error = np.abs(read[1].image.astype(int) - rendered[1].image.astype(int))
    assert read.image_path(1).suffix == ".jpg" and error.mean() < 8


def test_write_scenes_refuses_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count"):
        SyntheticScenes(CONFIG, -1, 0, COCO)
    with pytest.raises(ValueError, match="seed"):
        SyntheticScenes(CONFIG, 1, -1, COCO)
    with pytest.raises(ValueError, match="processes must be 1 or more, not -3"):
        write_scenes(tmp_path / "scenes", CONFIG, 1, 0, COCO, processes=-3)
    with pytest.raises(ValueError, match="image_format"):
        write_scenes(tmp_path / "scenes", CONFIG, 1, 0, COCO, image_format="gif")
    odd = Skeleton("odd", ("nose", "left_wing"), (0.1, 0.1), (), ())
    with pytest.raises(ValueError, match="left_wing"):
        write_scenes(tmp_path / "scenes", CONFIG, 1, 0, odd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_write_scenes_with_several_processes_is_identical(tmp_path: Path) -> None:
    one = write_scenes(tmp_path / "one", CONFIG, 20, 4, COCO)
    two = write_scenes(tmp_path / "two", CONFIG, 20, 4, COCO, processes=2)
    for file in sorted(one.rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (two / file.relative_to(one)).read_bytes()
