"""Penn Action: which joints are labeled, missing boxes, sizes of files, splits and faults."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.catalog import open_dataset
from poselib.data.clips import VideoClips
from poselib.skeletons import PENN_ACTION
from tests.data.factories.images import images
from tests.data.factories.mat import save

FRAMES = 3


def clip(folder: Path, number: int = 1, train: int = 1, **changes: Any) -> Path:
    """Joint k is at pixel (10 + k + frame, 2 k + 1), counted from 1; the last one is invisible."""
    joints, frames = np.arange(13), np.arange(FRAMES)[:, None]
    content = {
        **{"x": 10.0 + joints + frames, "y": 2.0 * joints + 1 + 0 * frames},
        **{"visibility": (joints < 12) + 0 * frames, "train": np.array([[train]])},
        **{"bbox": np.array([[5, 3, 24, 30.0]] * FRAMES) + frames, "action": "jump"},
        **{"dimensions": np.array([[999, 999, FRAMES]]), "nframes": FRAMES, **changes},
    }
    (folder / "labels").mkdir(exist_ok=True)
    names = [f"frames/{number:04d}/{n:06d}.jpg" for n in range(1, FRAMES + 1)]
    images(folder, names)
    kept = {name: value for name, value in content.items() if value is not None}
    save(folder / "labels" / f"{number:04d}.mat", **kept)
    return folder


def test_joints_boxes_and_splits(tmp_path: Path) -> None:
    clip(tmp_path, 1)
    clip(tmp_path, 20, train=-1)
    train, test = (open_dataset("penn_action", split, tmp_path) for split in ("train", "val"))  # type: ignore[arg-type]
    assert len(train) == len(test) == FRAMES and train.skeleton is PENN_ACTION
    table = test.annotations()
    assert table.image_ids == (200001, 200002, 200003) and set(table.videos) == {"0020"}
    # The files' size wins over the stated one.
    assert table.sizes == ((40, 60),) * 3 and table.times == (0, 1 / 25, 2 / 25)
    sample = train[1]
    # The first pixel of the file's count is 1, and its center here 0.5.
    assert sample.keypoints[0, 0].tolist() == [10.5, 0.5, 2]
    assert (sample.keypoints[0, 12] == 0).all(), "invisible joints are not labeled"
    assert sample.boxes is not None and sample.boxes.tolist() == [[5, 3, 25, 31]]
    assert [len(c.frames) for c in VideoClips(train)] == [3]  # type: ignore[arg-type,attr-defined]


def test_a_missing_last_box_repeats_the_one_before(tmp_path: Path) -> None:
    boxes = np.array([[5, 3, 24, 30.0], [6, 4, 25, 31]])
    frames = open_dataset("penn_action", "train", clip(tmp_path, bbox=boxes))
    assert [frames[n].boxes[0, 0] for n in range(3)] == [4, 5, 5]  # type: ignore[index]


def test_points_outside_are_not_labeled_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    x = np.tile(np.arange(13.0) + 1, (3, 1))
    x[0, :2] = [0, 61]  # the edges of the image are 0.5 and 60.5 in the file's count
    x[1, :2] = [0.6, 60.4]
    with caplog.at_level(logging.WARNING):
        frames = open_dataset("penn_action", "train", clip(tmp_path, x=x))
    assert [(frames[n].keypoints[0, :2, 2] > 0).tolist() for n in (0, 1)] == [
        [False] * 2,
        [True] * 2,
    ]
    assert "labels: 2 of 36 keypoints lie outside of their images" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, "expected a variable named 'x'"),
        ({"x": np.zeros((3, 12))}, "x: expected numbers, N x 13, found float64 3 x 12"),
        ({"y": np.zeros((4, 13))}, "y: expected 3 frames, as the video has, found 4"),
        (
            {"y": np.where(np.arange(39).reshape(3, 13) == 15, np.nan, 1.0)},
            r"y: expected finite numbers, found nan at 2, 3, counted from 1",
        ),
        (
            {"bbox": np.array([[5, 3, 24, 30.0], [6, 4, 6, 31], [5, 3, 24, 30]])},
            "bbox: frame 2: expected a box with an area, found",
        ),
        ({"bbox": np.zeros((1, 4))}, "bbox: expected 3 frames, as the video has, found 1"),
        ({"train": "yes"}, "train: expected numbers, 1"),
    ],
)
def test_faults_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"0001.mat: {message}"):
        open_dataset("penn_action", "train", clip(tmp_path, **changes))


def test_missing_frames_and_splits(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="labels does not exist or holds no"):
        open_dataset("penn_action", "train", tmp_path)
    clip(tmp_path)
    with pytest.raises(ValueError, match="labels: none of 1 clips is for test"):
        open_dataset("penn_action", "test", tmp_path)
    (tmp_path / "frames" / "0001" / "000002.jpg").unlink()
    with pytest.raises(ValueError, match=r"frames/0001: frame 2 is missing: 000003.jpg follows"):
        open_dataset("penn_action", "train", tmp_path)
    (tmp_path / "labels" / "0001.mat").write_bytes(b"MATLAB 7.3 MAT-file")
    with pytest.raises(ValueError, match=r"0001.mat: a MATLAB 7.3 file; save it again"):
        open_dataset("penn_action", "train", tmp_path)
