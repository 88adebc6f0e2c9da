"""Videos read frame by frame with their times: files, and frames stored as images."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.image_folder import SUFFIXES
from poselib.data.image_io import check_image, image_size, read_image
from poselib.data.readers.videos import FPS, check_one_size, numbered_frames
from poselib.ops.file_kinds import HEAD, VIDEO_SUFFIXES, stand_in, stated_bytes
from poselib.structures import Size

# Packets between a frame and one that is stored before it but shown after it.
_REORDERED = 32
_MOST = 1000  # frames a second
# Intervals of a constant frame rate may differ by this many seconds: some formats round to 1 ms.
_ROUNDING = 0.0021


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8, RGB, turned as the file asks.
        time: seconds from the first frame.
        name: of the file that it is, or a number.
    """

    image: NDArray[np.uint8]
    time: float
    name: str


@runtime_checkable
class Video(Protocol):
    """Frames in their order, read again by every loop, one at a time.

    Attributes:
        name: of the video.
        size: (height, width) of its frames, px.
        frames: how many there are, as far as the file states it.
        rate: frames a second; of a variable rate, the highest, so that 1 / rate is its shortest
            interval.
        constant: whether the frames are evenly spaced.
    """

    name: str
    size: Size
    frames: int
    rate: float
    constant: bool

    def __iter__(self) -> Iterator[VideoFrame]: ...


def open_video(source: str | Path | Sequence[str | Path], fps: float = FPS) -> Video:
    """Open a video whose frames are read when they are asked for, one at a time.

    Args:
        source: a video file; a folder of frames, images named by numbers, or by one word and
            numbers, without a gap; or a list of images in the order of time.
        fps: frames a second of a folder or a list; files have times of their own.

    Raises:
        FileNotFoundError: the file or folder is absent, or the folder holds no frame.
        ValueError: it is not a video, has no frames or is cut short; frames differ in size, or a
            number is missing.

    Example:
        >>> [frame.time for frame in open_video(frames, fps=20)]  # a list of three images
        [0.0, 0.05, 0.1]
    """
    if not isinstance(source, str | Path):
        return FrameFiles([Path(path) for path in source], fps)
    path = Path(source)
    if path.is_dir():
        return FrameFiles(numbered_frames(path, SUFFIXES, first=None), fps, path.resolve().name)
    return VideoFile(path)


def is_video_file(source: object) -> bool:
    """Whether a path ends as video files do."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in VIDEO_SUFFIXES


def native_name(path: Path) -> str:
    """Return the name by which FFmpeg knows a file: in full, as ``a:b.mp4`` has it ask a server.

    Raises:
        ValueError: the name is not text, which ends OpenCV's process.
    """
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path}: a video must have a name that is text; rename it") from error
    return name


class FrameFiles:
    """A video whose frames are image files, evenly spaced in time; see ``Video``.

    Args:
        paths: the frames, in their order.
        fps: frames a second.
        name: of the video; by default that of the first frame's folder.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: there is none, one is not an image or cut short, or they differ in size; or
            ``fps`` is out of range.
    """

    def __init__(self, paths: Sequence[Path], fps: float = FPS, name: str = "") -> None:
        if not 0 < fps <= _MOST:
            raise ValueError(f"fps must be above 0 and at most {_MOST}, not {fps!r}")
        if not paths:
            raise ValueError("no frames: a video needs at least one")
        sizes: dict[Size, str] = {}
        for path in paths:
            check_image(path)
            sizes.setdefault(image_size(path, upright=True), str(path))
        self.paths, self.rate, self.constant = tuple(paths), float(fps), True
        self.name = name or self.paths[0].resolve().parent.name
        check_one_size(sizes, f"video {self.name}")
        self.size, self.frames = next(iter(sizes)), len(self.paths)

    def __iter__(self) -> Iterator[VideoFrame]:
        for number, path in enumerate(self.paths):
            yield VideoFrame(read_image(path, upright=True), number / self.rate, path.name)


class VideoFile:
    """A video file, read by OpenCV; see ``Video``.

    A rotation in its header is applied once, and frames of a variable rate keep their times.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not a video, has no frames, or is cut short; before frames are decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = Path(path), Path(path).stem
        _check_file(self.path)
        with _Capture(self.path) as capture:
            first, stated = capture.read(), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            fps = capture.get(cv2.CAP_PROP_FPS)
        if first is None:
            raise ValueError(f"{self.path}: no frames: not one of the video can be decoded")
        self.size: Size = (first.shape[0], first.shape[1])
        count, shortest, longest, last = _intervals(self.path)
        _check_whole(self.path, count, stated)
        self.frames = count
        self.constant = longest - shortest <= _ROUNDING
        if count < 2 or last <= 0:
            self.rate = fps if 0 < fps < np.inf else FPS
        elif self.constant:
            # The stated rate has no rounding of times, where the two agree.
            measured = (count - 1) / last
            self.rate = fps if abs(fps / measured - 1) < 0.01 else measured
        else:
            self.rate = 1 / max(shortest, 1 / _MOST)

    def __iter__(self) -> Iterator[VideoFrame]:
        time, number = -1.0, 0
        with _Capture(self.path) as capture:
            while (pixels := capture.read()) is not None:
                if pixels.shape[:2] != self.size:
                    sizes = {self.size: "frame 0", pixels.shape[:2]: f"frame {number}"}
                    check_one_size(sizes, str(self.path))
                stated = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Formats without times, and faulty ones.
                time = stated if stated > time else time + 1 / self.rate if number else 0.0
                yield VideoFrame(pixels, time, f"{number:06d}")
                number += 1


