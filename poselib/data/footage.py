"""Clips of whatever has frames: clips, images, datasets, video files and folders of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from poselib.data.clips import VideoClips, join_frames
from poselib.data.image_folder import as_samples, bare_sample
from poselib.data.video_files import Video, is_video_file, open_video
from poselib.structures import Clip, Sample

_Cut = Callable[[int, int], Clip]


@dataclass(frozen=True)
class Footage:
    """Frames that are read when a part of them is asked for.

    Attributes:
        frames: how many there are.
        read: returns the clip from one frame to before another.
    """

    frames: int
    read: _Cut


def footage(given: Any) -> list[Footage]:
    """Return what can be shown frame by frame of something.

    Args:
        given: a ``Clip`` or a list of them; a list of consecutive images, as ``data.image_io``
            takes them; a dataset, of whose videos each is one, or else each image; a video, or the
            path of one, of a folder of frames or of an image; or one image.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it cannot be read, or there is nothing in it.

    Example:
        >>> (video,) = footage(open_dataset("clips", "val", count=1))
        >>> video.frames, len(video.read(20, 40))
        (30, 10)
    """
    if isinstance(given, Clip):
        return [Footage(len(given), lambda begin, end: _cut(given, begin, end))]
    if isinstance(given, Video) or _is_video_path(given):
        video = given if isinstance(given, Video) else open_video(given)
        return [Footage(video.frames, lambda begin, end: _of_video(video, begin, end))]
    if isinstance(given, str | Path | Image.Image | np.ndarray | Tensor | Sample):
        return [_of_samples(as_samples(given)[0])]
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise ValueError(f"frames, clips or a dataset of them are wanted, not {given!r}")
    if not len(given):
        raise ValueError("there is no frame in what is given")
    if isinstance(given, list | tuple):
        if all(isinstance(each, Clip) for each in given):
            return [one for each in given for one in footage(each)]
        return [_of_samples(as_samples(given)[0])]
    if getattr(given, "videos", ()):
        clips = VideoClips(given)
        return [_of_window(clips, number) for number in range(len(clips))]
    return [_of_samples(given, range(number, number + 1)) for number in range(len(given))]


def _is_video_path(given: Any) -> bool:
    return is_video_file(given) or (isinstance(given, str | Path) and Path(given).is_dir())


def _cut(clip: Clip, begin: int, end: int) -> Clip:
    return replace(clip, frames=clip.frames[begin:end], times=clip.times[begin:end])


def _of_video(video: Video, begin: int, end: int) -> Clip:
    frames = list(islice(video, begin, end))
    samples = [bare_sample(frame.image, begin + n) for n, frame in enumerate(frames)]
    return Clip(tuple(samples), np.array([frame.time for frame in frames]), video.name)


def _of_samples(samples: Any, window: range | None = None) -> Footage:
    window = range(len(samples)) if window is None else window

    def read(begin: int, end: int) -> Clip:
        return _joined([samples[number] for number in window[begin:end]], begin)

    return Footage(len(window), read)


def _of_window(clips: VideoClips, number: int) -> Footage:
    window, dataset = clips.windows[number], clips.dataset

    def read(begin: int, end: int) -> Clip:
        part = window[begin:end]
        times = [dataset.times[position] for position in part]
        return join_frames([dataset[each] for each in part], times, dataset.videos[window[0]])

    return Footage(len(window), read)


def _joined(samples: Sequence[Sample], begin: int) -> Clip:
    """Return images in the order of time as a clip, at 25 frames a second."""
    times = [(begin + number) / 25 for number in range(len(samples))]
    if any(sample.tracks is None for sample in samples):
        return Clip(tuple(samples), np.array(times))  # row by row the same people, if any
    return join_frames(samples, times, "")
