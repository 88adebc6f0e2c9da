"""Datasets by name, in the folders that their own pages give."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poselib.data.catalog import (
    DATASETS,
    Split,
    cache_in_memory,
    open_dataset,
    open_files,
    training_dataset_for,
)
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import write_scenes
from poselib.skeletons import COCO, CROWDPOSE, LSP, MPII, OCHUMAN, SKELETONS, Skeleton, get_skeleton
from tests.data.factories import aic, flic, hieve, lsp, mpii, ochuman, uav_human
from tests.data.factories.mat import save, struct

SPLITS: tuple[Split, Split] = ("train", "test")
HELD_OUT: tuple[Split, Split] = ("val", "test")


def test_training_and_test_scenes_differ() -> None:
    train, test = (open_dataset("synthetic", split) for split in SPLITS)
    assert (len(train), len(test)) == (6000, 200)
    assert not np.array_equal(train[0].image, test[0].image)


def test_cached_scenes_are_the_same() -> None:
    scenes = open_dataset("synthetic", "test", count=4)
    kept = cache_in_memory(scenes)
    assert np.array_equal(kept[1].image, scenes[1].image)
    assert kept[1] is not scenes[1] and kept.skeleton is COCO


@pytest.mark.parametrize("name", SKELETONS)
def test_synthetic_people_with_any_skeleton(name: str) -> None:
    scenes = open_dataset("synthetic", "train", skeleton=name)
    assert scenes.skeleton is get_skeleton(name)
    keypoints = scenes[0].keypoints
    assert keypoints.shape[1:] == (len(SKELETONS[name]), 3) and keypoints[..., 2].any()


def test_open_files(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "a", SceneConfig(size=64), 2, 0, COCO)
    files = open_files(folder / "annotations.json", str(folder / "images"), COCO)
    assert len(files) == 2 and cache_in_memory(files) is files
    assert repr(files).startswith("<2 images of ")
    with pytest.raises(ValueError, match="needs the folder of its images"):
        open_files(folder / "annotations.json", "", "coco")
    with pytest.raises(ValueError, match="unknown skeleton 'mpi'"):
        open_files(folder / "annotations.json", folder / "images", "mpi")


def test_files_state_their_own_skeleton(tmp_path: Path) -> None:
    own = replace(LSP, name="players", groups={})
    folder = write_scenes(tmp_path / "a", SceneConfig(size=64), 2, 0, own)
    annotations, images = folder / "annotations.json", folder / "images"
    # Names of a known skeleton are that one's; others are the file's own.
    assert open_files(annotations, images).skeleton is LSP
    content = json.loads(annotations.read_text())
    content["categories"][0]["keypoints"][-1] = "hat"
    annotations.write_text(json.dumps(content))
    found = open_files(annotations, images).skeleton
    assert found.keypoints == (*LSP.keypoints[:-1], "hat") and found.flip_pairs
    assert found.limb_indices.tolist() == own.limb_indices.tolist()
    found.to_toml(tmp_path / "own.toml")
    for given in (tmp_path / "own.toml", str(tmp_path / "own.toml"), found, str(annotations)):
        assert open_files(annotations, images, given).skeleton == found
    with pytest.raises(ValueError, match="1 keypoints are named otherwise: from position 13"):
        open_files(annotations, images, "lsp")


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("imagenet", "", "unknown dataset 'imagenet'; known: .*synthetic.* coco.* uav_human"),
        ("coco", "", "'coco' needs its folder"),
        ("mpii", "", "'mpii' needs its folder"),
    ],
)
def test_unknown_dataset_or_missing_folder(name: str, folder: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset(name, "train", folder)


def test_skeleton_of_a_real_dataset_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'coco' has a skeleton of its own; 'mpii' does not apply"):
        open_dataset("coco", "train", tmp_path, skeleton="mpii")
    with pytest.raises(ValueError, match="unknown skeleton 'mpi'"):
        open_dataset("synthetic", "train", skeleton="mpi")


def test_options_of_synthetic_scenes_are_refused_for_real_data(tmp_path: Path) -> None:
    for options in ({"count": 3}, {"scenes": SceneConfig()}):
        with pytest.raises(ValueError, match="'coco' is real: scenes and count are for synthetic"):
            open_dataset("coco", "train", tmp_path, **options)  # type: ignore[arg-type]


def test_scene_config_and_count() -> None:
    scenes = open_dataset("crowd", scenes=SceneConfig(size=64), count=3, skeleton=COCO)
    assert (len(scenes), scenes.skeleton, scenes[0].size) == (3, COCO, (64, 64))
    assert repr(scenes) == "<3 synthetic scenes of seed 2, skeleton 'coco'>"
    crowd = open_dataset("crowd", "train")
    assert crowd.skeleton is CROWDPOSE and len(crowd[0].keypoints) >= 5
    assert open_dataset("groups").skeleton is MPII and len(open_dataset("groups")[0].keypoints) >= 2


@pytest.mark.parametrize("name", ["synthetic", "crowd", "groups", *DATASETS])
def test_an_unknown_split_lists_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"'{name}' has no split 'dev'; it has .*test"):
        open_dataset(name, "dev", tmp_path)  # type: ignore[arg-type]


def test_val_is_the_test_set_unless_both_are_published(tmp_path: Path) -> None:
    assert np.array_equal(
        open_dataset("synthetic")[5].image, open_dataset("synthetic", "test")[5].image
    )
    coco_folder(tmp_path)
    assert [open_dataset("coco", split, tmp_path)[0].image_id for split in ("val", "test")] == [
        1,
        1,
    ]
    ochuman_folder(tmp_path)
    names = [
        open_dataset("ochuman", split, tmp_path).image_path(0).name  # type: ignore[attr-defined]
        for split in HELD_OUT
    ]
    assert names == ["val1.jpg", "test1.jpg"]


# Every real dataset, in a folder as its page gives it. Sizes are those of 40 x 60 px images.


def put(path: Path, content: object = None) -> Path:
    """Write JSON, or a gray image where the name is that of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jpg":
        Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    else:
        path.write_text(json.dumps(content))
    return path


