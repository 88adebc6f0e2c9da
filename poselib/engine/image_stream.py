"""Poses of videos, one frame after the other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from poselib.data.image_io import as_rgb
from poselib.data.video_files import VideoFrame
from poselib.ops.smoothing import smoothed
from poselib.ops.tracking import PoseLinker
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample


class FrameStream(Protocol):
    """What finds the people of a video frame by frame, and keeps what it needs of earlier frames.

    Attributes:
        skeleton: the keypoints that are predicted.
    """

    @property
    def skeleton(self) -> Skeleton: ...

    def step(self, image: Any, time: float) -> Poses:
        """Return the people of the next frame, with their tracks.

        Args:
            image: a ``Sample``, or whatever ``data.image_io.as_rgb`` takes, such as an array
                (H, W, 3).
            time: of the frame, seconds; later than that of the frame before.

        Raises:
            FileNotFoundError: the file is missing.
            ValueError: the frame is not an image, has another size than the one before, or is not
                later than it.
        """
        ...


class ImageStream:
    """Finds the people of each frame as if it were a photograph, and links them to those before.

    Args:
        find: returns the people of an image (H, W, 3) uint8, RGB, or of a ``Sample``, in px of it.
        skeleton: the keypoints that are predicted.

    Example:
        >>> model = poselib.load()
        >>> stream = model.stream()
        >>> poses = stream.step(image, time=0.04)
    """

    def __init__(self, find: Callable[[Any], Poses], skeleton: Skeleton) -> None:
        self.find, self.skeleton = find, skeleton
        self._link = PoseLinker(np.asarray(skeleton.sigmas))
        self._frames, self._time = 0, -math.inf
        self._size: Sequence[int] | None = None

    def step(self, image: Any, time: float) -> Poses:
        """Return the people of the next frame; see ``FrameStream``."""
        if not isinstance(image, Sample):
            try:
                image = as_rgb(image)
            except ValueError as error:
                raise ValueError(f"frame {self._frames}: {error}") from error
        size = image.size if isinstance(image, Sample) else image.shape[:2]
        check_frame(self._frames, time, self._time, size, self._size)
        poses = self._link(self.find(image), time)
        self._frames, self._time, self._size = self._frames + 1, time, size
        return poses


def check_frame(
    frame: int, time: float, before: float, size: Sequence[int], usual: Sequence[int] | None
) -> None:
    """Raise ValueError unless a frame is later than the one before, and of its size.

    Args:
        frame: its number.
        time, before: of both, s.
        size, usual: (height, width) of both, px; None before the first.
    """
    if not (math.isfinite(time) and time > before):
        raise ValueError(f"frame {frame}: a time after {before} s is wanted, not {time}")
    if usual is not None and size != usual:
        wanted, found = ("{1} x {0}".format(*each) for each in (usual, size))
        raise ValueError(f"frame {frame} has {found} px; those before have {wanted}")


def follow(
    stream: FrameStream, video: Iterable[VideoFrame], smooth: str | None = None
) -> Iterator[tuple[VideoFrame, Poses]]:
    """Yield each frame of a video with its poses, in memory that does not grow with its length.

    Args:
        stream: at its start.
        video: what ``open_video`` returns, or any frames in their order.
        smooth: ``"one-euro"`` or ``"savgol"``, see ``ops.smoothing.smoothed``.

    Raises:
        ValueError: the smoothing is unknown.
    """
    waiting: deque[VideoFrame] = deque()

    def found() -> Iterator[Poses]:
        for frame in video:
            waiting.append(frame)
            yield replace(stream.step(frame.image, frame.time), time=frame.time)

    for poses in found() if smooth is None else smoothed(found(), smooth):
        yield waiting.popleft(), poses
