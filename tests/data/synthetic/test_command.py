"""``poselib synthetic --clips`` writes PoseTrack18's layout; bad options are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from poselib import open_files
from poselib.cli import main
from poselib.data.catalog import open_dataset


def test_clips_are_written_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    arguments = ["--clips", "2", "--frames", "3", "--size", "48", "--people", "1", "2"]
    assert main(["synthetic", str(folder), *arguments, "--split", "train"]) == 0
    assert f"2 clips of 3 frames in {folder}" in capsys.readouterr().out
    frames = open_dataset("posetrack18", "train", folder)
    assert len(frames) == 6 and frames[5].size == (48, 48)


def test_keypoints_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nkeypoints = ["left_wrist", "head", "right_wrist"]')
    arguments = ["--count", "2", "--size", "64", "--skeleton", str(own)]
    assert main(["synthetic", str(tmp_path / "data"), *arguments]) == 0
    written = open_files(tmp_path / "data" / "annotations.json", tmp_path / "data" / "images")
    assert written.skeleton.keypoints == ("left_wrist", "head", "right_wrist")
    own.write_text('name = "own"\nkeypoints = ["tail", "head"]')
    assert main(["synthetic", str(tmp_path / "other"), *arguments]) == 2
    assert "synthetic people lack 1 of the" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--clips", "-1"], "--clips must be 1 or more, not -1"),
        (["--clips", "1", "--frames", "0"], "frames"),
        (["--clips", "1", "--people", "3", "1"], "people"),
        (["--clips", "1", "--count", "2"], "--count is of images"),
        (["--clips", "1", "--skeleton", "coco"], "--skeleton is of images"),
        (["--frames", "5"], "--frames is of clips: give --clips as well"),
        (["--split", "train"], "--split is of clips"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert main(["synthetic", str(tmp_path / "data"), *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