def coco_like(name: str, skeleton: Skeleton) -> dict[str, Any]:
    """Somebody in the first of two images."""
    return {
        "images": [
            {"id": n, "file_name": f"{name}{n}.jpg", "height": 40, "width": 60} for n in (1, 2)
        ],
        "annotations": [
            {
                **{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 300.0},
                **{"bbox": [5, 5, 20, 30], "keypoints": [10, 12, 2] * len(skeleton)},
            }
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.keypoints)}],
    }


def coco_folder(folder: Path) -> None:
    for part in ("train2017", "val2017", "test2017"):
        content = coco_like(part, COCO)
        name = f"person_keypoints_{part}.json"
        if part == "test2017":
            name = "image_info_test-dev2017.json"
            del content["annotations"]
        put(folder / "annotations" / name, content)
        for image in content["images"]:
            put(folder / part / image["file_name"])


def crowdpose_folder(folder: Path) -> None:
    for part in ("trainval", "test"):
        put(folder / "json" / f"crowdpose_{part}.json", coco_like(part, CROWDPOSE))
        for number in (1, 2):
            put(folder / "images" / f"{part}{number}.jpg")


def ochuman_folder(folder: Path) -> None:
    for part in ("val", "test"):
        name = f"ochuman_coco_format_{part}_range_0.00_1.00.json"
        put(folder / "annotations" / name, coco_like(part, OCHUMAN))
        for number in (1, 2):
            put(folder / "images" / f"{part}{number}.jpg")


def mpii_folder(folder: Path) -> None:
    (folder / "images").mkdir()
    names = ("a.jpg", "b.jpg")
    for name in names:
        put(folder / "images" / name)
    mpii.write_release(
        folder,
        mpii.image("a.jpg", mpii.person(5, 4)),
        mpii.image("b.jpg", mpii.person(9, 4), train=0),
    )