def quiet_ffmpeg() -> None:
    """Keep FFmpeg from printing what does not name its file; OpenCV reads this once."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class _Capture:
    """OpenCV's reader of a file, which is closed at the end of the block."""

    def __init__(self, path: Path, *, packets: bool = False) -> None:
        self.path = path
        # Packets as they are stored: ``grab`` decodes none of them.
        self.options = [cv2.CAP_PROP_FORMAT, -1] if packets else []

    def __enter__(self) -> _Capture:
        quiet_ffmpeg()
        level = cv2.utils.logging.setLogLevel(0)
        try:
            name = native_name(self.path)
            self._capture: Any = cv2.VideoCapture(name, cv2.CAP_FFMPEG, self.options)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            with self.path.open("rb") as file:
                what = stand_in(file.read(HEAD))
            reason = f"it is {what}" if what else "its format is unknown or its index is cut off"
            raise ValueError(f"{self.path}: not a video that can be read: {reason}")
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def get(self, field: int) -> float:
        return float(self._capture.get(field))

    def grab(self) -> bool:
        return bool(self._capture.grab())

    def read(self) -> NDArray[np.uint8] | None:
        """Return the next frame, RGB, or None at the end."""
        done, pixels = self._capture.read()
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if done else None


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a video file")
    if not path.is_file():
        raise FileNotFoundError(f"video file {path} does not exist")


def _intervals(path: Path) -> tuple[int, float, float, float]:
    """Return how many frames a file holds, the shortest and longest interval and the last time, s.

    Packets are counted without being decoded, in microseconds each.
    """
    count, last, waiting = 0, None, list[float]()
    shortest, longest = np.inf, 0.0
    with _Capture(path, packets=True) as capture:
        more = True
        while more or waiting:
            more = more and capture.grab()
            if more:
                count += 1
                heapq.heappush(waiting, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            if waiting and (not more or len(waiting) > _REORDERED):
                time = heapq.heappop(waiting)
                if last is not None:
                    shortest, longest = min(shortest, time - last), max(longest, time - last)
                last = time
    return count, shortest, longest, last or 0.0


def _check_whole(path: Path, found: int, stated: int) -> None:
    """Raise ValueError for a file that is cut short: OpenCV ends there without a word.

    Numbers of frames alone do not tell: some formats state a duration, and of a video that a phone
    has trimmed without storing it anew, fewer frames are shown than there are.
    """
    size, needed = path.stat().st_size, stated_bytes(path)
    if needed > size:
        raise ValueError(
            f"{path}: cut short: {size} of the {needed} bytes and {found} of about {stated} frames "
            "that it states are there"
        )
