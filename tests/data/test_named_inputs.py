"""Images and videos by names and patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselib.data.image_io import encode_image
from poselib.data.named_inputs import open_inputs
from tests.data.factories.videos import picture


def frames(folder: Path) -> None:
    """Write two frames."""
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.png").write_bytes(encode_image(picture(number), ".png"))


def test_patterns_refer_to_folders_of_frames_and_each_is_a_video_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("day [1]", "day 2", "night"):
        frames(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names = ["day*", "night", tmp_path / "night", "day [1]", "./night/../day 2"]
    images, videos = open_inputs(names, folders=True, fps=10)
    assert images == [] and [*map(str, videos)] == ["day 2", "day [1]", "night"]
    (tmp_path / "notes.txt").touch()
    assert [*open_inputs(["n*"], folders=True)[1]] == [Path("night")]
    assert all([frame.time for frame in video] == [0, 0.1] for video in videos.values())
    with pytest.raises(FileNotFoundError, match=r"no folder or video file matches w[?]lk"):
        open_inputs(["w?lk"], folders=True)
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        open_inputs(["absent"], folders=True)
