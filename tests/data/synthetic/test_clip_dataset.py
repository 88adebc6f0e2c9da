"""Synthetic clips as frames, and what is written in PoseTrack18's layout is read back equal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from poselib.data.catalog import open_dataset
from poselib.data.clips import VideoClips
from poselib.data.readers.posetrack18 import PoseTrack18Keypoints
from poselib.data.synthetic.clip_dataset import SyntheticClips, write_clips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import COCO, POSETRACK18

CONFIG = ClipConfig(size=64, frames=4, people=(2, 3))


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", CONFIG, 3, seed=2)
    made, read = (
        SyntheticClips(CONFIG, 3, 2, POSETRACK18),
        open_dataset("posetrack18", "val", folder),
    )
    assert len(made) == len(read) == 12
    one, two = made.annotations(), read.annotations()
    assert one.image_ids == two.image_ids and one.videos == two.videos and one.sizes == two.sizes
    np.testing.assert_allclose(one.times, two.times)
    for name in ("keypoints", "boxes", "areas", "tracks", "head_boxes", "images", "ignored"):
        # To the third decimal of the file; NaN where there is no head.
        np.testing.assert_allclose(
            getattr(one, name), getattr(two, name), atol=1.1e-3, err_msg=name
        )
    for index in (0, 5, 11):
        a, b = made[index], read[index]
        assert a.image_id == b.image_id and (a.image == b.image).all()
        assert a.tracks is not None and b.tracks is not None and (a.tracks == b.tracks).all()
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-3)
    for a, b in zip(VideoClips(made, 3), VideoClips(read, 3), strict=True):  # type: ignore[arg-type]
        assert a.video == b.video and (a.times == b.times).all()


def test_the_folder_is_whole_or_absent_and_not_overwritten(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", CONFIG, 1, seed=2, split="train")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == [
        "annotations/train/000000_synthetic.json",
        "clips_train.json",
        *(f"images/train/000000_synthetic/{n:06d}.png" for n in range(4)),
    ]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    write_clips(folder, CONFIG, 1, seed=2, split="train")
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    with pytest.raises(ValueError, match="already holds scenes that differ in seed"):
        write_clips(folder, CONFIG, 1, seed=3, split="train")
    with pytest.raises(ValueError, match="split must be train or val, not 'test'"):
        write_clips(tmp_path / "b", CONFIG, 1, seed=3, split="test")


def test_a_split_is_added_to_the_other_one(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    write_clips(folder, CONFIG, 1, seed=2)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    write_clips(folder, CONFIG, 2, seed=3, split="train")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    for split, count in (("val", 4), ("train", 8)):
        assert len(PoseTrack18Keypoints(folder / "annotations" / split, folder)) == count
    with pytest.raises(ValueError, match="has clips of seed 2, so that train would be the same"):
        write_clips(folder, CONFIG, 2, seed=2, split="train")
    with pytest.raises(ValueError, match="clips already holds scenes that differ in count"):
        write_clips(folder, CONFIG, 1, seed=3, split="train")
    # what others put there is not overwritten, and of no concern elsewhere
    (folder / "clips_train.json").unlink()
    with pytest.raises(ValueError, match=r"images/train exists and is not a folder of synth.*"):
        write_clips(folder, CONFIG, 2, seed=3, split="train")
    write_clips(folder, CONFIG, 1, seed=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/annotations").write_text("notes")
    with pytest.raises(ValueError, match="annotations is not a folder that can be written to"):
        write_clips(tmp_path / "other", CONFIG, 1, seed=3)


def test_files_have_the_fields_of_posetrack(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", CONFIG, 1, seed=0, image_format="jpg")
    video = json.loads((folder / "annotations/val/000000_synthetic.json").read_text())
    image, person = video["images"][1], video["annotations"][0]
    assert image["id"] == image["frame_id"] == 10000000001 and image["nframes"] == 4
    assert image["file_name"] == "images/val/000000_synthetic/000001.jpg"
    assert {"bbox", "bbox_head", "track_id", "keypoints", "image_id", "scores"} <= {*person}
    assert len(person["keypoints"]) == 51 and video["categories"][0]["keypoints"][3] == "left_ear"
    assert person["keypoints"][9:15] == [0] * 6


def test_cached_clips_and_other_skeletons() -> None:
    clips = open_dataset("clips", "val", count=2, scenes=CONFIG, skeleton=COCO)
    assert isinstance(clips, SyntheticClips) and len(clips) == 8
    kept = clips.cached()
    assert (kept[5].image == clips[5].image).all() and kept[5].keypoints.shape[1] == 17
    assert repr(clips) == "<2 synthetic clips of 4 frames, seed 2, skeleton 'coco'>"
    assert kept.clip(0) is kept.clip(0)
    with pytest.raises(ValueError, match="scenes must be a ClipConfig"):
        from poselib.data.synthetic.config import SceneConfig

        open_dataset("clips", scenes=SceneConfig())
    crowd = open_dataset("clip_crowd", "train")
    assert len(crowd) == 400 * 30 and len(crowd[0].keypoints) >= 3