def aic_folder(folder: Path) -> None:
    for part, day, shot in (("train", "20170909", "20170902"), ("validation",) + ("20170911",) * 2):
        home = folder / f"ai_challenger_keypoint_{part}_{shot}"
        people = {"human1": aic.person(3, 6)}
        content = [
            {
                "image_id": f"{part}{number}",
                "human_annotations": {name: [0, 5, 40, 40] for name in found},
                "keypoint_annotations": found,
            }
            for number, found in ((1, people), (2, {}))
        ]
        put(home / f"keypoint_{part}_annotations_{day}.json", content)
        for number in (1, 2):
            put(home / f"keypoint_{part}_images_{shot}" / f"{part}{number}.jpg")


def lsp_folder(folder: Path) -> None:
    save(folder / "joints.mat", joints=lsp.joints(1002))
    first = put(folder / "images" / "im0001.jpg").read_bytes()
    for number in range(2, 1003):
        (folder / "images" / f"im{number:04d}.jpg").write_bytes(first)


def flic_folder(folder: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        put(folder / "images" / name)
    save(
        folder / "examples.mat", examples=struct(flic.example("a.jpg", 1), flic.example("b.jpg", 0))
    )


def hieve_folder(folder: Path) -> None:
    for video in ("1", "2", "9", "10", "11"):
        frames = [hieve.frame("000000.jpg", [hieve.person(4)]), hieve.frame("000001.jpg", [])]
        put(folder / "labels" / "train" / "track2&3" / f"{video}.json", {"annolist": frames})
        for number in (0, 1):
            put(folder / "images" / "train" / video / f"{number:06d}.jpg")


def uav_human_folder(folder: Path) -> None:
    for name, people in (
        (uav_human.TRAIN, [uav_human.person(3)]),
        (uav_human.TEST, [uav_human.person(3)]),
        (f"{uav_human.TEST}1", []),
    ):
        content = json.loads(json.dumps(uav_human.labels(*people)).replace(": 80", ": 60"))
        put(folder / "annotations" / f"{name}.json", content)
        put(folder / "frames" / f"{name}.jpg")


# Number of images and of people in each split; without people an image is only kept for testing.
LAYOUTS: list[tuple[str, Callable[[Path], None], Split, int, int]] = [
    ("coco", coco_folder, "train", 1, 1),
    ("coco", coco_folder, "test", 2, 1),
    ("coco_testdev", coco_folder, "test", 2, 0),
    ("crowdpose", crowdpose_folder, "train", 1, 1),
    ("crowdpose", crowdpose_folder, "test", 2, 1),
    ("ochuman", ochuman_folder, "train", 1, 1),
    ("ochuman", ochuman_folder, "test", 2, 1),
    ("ochuman_val", ochuman_folder, "test", 2, 1),
    ("mpii", mpii_folder, "train", 1, 1),
    ("mpii", mpii_folder, "test", 1, 1),
    ("aic", aic_folder, "train", 1, 1),
    ("aic", aic_folder, "test", 2, 1),
    ("lsp", lsp_folder, "train", 1000, 1000),
    ("lsp", lsp_folder, "test", 2, 2),
    ("flic", flic_folder, "train", 1, 1),
    ("flic", flic_folder, "test", 1, 1),
    ("hieve", hieve_folder, "train", 2, 2),
    ("hieve", hieve_folder, "test", 6, 3),
    ("uav_human", uav_human_folder, "train", 1, 1),
    ("uav_human", uav_human_folder, "test", 2, 1),
]


@pytest.mark.parametrize(
    ("name", "layout", "split", "images", "people"),
    LAYOUTS,
    ids=[f"{name}-{split}" for name, _, split, _, _ in LAYOUTS],
)
def test_datasets_open_in_their_published_folder(
    name: str,
    layout: Callable[[Path], None],
    split: Split,
    images: int,
    people: int,
    tmp_path: Path,
) -> None:
    layout(tmp_path)
    dataset = open_dataset(name, split, tmp_path)
    assert dataset.skeleton is SKELETONS[name.removesuffix("_testdev").removesuffix("_val")]
    assert len(dataset) == images
    first = dataset[0]
    assert first.image.shape == (3, 40, 60)
    assert first.keypoints.shape[1:] == (len(dataset.skeleton), 3)
    if name != "coco_testdev":
        assert len(first.keypoints) > 0
        assert (~dataset.annotations().crowds).sum() == people


@pytest.mark.parametrize(("name", "layout"), {name: f for name, f, *_ in LAYOUTS}.items())
def test_annotation_files_are_known(
    name: str, layout: Callable[[Path], None], tmp_path: Path
) -> None:
    layout(tmp_path)
    known = {path for pattern in DATASETS[name].files for path in tmp_path.glob(pattern)}
    annotations = {p for p in tmp_path.rglob("*") if p.suffix in (".json", ".mat", ".txt")}
    others = ("image_info",) if name == "coco" else ("person_keypoints",)
    assert known == {path for path in annotations if not path.name.startswith(others)}


@pytest.mark.parametrize(("name", "layout"), [(n, f) for n, f, s, *_ in LAYOUTS if s == "train"])
def test_training_and_test_images_are_disjoint(
    name: str, layout: Callable[[Path], None], tmp_path: Path
) -> None:
    layout(tmp_path)
    train, test = (open_dataset(name, split, tmp_path) for split in SPLITS)
    paths = [{d.image_path(i) for i in range(len(d))} for d in (train, test)]  # type: ignore[attr-defined]
    assert paths[0] and paths[1] and not paths[0] & paths[1]


def test_hieve_holds_back_its_last_videos(tmp_path: Path) -> None:
    hieve_folder(tmp_path)
    train, test = (open_dataset("hieve", split, tmp_path) for split in SPLITS)
    videos = [
        [d.image_path(i).parent.name for i in range(len(d))]  # type: ignore[attr-defined]
        for d in (train, test)
    ]
    assert videos == [["1", "2"], ["9", "9", "10", "10", "11", "11"]]
    for video in ("9", "10"):
        (tmp_path / "labels" / "train" / "track2&3" / f"{video}.json").unlink()
    with pytest.raises(ValueError, match=r"track2&3: 3 videos, but 3 are held back"):
        open_dataset("hieve", "train", tmp_path)


def test_coco_testdev_has_no_labels(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"'coco_testdev' has no split 'train'; train on coco; it has test \(test-dev2017\)",
    ):
        open_dataset("coco_testdev", "train", tmp_path)
    coco_folder(tmp_path)
    testdev = open_dataset("coco_testdev", "test", tmp_path)
    with pytest.raises(ValueError, match=r"has no annotations.*upload"):
        testdev.annotations()


def test_ochuman_val_and_test(tmp_path: Path) -> None:
    ochuman_folder(tmp_path)
    part = {
        name: {dataset.image_path(i) for i in range(len(dataset))}  # type: ignore[attr-defined]
        for name in ("ochuman", "ochuman_val")
        for dataset in [open_dataset(name, "test", tmp_path)]
    }
    assert not part["ochuman"] & part["ochuman_val"]
    trained = open_dataset("ochuman", "train", tmp_path)
    assert trained.image_path(0) in part["ochuman_val"]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="'ochuman_val' has no split 'train'; train on coco"):
        open_dataset("ochuman_val", "train", tmp_path)


