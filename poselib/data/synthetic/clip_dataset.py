"""Synthetic clips as a dataset of frames, and written in PoseTrack18's layout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.image_io import encode_image
from poselib.data.posetrack_export import frame_id, image_entry, people_entries, video_document
from poselib.data.readers.json_fields import Entry
from poselib.data.synthetic.clips import ClipFrame, SyntheticClip
from poselib.data.synthetic.config import ClipConfig
from poselib.data.synthetic.export import FORMATS, check_arguments, write_folder
from poselib.ops.io import read_json
from poselib.skeletons import POSETRACK18, Skeleton
from poselib.structures import AffineTransform, Sample, sample_index
from poselib.typing import BoolArray, Float32Array, IntArray
from poselib.wording import counted

__all__ = ["ClipConfig", "SyntheticClips", "write_clips"]

# Incremented whenever the same configuration and seed give other clips than before.
VERSION = 1


class SyntheticClips:
    """The frames of synthetic clips, rendered on demand; ``data.clips`` makes clips of them.

    Args:
        config: configuration of the clips.
        count: clips; there are ``config.frames`` times as many samples.
        seed: clips of different seeds are unrelated.
        skeleton: the keypoints that a sample has, found by name.

    Attributes:
        videos, times: of each frame, its video and seconds from the start of it.

    Raises:
        ValueError: the count or the seed is negative, or the skeleton has a keypoint that the
            body lacks.
    """

    def __init__(self, config: ClipConfig, count: int, seed: int, skeleton: Skeleton) -> None:
        check_arguments(count, seed, skeleton)
        self.config, self.seed, self.skeleton = config, seed, skeleton
        self._count = count
        self._clips: dict[int, SyntheticClip] = {}
        self._keep = False
        self.videos = tuple(video_name(v) for v in range(count) for _ in range(config.frames))
        self.times = tuple(t / config.fps for _ in range(count) for t in range(config.frames))

    def __repr__(self) -> str:
        return (
            f"<{counted(self._count, 'synthetic clip')} of "
            f"{counted(self.config.frames, 'frame')}, seed {self.seed}, "
            f"skeleton {self.skeleton.name!r}>"
        )

    def __len__(self) -> int:
        return self._count * self.config.frames

    @property
    def image_ids(self) -> tuple[int, ...]:
        frames = range(self.config.frames)
        return tuple(frame_id(video, frame) for video in range(self._count) for frame in frames)

    def clip(self, index: int) -> SyntheticClip:
        """Return a clip with all that moves in it; raises IndexError past the end."""
        index = sample_index(index, self._count)
        if index not in self._clips:
            if not self._keep:
                self._clips.clear()  # frames are mostly asked for in their order
            self._clips[index] = SyntheticClip(self.config, self.seed, index)
        return self._clips[index]

    def track_ids(self, index: int) -> IntArray:
        """Return the numbers of all people of the clip of a frame, hidden ones too."""
        return np.arange(self.clip(index // self.config.frames).people)

    def _frame(self, index: int, blur: bool = True) -> ClipFrame:
        clip, number = self.clip(index // self.config.frames), index % self.config.frames
        return clip.frames[number] if self._keep else clip.frame(number, blur)

    def __getitem__(self, index: int) -> Sample:
        index = sample_index(index, len(self))
        frame = self._frame(index)
        keypoints, kept = _labeled(frame, self.skeleton)
        return Sample(
            image=np.ascontiguousarray(frame.image.transpose(2, 0, 1)),
            keypoints=keypoints[kept],
            areas=frame.areas[kept],
            ignore_mask=np.zeros(frame.image.shape[:2], dtype=bool),
            image_id=self.image_ids[index],
            to_original=AffineTransform.identity(),
            boxes=frame.boxes[kept],
            tracks=np.flatnonzero(kept),
        )

    def cached(self) -> SyntheticClips:
        """Return a dataset that renders every clip once and keeps it in memory."""
        copy = SyntheticClips(self.config, self._count, self.seed, self.skeleton)
        copy._keep = True
        return copy

    def annotations(self) -> AnnotationTable:
        """Return the people of all frames, with as many decimals as ``write_clips`` gives them."""
        images = [self._annotated(index) for index in range(len(self))]
        source = Path(f"synthetic clips of seed {self.seed}")
        return gather(source, images, len(self.skeleton), need_people=False, decimals=3)

    def _annotated(self, index: int) -> AnnotatedImage:
        frame = self._frame(index, blur=False)  # labels do not depend on it
        keypoints, kept = _labeled(frame, self.skeleton)
        return AnnotatedImage(
            file_name=f"{self.videos[index]}/{index % self.config.frames:06d}.png",
            keypoints=keypoints[kept],
            boxes=frame.boxes[kept],
            areas=frame.areas[kept],
            image_id=self.image_ids[index],
            size=(frame.image.shape[0], frame.image.shape[1]),
            tracks=np.flatnonzero(kept),
            head_boxes=frame.head_boxes[kept],
            video=self.videos[index],
            time=self.times[index],
        )


def video_name(index: int) -> str:
    """Return the name of the video of a synthetic clip."""
    return f"{index:06d}_synthetic"


def _labeled(frame: ClipFrame, skeleton: Skeleton) -> tuple[Float32Array, BoolArray]:
    keypoints = frame.keypoints_of(skeleton)
    kept: BoolArray = np.any(keypoints[..., 2] > 0, axis=1)
    return keypoints, kept


def write_clips(
    folder: Path,
    config: ClipConfig,
    count: int,
    seed: int,
    image_format: str = "png",
    processes: int = 1,
    progress: bool = False,
    split: str = "val",
) -> Path:
    """Write clips in PoseTrack18's layout, and return the folder.

    It gets ``annotations/<split>/<video>.json``, ``images/<split>/<video>/000000.png`` and what the
    clips are in ``clips_<split>.json``, beside what it holds of the other split. They appear
    complete or not at all; if it already holds the same clips, nothing is done.

    Args:
        config, count, seed: see ``SyntheticClips``; the skeleton is PoseTrack18's.
        image_format: ``"png"`` or ``"jpg"``.
        processes: number of processes that render; the result does not depend on it.
        progress: show a bar.
        split: ``"train"`` or ``"val"``, the part of the dataset that the clips are.

    Raises:
        ValueError: an argument is out of range, the folder holds other files of this split, or
            clips of the same seed are its other split.
    """
    check_arguments(count, seed, POSETRACK18, image_format)
    if split not in ("train", "val"):
        raise ValueError(f"split must be train or val, not {split!r}")
    _check_other_split(Path(folder), split, seed)
    info: Entry = {
        "description": "synthetic clips of poselib",
        "version": VERSION,
        "recipe": config.as_dict(),
        "seed": seed,
        "count": count,
        "split": split,
        "image_format": image_format,
    }

    def finish(temporary: Path, videos: Iterable[str]) -> None:
        content = {"info": info, "videos": list(videos)}
        (temporary / parts[-1]).write_text(json.dumps(content) + "\n")

    parts = (f"images/{split}", f"annotations/{split}", f"clips_{split}.json")
    render = partial(_write_clip, config, seed, split, image_format)
    return write_folder(Path(folder), parts, info, render, finish, processes, progress, beside=True)


def _check_other_split(folder: Path, split: str, seed: int) -> None:
    """Refuse to test on what is trained on: clips of one seed are the same."""
    other = "val" if split == "train" else "train"
    path = folder / f"clips_{other}.json"
    info = read_json(path).get("info") if path.is_file() else None
    if isinstance(info, dict) and info.get("seed") == seed:
        raise ValueError(
            f"{path} has clips of seed {seed}, so that {split} would be the same clips: "
            f"give {split} another seed"
        )


def _write_clip(
    config: ClipConfig, seed: int, split: str, suffix: str, folder: Path, index: int
) -> str:
    """Write the frames and the document of one clip; return the name of its video."""
    video = video_name(index)
    home, images, people = folder / "images" / split / video, [], []
    home.mkdir(parents=True, exist_ok=True)
    clip = SyntheticClip(config, seed, index)
    for number in range(len(clip)):
        frame = clip.frame(number)
        path = home / f"{number:06d}.{suffix}"
        path.write_bytes(encode_image(frame.image, path.suffix, FORMATS[suffix]))
        size = (frame.image.shape[0], frame.image.shape[1])
        name = path.relative_to(folder).as_posix()
        images.append(image_entry(name, index, number, len(clip), size))
        points, kept = _labeled(frame, POSETRACK18)
        boxes, areas, heads = frame.boxes[kept], frame.areas[kept], frame.head_boxes[kept]
        people.append(people_entries(points[kept], boxes, areas, heads, np.flatnonzero(kept)))
    document = video_document(images, people, {"fps": config.fps})
    home = folder / "annotations" / split
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{video}.json").write_text(json.dumps(document) + "\n")
    return video
