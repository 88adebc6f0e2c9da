"""Videos: which frames come out, at which times, and what is refused before any is decoded."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from poselib.data.image_folder import ImageSamples
from poselib.data.image_io import read_image
from poselib.data.video_files import Video, VideoFile, is_video_file, open_video
from poselib.data.video_writer import VideoWriter
from tests.data.factories.videos import (
    SIZE,
    h264_video,
    number_of,
    opencv_video,
    picture,
    trim_start,
    turn_header,
)


def frame_files(folder: Path, names: list[str], size: tuple[int, int] = SIZE) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), picture(number, size)[..., ::-1])
    return [folder / name for name in names]


def times_of(video: Video) -> list[float]:
    return [frame.time for frame in video]


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("a.webm", "VP90"), ("a.avi", "MJPG"), ("a.mkv", "VP90")]
)
def test_frames_and_times_of_a_file(name: str, code: str, tmp_path: Path) -> None:
    video = open_video(opencv_video(tmp_path / name, 12, 20.0, code))
    assert isinstance(video, Video) and (video.name, video.size) == ("a", SIZE)
    assert video.frames == 12 and video.constant and video.rate == pytest.approx(20, abs=0.1)
    for _ in range(2):  # it can be read again
        frames = list(video)
        assert [number_of(frame.image) for frame in frames] == list(range(12))
        assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 20, abs=1e-3)
        # RGB: the corner is red.
        assert all(np.argmax(frame.image[3, 3]) == 0 for frame in frames)


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    video = open_video(opencv_video(tmp_path / "a.mp4", 1, 30.0))
    assert (video.frames, video.rate, times_of(video)) == (1, 30.0, [0.0])


def test_a_rotation_in_the_header_is_applied_once(tmp_path: Path) -> None:
    path = opencv_video(tmp_path / "a.mp4", 2)
    turn_header(path)
    video = open_video(path)
    assert video.size == SIZE[::-1]
    for frame in video:
        assert frame.image.shape == (*SIZE[::-1], 3)
        assert frame.image[3, -4, 0] > 150 > frame.image[3, 3, 0]  # the corner, at the top right


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_rates_keep_their_times(name: str, tmp_path: Path) -> None:
    steps = np.random.default_rng(0).uniform(0.02, 0.2, 39)
    times = np.concatenate([[0], np.cumsum(steps)])
    video = open_video(h264_video(tmp_path / name, times.tolist()))
    assert not video.constant and video.frames == 40
    assert 1 / video.rate == pytest.approx(steps.min(), abs=1e-3)
    assert times_of(video) == pytest.approx(times, abs=6e-4)


def test_a_trimmed_file_is_not_cut_short(tmp_path: Path) -> None:
    path = h264_video(tmp_path / "a.mp4", (np.arange(40) / 30).tolist())
    trim_start(path, 500)
    frames = list(open_video(path))
    assert len(frames) == 25 and frames[0].time == 0 and number_of(frames[0].image) == 15


def cut(path: Path, fraction: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    return path


@pytest.mark.parametrize(("name", "code"), [("a.webm", "VP90"), ("a.avi", "MJPG")])
def test_a_file_cut_short_is_refused(name: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{name}: cut short: \d+ of the \d+ bytes"):
        open_video(cut(opencv_video(tmp_path / name, 30, 25, code)))


def test_an_mp4_cut_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.mp4: not a video that can be read: .* index is cut"):
        open_video(cut(opencv_video(tmp_path / "a.mp4", 30)))
    path = h264_video(tmp_path / "b.mp4", (np.arange(50) / 30).tolist(), movflags="faststart")
    assert open_video(path).frames == 50
    with pytest.raises(ValueError, match=r"b.mp4: cut short: .* and \d+ of about 50 frames"):
        open_video(cut(path, 0.8))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no video", "a.mp4: not a video that can be read"),
        (b"", "a.mp4: not a video that can be read: it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_what_is_no_video_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        open_video(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("a.webm", "VP90"), ("a.avi", "MJPG")]
)
def test_a_video_among_images_is_named(name: str, code: str, tmp_path: Path) -> None:
    video = opencv_video(tmp_path / name, 2, 20.0, code)
    (image,) = frame_files(tmp_path, ["0.png"])
    with pytest.raises(ValueError, match=r"it is a video; .* poselib\.open_video\('.*" + name):
        ImageSamples([image, video])
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    picture.save(tmp_path / "a.avif")  # whose file begins as that of an MP4
    damaged = tmp_path / "b.avif"
    damaged.write_bytes((tmp_path / "a.avif").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"b\.avif") as caught:
        ImageSamples([image, damaged])
    assert "a video" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="names of this kind")
def test_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = opencv_video(tmp_path / "plain.mp4", 3).read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.mp4", "http:b.mp4", "50%03d.mp4", "-i.mp4", "ü é.mp4"):
        Path(name).write_bytes(content)
        assert len(list(open_video(name))) == 3
    strange = Path(os.fsdecode(b"bad\xff.mp4"))
    try:
        strange.write_bytes(content)
    except OSError:
        pytest.skip("no such names here")
    with pytest.raises(ValueError, match="must have a name that is text"):
        open_video(strange)
    with pytest.raises(ValueError, match="must have a name that is text"):
        VideoWriter(strange.with_suffix(".webm"), SIZE, 25)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = opencv_video(tmp_path / "a.webm", 0, code="VP90")
    with pytest.raises(ValueError, match=r"a.webm: (no frames|not a video)"):
        open_video(path)
    with pytest.raises(ValueError, match="no frames"):
        open_video([])
    with pytest.raises(FileNotFoundError, match=r"absent.mp4"):
        open_video(tmp_path / "absent.mp4")


@pytest.mark.parametrize(
    "names",
    [
        ["000000.png", "000001.png", "000002.png"],
        ["000007.jpg", "000008.jpg", "000009.jpg"],
        ["8.png", "9.png", "10.png"],
        ["frame_0001.png", "frame_0002.png", "frame_0003.png"],
    ],
)
def test_a_folder_of_numbered_frames(names: list[str], tmp_path: Path) -> None:
    frame_files(tmp_path / "walk", names)
    video = open_video(tmp_path / "walk", fps=10)
    assert (video.name, video.size, video.frames, video.rate) == ("walk", SIZE, 3, 10)
    frames = list(video)
    assert [frame.name for frame in frames] == names
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2]
    assert times_of(video) == pytest.approx([0, 0.1, 0.2])


def test_a_list_is_in_its_own_order(tmp_path: Path) -> None:
    paths = frame_files(tmp_path, ["b.png", "a.png"])
    assert [number_of(frame.image) for frame in open_video(paths)] == [0, 1]
    assert times_of(open_video(paths)) == [0.0, 0.04]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["1.png", "3.png"], "walk: frame 2 is missing: 3.png follows"),
        (["1.png", "01.png"], "walk: frame 1 is there twice"),
        (["1.png", "two.png"], "two.png: expected a frame that is named by its number"),
        (["a1.png", "b2.png"], "b2.png: expected a frame"),
        ([], "walk does not exist or holds no frame"),
    ],
)
def test_bad_folders_are_named(names: list[str], said: str, tmp_path: Path) -> None:
    frame_files(tmp_path / "walk", names)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        open_video(tmp_path / "walk")


def test_frames_must_be_whole_images_of_one_size(tmp_path: Path) -> None:
    frame_files(tmp_path / "walk", ["1.png", "2.png"])
    frame_files(tmp_path / "walk", ["3.png"], (20, 30))
    with pytest.raises(ValueError, match=r"walk: expected one size .* 64x48 px .* 30x20 px"):
        open_video(tmp_path / "walk")
    cut(tmp_path / "walk" / "3.png")
    with pytest.raises(ValueError, match=r"3.png: truncated"):
        open_video(tmp_path / "walk")
    for fps in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match="fps must be"):
            open_video(tmp_path / "walk", fps=fps)


def test_endings_of_video_files() -> None:
    assert is_video_file("a/B.MP4") and is_video_file(Path("c.webm"))
    assert not is_video_file("a.png") and not is_video_file(3)


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        video = open_video(opencv_video(tmp_path / f"{count}.mp4", count))
        tracemalloc.start()
        for _ in video:
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)
    assert peak(300) < peak(30) + 3 * SIZE[0] * SIZE[1]


@pytest.mark.samples
def test_a_real_video_is_its_frames(samples_dir: Path) -> None:
    folder = samples_dir / "posetrack18" / "videos" / "000001_mpiinew_test"
    video = VideoFile(folder / "000001_mpiinew_test.mp4")
    stored = open_video(sorted(folder.glob("*.jpg")), fps=30)
    assert (video.frames, video.rate, video.size) == (5, 30.0, stored.size)
    for mine, theirs in zip(video, stored, strict=True):
        assert mine.time == pytest.approx(theirs.time)
        difference = np.abs(mine.image.astype(int) - read_image(folder / theirs.name))
        assert difference.mean() < 6
