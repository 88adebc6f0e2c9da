"""Video files that are written: what OpenCV reads back, and when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from poselib.data import video_writer
from poselib.data.video_files import open_video
from poselib.data.video_writer import VideoWriter, has_h264, video_suffix
from tests.data.factories.videos import number_of, picture

SUFFIXES = [
    pytest.param(".mp4", marks=pytest.mark.skipif(not has_h264(), reason="PyAV is absent")),
    ".webm",
]


def written(path: Path, times: np.ndarray, rate: float, size: tuple[int, int] = (48, 64)) -> Path:
    with VideoWriter(path, size, rate) as writer:
        for number, time in enumerate(times):
            writer.write(picture(number, size), time)
    assert writer.frames == len(times)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", [25.0, 30000 / 1001])
def test_frames_keep_their_times(suffix: str, rate: float, tmp_path: Path) -> None:
    times = np.arange(20) / rate
    video = open_video(written(tmp_path / f"a{suffix}", times, rate))
    frames = list(video)
    assert [number_of(frame.image) for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    assert video.rate == pytest.approx(rate, rel=2e-3)
    assert max(np.abs(f.image.astype(int) - picture(n)).mean() for n, f in enumerate(frames)) < 8


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_odd_sizes_are_padded_by_their_last_row_and_column(suffix: str, tmp_path: Path) -> None:
    frames = list(open_video(written(tmp_path / f"a{suffix}", np.arange(3) / 25, 25, (47, 63))))
    for number, frame in enumerate(frames):
        assert frame.image.shape == (48, 64, 3)
        expected = np.pad(picture(number, (47, 63)), ((0, 1), (0, 1), (0, 0)), mode="edge")
        assert np.abs(frame.image.astype(int) - expected)[40:, 56:].max() < 10


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_variable_times(suffix: str, tmp_path: Path) -> None:
    steps = np.random.default_rng(0).uniform(0.03, 0.2, 14)
    times = np.concatenate([[0], np.cumsum(steps)])
    rate = 1 / steps.min()
    shown: dict[int, float] = {}
    for frame in open_video(written(tmp_path / f"a{suffix}", times, rate)):
        shown.setdefault(number_of(frame.image), frame.time)
    assert list(shown) == list(range(15))
    tolerance = 1e-4 if suffix == ".mp4" else 0.5 / rate + 1e-3
    assert list(shown.values()) == pytest.approx(times, abs=tolerance)


def test_without_pyav_videos_are_webm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    assert not has_h264() and video_suffix() == ".webm"
    monkeypatch.setattr(video_writer, "has_h264", lambda: True)
    assert video_suffix() == ".mp4"


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with (
        VideoWriter(tmp_path / "a.webm", (48, 64), 25) as writer,
        pytest.raises(ValueError, match=r"a.webm: a frame must be \(48, 64, 3\)"),
    ):
        writer.write(picture(0, (48, 60)), 0)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "a.webm", np.arange(2) / 25, 25)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_what_is_read_after_a_file_was_written_prints_nothing(tmp_path: Path) -> None:
    """OpenCV asks once, at its first video, what FFmpeg may print."""
    script = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from poselib.data.video_files import open_video\n"
        "from poselib.data.video_writer import _VP9\n"
        "path = Path(sys.argv[1]); film = _VP9(path, (64, 64), 25.0)\n"
        "[film.write(np.full((64, 64, 3), n, np.uint8), n / 25) for n in range(9)]; film.close()\n"
        "data = bytearray(path.read_bytes()); data[150:300] = bytes(150); path.write_bytes(data)\n"
        "try: list(open_video(path))\n"
        "except ValueError: pass\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.webm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