def test_training_dataset_for() -> None:
    alone = ("coco", "coco_testdev", "ochuman", "ochuman_val")
    assert {training_dataset_for(name) for name in alone} == {"coco"}
    assert [training_dataset_for(name) for name in ("crowdpose", "crowd", "mpii")] == [
        "crowdpose", "crowd", "mpii"
    ]  # fmt: skip


def test_ochuman_opens_with_its_own_annotations(tmp_path: Path) -> None:
    put(tmp_path / "annotations" / "ochuman.json", ochuman.content())
    for number in (4, 7, 9):
        put(tmp_path / "images" / f"{number:06d}.jpg")
    dataset = open_dataset("ochuman", "train", tmp_path)
    # The two images with outlines are among the first 2500: its validation set.
    assert len(dataset) == 2 and dataset.skeleton is OCHUMAN
    with pytest.raises(ValueError, match=r"ochuman\.json: empty dataset"):
        open_dataset("ochuman", "test", tmp_path)


def test_mpii_opens_with_converted_annotations(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        put(tmp_path / "annot" / f"{part}.json", [mpii.entry(f"{part}.jpg")])
        put(tmp_path / "images" / f"{part}.jpg")
    train, test = (open_dataset("mpii", split, tmp_path) for split in SPLITS)
    assert (len(train), len(test)) == (1, 1)
    assert train.image_path(0).name == "train.jpg"  # type: ignore[attr-defined]
    assert test.image_path(0).name == "valid.jpg"  # type: ignore[attr-defined]


def test_mpii_groups_are_tested_if_known(tmp_path: Path) -> None:
    mpii_folder(tmp_path)
    people = mpii.person(5, 4), mpii.person(30, 20)
    shown = (
        mpii.image("a.jpg", mpii.person(5, 4)),
        mpii.image("b.jpg", *people, train=0, groups=[[1], [2]]),
    )
    mpii.write_release(tmp_path, *shown)
    mpii.write_groups(tmp_path, *shown)
    train, test = (open_dataset("mpii", split, tmp_path) for split in SPLITS)
    assert (len(train), len(test)) == (1, 2)
    assert [test[i].size for i in range(2)] == [(384, 384)] * 2
    assert [len(test[i].keypoints) for i in range(2)] == [1, 1]


def test_aic_training_folder_under_either_date(tmp_path: Path) -> None:
    aic_folder(tmp_path)
    one = tmp_path / "ai_challenger_keypoint_train_20170902"
    one.rename(tmp_path / "ai_challenger_keypoint_train_20170909")
    assert len(open_dataset("aic", "train", tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("coco", "train", r"annotations/person_keypoints_train2017\.json"),
        ("coco", "test", r"annotations/person_keypoints_val2017\.json"),
        ("coco_testdev", "test", r"annotations/image_info_test-dev2017\.json"),
        ("crowdpose", "train", r"json/crowdpose_trainval\.json"),
        ("crowdpose", "test", r"json/crowdpose_test\.json"),
        ("ochuman", "train", r"annotations/ochuman_coco_format_val_range_0\.00_1\.00\.json"),
        ("ochuman", "test", r"annotations/ochuman_coco_format_test_range_0\.00_1\.00\.json"),
        ("ochuman_val", "test", r"annotations/ochuman_coco_format_val_range_0\.00_1\.00\.json"),
        ("mpii", "train", r"mpii_human_pose_v1_u12_1\.mat nor .*annot/train\.json exists"),
        ("mpii", "test", r"mpii_human_pose_v1_u12_1\.mat nor .*annot/valid\.json exists"),
        ("aic", "train", r"train_20170909/keypoint_train_annotations_20170909\.json"),
        ("aic", "test", r"validation_20170911/keypoint_validation_annotations_20170911\.json"),
        ("lsp", "train", r"joints\.mat"),
        ("flic", "test", r"examples\.mat"),
        ("hieve", "train", r"labels/train/track2&3"),
        ("uav_human", "test", r"annotations"),
    ],
)
def test_missing_files_are_named(name: str, split: Split, file: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=file):
        open_dataset(name, split, tmp_path)


def test_hieve_clips_hold_back_the_videos_of_the_paper(tmp_path: Path) -> None:
    data = hieve.labels()
    labels = dict.fromkeys(("1", "3", "7", "17", "18"), data["2"])
    home = tmp_path / "labels" / "train"
    home.mkdir(parents=True)
    for video in labels:
        images = tmp_path / "images" / "train" / video
        images.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(images / f"{number:06d}.jpg")
    (home / "track2&3").mkdir()
    for video, content in labels.items():
        (home / "track2&3" / f"{video}.json").write_text(json.dumps(content))
    train, test = (open_dataset("hieve_clips", split, tmp_path).annotations() for split in SPLITS)
    assert set(train.videos) == {"1", "18"} and set(test.videos) == {"3", "7", "17"}
    assert train.tracks is not None and test.tracks is not None
