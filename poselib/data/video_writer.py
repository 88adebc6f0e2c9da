"""Writing of video files: H.264 in MP4 by PyAV if it is installed, else VP9 in WebM by OpenCV."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poselib.data.video_files import native_name, quiet_ffmpeg
from poselib.structures import Size

# Units of time in MP4, per second: of every usual frame rate, frames begin at whole ones.
_CLOCK = 90_000


def has_h264() -> bool:
    """Whether PyAV is installed, the extra ``video``, and can write H.264."""
    try:
        import av

        av.codec.Codec("libx264", "w")
    except (ImportError, ValueError):
        return False
    return True


def video_suffix() -> str:
    """Return the ending of the files that ``VideoWriter`` writes: ``".mp4"`` or ``".webm"``."""
    return ".mp4" if has_h264() else ".webm"


class VideoWriter:
    """Writes the frames of a video, each at its time; a block that it ends with the file.

    H.264 keeps any times. OpenCV writes VP9 at a constant rate: a frame of a variable rate is
    repeated until the next one, and begins within half of the shortest interval of its time. Odd
    sizes are padded by a row or column like the last one, as H.264 has them even.

    Args:
        path: ends in ``.mp4`` or ``.webm``, see ``video_suffix``.
        size: (height, width) of the frames, px.
        rate: frames a second; of a variable rate, the highest.

    Raises:
        ValueError: the file cannot be written.
    """

    def __init__(self, path: Path, size: Size, rate: float) -> None:
        self.path, self.size, self.frames = Path(path), size, 0
        height, width = (side + side % 2 for side in size)
        writer = _H264 if self.path.suffix == ".mp4" else _VP9
        self._writer: _H264 | _VP9 = writer(self.path, (height, width), rate)

    def write(self, image: NDArray[np.uint8], time: float) -> None:
        """Write a frame.

        Args:
            image: (H, W, 3) uint8, RGB.
            time: seconds, later than that of the frame before.

        Raises:
            ValueError: the image has another size.
        """
        if image.shape != (*self.size, 3):
            raise ValueError(f"{self.path}: a frame must be {(*self.size, 3)}, not {image.shape}")
        below, right = (side % 2 for side in self.size)
        if below or right:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        self._writer.write(image, time)
        self.frames += 1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


class _H264:
    """PyAV's writer; frames have even sides."""

    def __init__(self, path: Path, size: Size, rate: float) -> None:
        import av

        self._frame = av.VideoFrame.from_ndarray
        self._file: Any = av.open(native_name(path), "w", format="mp4")
        fps = Fraction(rate).limit_denominator(1001)
        # Quality as usual; the preset takes a fifth of the default's time.
        options = {"crf": "23", "preset": "veryfast"}
        self._stream: Any = self._file.add_stream("libx264", rate=fps, options=options)
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv420p"  # what every browser shows
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._last = -1

    def write(self, image: NDArray[np.uint8], time: float) -> None:
        frame: Any = self._frame(np.ascontiguousarray(image), format="rgb24")
        self._last = max(round(time * _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        self._file.mux(self._stream.encode(frame))

    def close(self) -> None:
        if self._last >= 0:
            self._file.mux(self._stream.encode())
        self._file.close()


class _VP9:
    """OpenCV's writer, of a constant rate; frames have even sides."""

    def __init__(self, path: Path, size: Size, rate: float) -> None:
        self._rate, self._slot = rate, 0
        self._waiting: NDArray[np.uint8] | None = None
        quiet_ffmpeg()
        with _without_messages():
            code = cv2.VideoWriter.fourcc(*"VP90")
            self._file = cv2.VideoWriter(native_name(path), cv2.CAP_FFMPEG, code, rate, size[::-1])
        if not self._file.isOpened():
            raise ValueError(f"{path}: OpenCV cannot write VP9 here; install PyAV: pip install av")

    def write(self, image: NDArray[np.uint8], time: float) -> None:
        self._fill(round(time * self._rate))
        self._waiting = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)  # type: ignore[assignment]

    def close(self) -> None:
        self._fill(self._slot + 1)
        self._file.release()

    def _fill(self, slot: int) -> None:
        """Show the waiting frame until a slot of the constant rate."""
        if self._waiting is not None:
            for _ in range(self._slot, slot):
                self._file.write(self._waiting)
        self._slot = max(slot, self._slot)


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Silence what OpenCV's libraries print themselves: WebM has no codes for its codecs."""
    try:
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error
        yield
        return
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
