"""PoseTrack18: tracks, head boxes, ignore regions, unlabeled frames; real frames and faults."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from poselib.data.catalog import open_dataset
from poselib.data.clips import VideoClips
from poselib.data.readers.posetrack18 import PoseTrack18Keypoints
from poselib.skeletons import POSETRACK18
from tests.data.factories.posetrack18 import VIDEO, image, labels, write


def read(folder: Path, content: Any, **settings: Any) -> PoseTrack18Keypoints:
    write(folder, content)
    return PoseTrack18Keypoints(folder / "annotations" / "val", folder, **settings)


def test_frames_people_and_tracks(tmp_path: Path) -> None:
    frames = read(tmp_path, labels())
    assert frames.skeleton is POSETRACK18 and frames.version == ""
    assert frames.image_ids == (10000070000, 10000070008)
    assert frames.videos == (VIDEO, VIDEO) and frames.times == (0.0, 8 / 25)
    table = frames.annotations()
    assert table.tracks is not None and table.tracks.tolist() == [3, 3, 0]
    assert table.head_boxes is not None and table.head_boxes[1].tolist() == [9, 0, 5, 6]
    first, last = frames[0], frames[1]
    # The nose of the file's first keypoint; shoulders follow the ears in it.
    assert first.keypoints[0, 0].tolist() == [4.5, 0.5, 2]
    shoulder = POSETRACK18.index("left_shoulder")
    assert first.keypoints[0, shoulder].tolist() == [9.5, 10.5, 2]
    assert (first.keypoints[0, -2:] == 0).all()
    assert last.boxes is not None and last.boxes.tolist() == [[9, 1, 29, 31], [30, 1, 50, 31]]
    assert last.areas.tolist() == pytest.approx([0.53 * 600] * 2)
    clip = VideoClips(frames)[0]
    assert [f.keypoints[:, 0, 2].tolist() for f in clip.frames] == [[2, 0], [2, 2]]


def test_areas_without_labels_are_ignored(tmp_path: Path) -> None:
    mask = read(tmp_path, labels())[0].ignore_mask
    assert mask[3:9, 41:50].all() and mask.sum() == pytest.approx(80, abs=20)
    assert not read(tmp_path, labels())[1].ignore_mask.any()


def test_hidden_keypoints_of_files_that_tell(tmp_path: Path) -> None:
    content = labels()
    content["annotations"][0]["keypoints"][2] = 2
    keypoints = read(tmp_path, content)[0].keypoints[0]
    assert keypoints[0, 2] == 2 and (keypoints[1:-2, 2] == 1).all()


def test_points_outside_are_not_labeled_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = labels()
    content["annotations"][0]["keypoints"][:6] = [-1, 3, 1, 5, 40, 1]
    with caplog.at_level(logging.WARNING):
        keypoints = read(tmp_path, content)[0].keypoints[0]
    assert (keypoints[:2] == 0).all() and keypoints[2, 2] == 2
    assert "annotations/val: 2 of 39 keypoints lie outside of their images" in caplog.text


def test_boxes_without_area_are_those_of_the_keypoints(tmp_path: Path) -> None:
    content = labels()
    content["annotations"][0]["bbox"] = [3, 4, 0, 9]
    del content["annotations"][1]["bbox"]
    boxes = [sample.boxes[0].tolist() for sample in read(tmp_path, content)]  # type: ignore[union-attr,index]
    assert boxes == [[4.5, 0.5, 18.5, 28.5], [9.5, 0.5, 23.5, 28.5]]


@pytest.mark.parametrize(("count", "version"), [(74, "v0.2"), (170, "v0.45"), (3, "")])
def test_the_version_is_known_by_the_number_of_files(
    tmp_path: Path, count: int, version: str
) -> None:
    home = write(tmp_path, labels()) / "annotations" / "val"
    for number in range(count - 1):
        content = labels()
        for each in content["images"]:
            each["id"] += 10 * (number + 1)
        for each in content["annotations"]:
            each["image_id"] += 10 * (number + 1)
        (home / f"{number:06d}.json").write_text(json.dumps(content))
    opened = PoseTrack18Keypoints(home, tmp_path)
    assert opened.version == version and f", labels {version or 'in part'}>" in repr(opened)


def drop(*path: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def put(value: Any, *path: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("x", "images"), "images: expected a list of objects"),
        (put(5, "annotations", 1, "image_id"), "id 2: image_id 5 is not among images"),
        (put(3, "annotations", 2, "track_id"), "id 10000070008: annotations: track_id: .*twice: 3"),
        (drop("annotations", 0, "track_id"), "id 1: track_id: expected a whole number"),
        (put([1, 2], "annotations", 0, "keypoints"), "id 1: keypoints: expected 51 numbers"),
        (put([1, 2], "annotations", 0, "bbox_head"), "id 1: bbox_head: expected 4 numbers"),
        (put(7, "annotations", 0, "keypoints", 2), "id 1: keypoints: visibility must be 0, 1 or 2"),
        (put(10000070000, "images", 2, "id"), "images: an id is used twice: 10000070000"),
        (put([[1, 2]], "images", 0, "ignore_regions_x"), "ignore_regions: expected as many x"),
        (
            put([[40, 1e9, 50, 40], [1]], "images", 0, "ignore_regions_x"),
            "ignore_regions: expected px within",
        ),
        (
            put(["a"], "images", 0, "ignore_regions_x"),
            "ignore_regions_x: expected lists of numbers",
        ),
        (put(image(8, width=60, height=40), "images", 2), ""),
        (put(["nose"], "categories", 0, "keypoints"), "15 keypoints are missing: head_bottom"),
        (put({"fps": 0}, "info"), "info: fps: expected a number above 0"),
    ],
)
def test_faults_are_named(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    content = labels()
    change(content)
    if not message:
        assert len(read(tmp_path, content)) == 2
        return
    with pytest.raises(ValueError, match=f"{VIDEO}.json: .*{message}"):
        read(tmp_path, content)


def test_frames_of_one_video_have_one_size(tmp_path: Path) -> None:
    content = labels()
    content["images"][0].update(width=60, height=40)
    content["images"][2].update(width=60, height=41)
    with pytest.raises(ValueError, match=r"one size for all .* 60x40 px .*000000.jpg\) and 60x41"):
        read(tmp_path, content)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="annotations/val does not exist or holds no"):
        open_dataset("posetrack18", "val", tmp_path)
    write(tmp_path, labels())
    (tmp_path / "images" / "val" / VIDEO / "000008.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks 1 of 2 images: images/val/{VIDEO}/000008"):
        open_dataset("posetrack18", "val", tmp_path)


@pytest.mark.samples
def test_real_frames(samples_dir: Path) -> None:
    folder = samples_dir / "posetrack18"
    frames = open_dataset("posetrack18", "val", folder)
    assert [len(frames[n].keypoints) for n in range(3)] == [1, 2, 11]
    table = frames.annotations()
    # Ignore regions agree with the masks that come with the images, where these are white.
    for n in range(3):
        sample = frames[n]
        name = table.file_names[n].replace("images", "mask", 1)
        mask = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        assert mask is not None and sample.ignore_mask.any()
        kept = mask > 127
        agree = max((sample.ignore_mask == kept).mean(), (sample.ignore_mask != kept).mean())
        assert agree > 0.99
        points = sample.keypoints[sample.keypoints[..., 2] > 0][:, :2]
        inside = sample.ignore_mask[tuple(points[:, ::-1].astype(int).T)]
        assert inside.mean() < 0.2
