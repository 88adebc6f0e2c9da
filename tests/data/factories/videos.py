"""Small videos as files, written by libraries apart from poselib's own writer."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

SIZE = (48, 64)


def picture(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A gray image (H, W, 3) with a red corner at the top left; its gray tells its number."""
    image = np.full((*size, 3), 30 + 8 * (number % 25), np.uint8)
    image[: size[0] // 3, : size[1] // 3] = (220, 20, 20)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that the gray of a picture tells."""
    height, width = image.shape[:2]
    return round((float(np.median(image[height // 2 :, width // 2 :])) - 30) / 8)


def opencv_video(
    path: Path, count: int, fps: float = 25.0, code: str = "mp4v", size: tuple[int, int] = SIZE
) -> Path:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as poselib's reader does
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, size[::-1])
    assert writer.isOpened()
    for number in range(count):
        writer.write(picture(number, size)[..., ::-1])
    writer.release()
    return path


def h264_video(path: Path, times: Sequence[float], **options: str) -> Path:
    """A video of any times; skips the test where PyAV is absent."""
    av: Any = pytest.importorskip("av")
    with av.open(str(path), "w", options=options) as file:
        stream = file.add_stream("libx264", rate=30, options={"g": "10"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(90000 * time), Fraction(1, 90000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def turn_header(path: Path) -> None:
    """Let the header of an MP4 ask for a turn by 90 degrees clockwise."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    turn = (0, 65536, 0, -65536, 0, 0, SIZE[0] << 16, 0, 1 << 30)
    data[start : start + 36] = struct.pack(">9i", *turn)
    path.write_bytes(data)


def trim_start(path: Path, milliseconds: int) -> None:
    """Let the header of an MP4 skip its beginning, as phones trim videos."""
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12
    duration, start = struct.unpack(">Ii", data[place : place + 8])
    scale = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    shift = milliseconds * scale // 1000
    data[place : place + 8] = struct.pack(">Ii", duration - milliseconds, start + shift)
    path.write_bytes(data)
