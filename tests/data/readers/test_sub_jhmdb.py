"""Sub-JHMDB: splits, joints and mask boxes, the converted files, real frames and faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.catalog import open_dataset
from poselib.data.clips import VideoClips
from poselib.data.readers.sub_jhmdb import SubJhmdbFrames, split_clips
from poselib.skeletons import SUB_JHMDB
from tests.data.factories.images import images
from tests.data.factories.mat import save

FRAMES = 3
PLACES = {"catch": ("a b (1)", "c"), "walk": ("d",)}


def dataset(folder: Path, **changes: Any) -> Path:
    """Joint k is at pixel (20 + k + frame, k + 1), counted from 1; masks are boxes."""
    joints, frames = np.arange(15)[:, None], np.arange(FRAMES)
    position = np.stack([20.0 + joints + frames, joints + 1.0 + 0 * frames])
    mask = np.zeros((40, 60, FRAMES), np.uint8)
    for n in range(FRAMES - 1):
        mask[2:30, 10 + n : 41, n] = 1
    content = {"pos_img": position, "part_mask": mask, **changes}
    for action, clips in PLACES.items():
        for clip in clips:
            for kind, variable in (("joint_positions", "pos_img"), ("puppet_mask", "part_mask")):
                home = folder / kind / action / clip
                home.mkdir(parents=True, exist_ok=True)
                save(home / f"{kind}.mat", **{variable: content[variable]})
            images(folder / "Rename_Images" / action / clip, [f"{n:05d}.png" for n in (1, 2, 3)])
    (folder / "sub_splits").mkdir(exist_ok=True)
    for number, lines in {1: ("a b (1).avi 1", "c.avi 2"), 2: ("a b (1).avi 2", "c.avi 1")}.items():
        path = folder / "sub_splits" / f"catch_test_split_{number}.txt"
        path.write_text("\n".join((*lines, "")))
        (folder / "sub_splits" / f"walk_test_split_{number}.txt").write_text("d.avi 1\n")
    return folder


def test_splits(tmp_path: Path) -> None:
    home = dataset(tmp_path) / "sub_splits"
    assert split_clips(home, 1, "train") == [("catch", "a b (1)"), ("walk", "d")]
    assert split_clips(home, 1, "test") == [("catch", "c")]
    assert split_clips(home, 2, "test") == [("catch", "a b (1)")]


def test_joints_and_boxes(tmp_path: Path) -> None:
    frames = open_dataset("sub_jhmdb_1", "train", dataset(tmp_path))
    assert len(frames) == 6 and frames.skeleton is SUB_JHMDB
    table = frames.annotations()
    assert table.image_ids == (1, 2, 3, 4, 5, 6) and table.videos[3] == "walk/d"
    sample = frames[1]
    assert sample.keypoints[0, 2].tolist() == [22.5, 2.5, 2]
    assert sample.boxes is not None and sample.boxes.tolist() == [[11, 2, 41, 30]]
    last = frames[2].boxes
    assert last is not None and last.tolist() == [[21.5, 0.5, 35.5, 14.5]], "no mask: the joints'"
    assert [clip.video for clip in VideoClips(frames)] == ["catch/a b (1)", "walk/d"]  # type: ignore[arg-type,attr-defined]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pos_img": np.zeros((2, 15, 4))},
            "pos_img: expected 3 frames, .* found 4",
        ),
        ({"pos_img": np.zeros((2, 14, 3))}, "pos_img: expected numbers, 2 x 15 x N"),
        ({"part_mask": np.zeros((9, 60, 3))}, "part_mask: expected numbers, 40 x 60 x N"),
        ({"part_mask": np.zeros((40, 60, 2))}, "part_mask: expected 3 frames"),
    ],
)
def test_faults_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"a b \(1\)/.*mat: {message}"):
        open_dataset("sub_jhmdb_1", "train", dataset(tmp_path, **changes))


def test_faults_of_splits(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no <action>_test_split_3.txt"):
        open_dataset("sub_jhmdb_3", "train", dataset(tmp_path))
    (tmp_path / "sub_splits" / "walk_test_split_1.txt").write_text("d.avi 1\nd.avi\n")
    with pytest.raises(ValueError, match=r"walk_test_split_1.txt: line 2: expected a clip and 1"):
        open_dataset("sub_jhmdb_1", "train", tmp_path)
    (tmp_path / "sub_splits" / "walk_test_split_1.txt").write_bytes(b"d.avi 1\n\xff\xfe.avi 1\n")
    with pytest.raises(ValueError, match=r"walk_test_split_1.txt: line 2: .*found '\ufffd"):
        open_dataset("sub_jhmdb_1", "train", tmp_path)


@pytest.mark.samples
def test_real_frames(samples_dir: Path) -> None:
    folder = samples_dir / "jhmdb"
    frames = SubJhmdbFrames.from_json(folder / "test_jhmdb_sub1.json", folder)
    assert len(frames) == 3 and frames.skeleton is SUB_JHMDB and frames.times == (0.0,) * 3
    assert frames.videos[0] == "Frisbee_catch_f_cm_np1_ri_med_0"
    for n in range(3):
        sample = frames[n]
        assert sample.size == (240, 320) and sample.boxes is not None
        low, high = sample.boxes[0, :2], sample.boxes[0, 2:]
        points = sample.keypoints[0, :, :2]
        inside = ((points > low - 8) & (points < high + 8)).all(axis=1)
        assert inside.mean() > 0.9 and (sample.keypoints[0, :, 2] == 2).all()
        # Upright people: face above the neck above the belly.
        face, neck, belly = (points[SUB_JHMDB.index(name), 1] for name in ("face", "neck", "belly"))
        assert face < neck < belly
