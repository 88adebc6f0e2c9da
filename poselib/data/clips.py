"""Clips of consecutive frames, from any dataset of videos; and their people one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Protocol

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.skeletons import Skeleton
from poselib.structures import Clip, Sample, sample_index
from poselib.typing import IntArray


class AnnotatedSamples(Protocol):
    """A dataset of images with annotated people."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def annotations(self) -> AnnotationTable: ...


class VideoFrames(Protocol):
    """A dataset of the frames of videos, in their order: real ones and synthetic clips.

    Attributes:
        skeleton: which keypoints it annotates.
        videos, times: of each frame, its video and seconds from the start of it.
        track_ids: returns the numbers of the people of a frame, without reading it.
    """

    skeleton: Skeleton

    @property
    def videos(self) -> tuple[str, ...]: ...

    @property
    def times(self) -> tuple[float, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def track_ids(self, index: int, /) -> IntArray: ...

    def annotations(self) -> AnnotationTable: ...


def video_windows(
    videos: Sequence[str], frames: int | None = None, step: int | None = None
) -> list[range]:
    """Return the positions of the frames of each clip.

    The last clip of a video ends with its last frame, and may overlap the one before it. Videos
    of fewer frames are left out.

    Args:
        videos: the video of each frame; those of a video follow each other.
        frames: of a clip; by default a clip is a whole video.
        step: frames from one clip's start to the next one's, by default ``frames``.

    Raises:
        ValueError: a number is not positive, or no video has as many frames.

    Example:
        >>> [list(window) for window in video_windows("aaaaabb", 2)]
        [[0, 1], [2, 3], [3, 4], [5, 6]]
    """
    for name, value in (("frames", frames), ("step", step)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be 1 or more, not {value}")
    windows, first, longest = [], 0, 0
    for _, group in groupby(videos):
        count = len(list(group))
        length = frames or count
        starts = list(range(0, count - length + 1, step or length))
        if starts and starts[-1] != count - length:
            starts.append(count - length)
        windows += [range(first + start, first + start + length) for start in starts]
        first, longest = first + count, max(longest, count)
    if not windows:
        raise ValueError(f"no video has {frames} frames: the longest has {longest}")
    return windows


def join_frames(samples: Sequence[Sample], times: Sequence[float], video: str) -> Clip:
    """Return consecutive frames as a clip; a person not in a frame has zeros there.

    People are in the order in which they appear. Frames need tracks, unless there is one frame.

    Raises:
        ValueError: frames differ in size, have no tracks, or one has a track twice.
    """
    if len(samples) > 1 and any(sample.tracks is None for sample in samples):
        raise ValueError(f"video {video}: people have no tracks, so that a clip cannot be made")
    if len(samples) == 1 and samples[0].tracks is None:
        return Clip((samples[0],), np.array(times, float), video)
    listed = [track for s in samples if s.tracks is not None for track in s.tracks.tolist()]
    tracks = np.array(list(dict.fromkeys(listed)), np.int64)
    frames = tuple(_in_rows(sample, tracks, video) for sample in samples)
    return Clip(frames, np.array(times, float), video)


def _in_rows(sample: Sample, tracks: IntArray, video: str) -> Sample:
    """Return a frame with the person of each track, or zeros, in the track's row."""
    own = sample.tracks
    assert own is not None
    if len(set(own.tolist())) < len(own):
        raise ValueError(f"video {video}: image {sample.image_id}: a track is in the frame twice")
    place = {track: row for row, track in enumerate(tracks.tolist())}
    rows = [place[track] for track in own.tolist()]
    keypoints = np.zeros((len(tracks), *sample.keypoints.shape[1:]), np.float32)
    areas, boxes = np.zeros(len(tracks), np.float32), np.zeros((len(tracks), 4), np.float32)
    keypoints[rows], areas[rows] = sample.keypoints, sample.areas
    if sample.boxes is not None:
        boxes[rows] = sample.boxes
    return replace(
        sample,
        keypoints=keypoints,
        areas=areas,
        boxes=None if sample.boxes is None else boxes,
        tracks=tracks,
    )


class VideoClips:
    """Clips of the frames of videos, with all of their people.

    Args:
        dataset: the frames.
        frames, step: see ``video_windows``.

    Attributes:
        dataset: as given.
        windows: the positions in it of the frames of each clip.

    Example:
        >>> clips = VideoClips(open_dataset("clips", "val", count=1), frames=5)
        >>> len(clips), len(clips[0]), clips[0].size, clips[0].video
        (6, 5, (128, 128), '000000_synthetic')
    """

    def __init__(
        self, dataset: VideoFrames, frames: int | None = None, step: int | None = None
    ) -> None:
        self.dataset = dataset
        self.windows = video_windows(dataset.videos, frames, step)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Clip:
        window = self.windows[sample_index(index, len(self))]
        samples = [self.dataset[position] for position in window]
        times = [self.dataset.times[position] for position in window]
        return join_frames(samples, times, self.dataset.videos[window[0]])


class PersonClips:
    """Clips of the frames of videos, one for each person in them: what a crop is taken of.

    Args:
        dataset, frames, step: see ``VideoClips``.

    Attributes:
        clips: those with all people.
        people: the position in ``clips`` and the track of each item.

    Example:
        >>> people = PersonClips(open_dataset("clip_crowd", "val", count=1), frames=5)
        >>> clip = people[0]
        >>> len(clip), clip.frames[0].keypoints.shape
        (5, (1, 15, 3))
    """

    def __init__(
        self, dataset: VideoFrames, frames: int | None = None, step: int | None = None
    ) -> None:
        self.clips = VideoClips(dataset, frames, step)
        tracks = [dataset.track_ids(n).tolist() for n in range(len(dataset))]
        self.people = [
            (number, track)
            for number, window in enumerate(self.clips.windows)
            for track in sorted({track for frame in window for track in tracks[frame]})
        ]

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Clip:
        number, track = self.people[sample_index(index, len(self))]
        clip = self.clips[number]
        tracks = clip.frames[0].tracks
        rows = np.flatnonzero(tracks == track) if tracks is not None else np.zeros(0, np.int64)
        return clip.only(rows) if len(rows) else _without_labels(clip, track)


def _without_labels(clip: Clip, track: int) -> Clip:
    """Return a clip with the row of a person who is hidden in all of its frames."""

    def change(frame: Sample, _: int) -> Sample:
        return replace(
            frame,
            keypoints=np.zeros((1, *frame.keypoints.shape[1:]), np.float32),
            areas=np.zeros(1, np.float32),
            boxes=np.zeros((1, 4), np.float32),
            tracks=np.array([track]),
        )

    return clip.each(change)


class PersonImages:
    """Images, one for each of their labeled people: what a crop is taken of.

    Args:
        dataset: photographs or frames with annotations.

    Attributes:
        dataset: as given.
        people: the position of the image in it and the row of the person of each item.
    """

    def __init__(self, dataset: AnnotatedSamples) -> None:
        self.dataset = dataset
        table = dataset.annotations()
        self.people = [
            (image, row)
            for image in range(len(dataset))
            for row in range(len(table.labeled_rows(image)))
        ]

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Sample:
        image, row = self.people[sample_index(index, len(self))]
        return self.dataset[image].only(np.array([row]))
