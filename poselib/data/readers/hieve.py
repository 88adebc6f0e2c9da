"""Reader of HiEve's pose labels: one JSON file per video, in PoseTrack's older layout.

``annolist`` has one entry per frame: ``image[0].name`` and ``annorect``, the people, each with the
corners ``x1``, ``y1``, ``x2``, ``y2`` of a box and ``annopoints[0].point``, where a keypoint has
``id``, ``x``, ``y`` and ``score``. Each number is in a list of one element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER
from poselib.data.annotation_table import check_unique
from poselib.data.boxes import box_areas
from poselib.data.image_io import image_size
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.json_fields import (
    Entry,
    corners,
    entries,
    entry,
    load_json,
    numbers,
    text,
)
from poselib.data.readers.videos import frame_time, tell_outside, unlabel_outside
from poselib.ops.io import visible_files
from poselib.skeletons import HIEVE
from poselib.structures import Size
from poselib.typing import IntArray

_CORNERS = ("x1", "y1", "x2", "y2")


class HieveKeypoints(KeypointImages):
    """Frames and people of HiEve's training videos.

    The dataset consists of videos; their frames are expected as ``<video>/<name in the labels>`` in
    the folder of images, such as ``7/000000.jpg``, and numbered from 1 over all videos. A keypoint
    is labeled if it is listed with a positive score; the labels do not state whether it is hidden.

    Args:
        labels: the folder of ``<video>.json``, ``labels/train/track2&3`` of the dataset.
        images: the folder of frames.
        videos: names of the videos to read, in this order; by default all, sorted by number.
        keep_empty: keep frames without labeled people, as evaluation must.
        tracks: read the numbers that people keep throughout a video, and the times of frames; the
            labels must have them. Labels of points outside of the image, whose size is that of
            a video's first frame, are dropped and counted in a warning.

    Raises:
        FileNotFoundError: the folder of labels, a label file or a frame is missing.
        ValueError: a file is not of this format, or has a bad or missing field.
    """

    def __init__(
        self,
        labels: Path,
        images: Path,
        videos: Sequence[str] | None = None,
        keep_empty: bool = True,
        tracks: bool = False,
    ) -> None:
        labels = Path(labels)
        videos = hieve_videos(labels) if videos is None else videos
        rows: list[AnnotatedImage] = []
        outside = 0
        for video in videos:
            frames = _video(labels / f"{video}.json", tracks)
            dropped = 0
            if tracks and frames:
                frames, dropped = _inside(frames, image_size(Path(images) / frames[0].file_name))
            rows, outside = rows + frames, outside + dropped
        tell_outside(labels, rows, outside)
        super().__init__(gather(labels, rows, len(HIEVE), keep_empty), images, HIEVE)


def hieve_videos(labels: Path) -> list[str]:
    """Return the names of the videos with labels in a folder, sorted by number.

    Raises:
        FileNotFoundError: the folder is missing or holds no label file.
    """
    # By length first: 10 comes after 9.
    files = visible_files(labels, "*.json")
    names = sorted((path.stem for path in files), key=lambda stem: (len(stem), stem))
    if not names:
        raise FileNotFoundError(f"label folder {labels} does not exist or holds no .json file")
    return names


def _video(path: Path, tracks: bool) -> list[AnnotatedImage]:
    content = entry(load_json(path), str(path))
    frames = entries(content.get("annolist"), f"{path}: annolist")
    places = [f"{path}: annolist[{i}]" for i in range(len(frames))]
    images = [_frame(frame, at, path.stem) for frame, at in zip(frames, places, strict=True)]
    if not tracks:
        return images
    numbers_of = [_tracks(frame, at) for frame, at in zip(frames, places, strict=True)]
    return [
        replace(image, tracks=own, video=path.stem, time=frame_time(image.file_name, n))
        for n, (image, own) in enumerate(zip(images, numbers_of, strict=True))
    ]


def _inside(frames: Sequence[AnnotatedImage], size: Size) -> tuple[list[AnnotatedImage], int]:
    """Return frames of a video of one size, and how many labels lie outside of them."""
    found = [unlabel_outside(frame.keypoints, size) for frame in frames]
    kept = [
        replace(frame, keypoints=points, size=size)
        for frame, (points, _) in zip(frames, found, strict=True)
    ]
    return kept, sum(dropped for _, dropped in found)


def _tracks(frame: Entry, where: str) -> IntArray:
    people = entries(frame.get("annorect"), f"{where}: annorect")
    values = [_value(p, "track_id", f"{where}: annorect[{i}]") for i, p in enumerate(people)]
    check_unique(values, f"{where}: annorect: track_id")
    return np.array(values, np.int64)


def _frame(frame: Entry, where: str, video: str) -> AnnotatedImage:
    image = entries(frame.get("image"), f"{where}: image")
    if len(image) != 1:
        raise ValueError(f"{where}: image: expected one, found {len(image)}")
    listed = entries(frame.get("annorect"), f"{where}: annorect")
    people = [(person, f"{where}: annorect[{i}]") for i, person in enumerate(listed)]
    boxes = [_box(person, at) for person, at in people]
    points = [_points(person, at) for person, at in people]
    sides = np.array(boxes).reshape(-1, 4)
    return AnnotatedImage(
        file_name=f"{video}/{text(image[0], 'name', f'{where}: image')}",
        keypoints=np.array(points).reshape(-1, len(HIEVE), 3),
        boxes=sides,
        areas=box_areas(sides),
    )


def _box(person: Entry, where: str) -> list[float]:
    values = [_value(person, field, where) for field in _CORNERS]
    return corners({"box": values}, "box", where)


def _points(person: Entry, where: str) -> NDArray[np.float64]:
    """Return the keypoints (K, 3) of a person; zeros for those that are not listed."""
    keypoints = np.zeros((len(HIEVE), 3))
    at = f"{where}: annopoints"
    for holder in entries(person.get("annopoints") or [], at):
        for point in entries(holder.get("point") or [], f"{at}: point"):
            k = _value(point, "id", at)
            if k not in range(len(HIEVE)):
                raise ValueError(f"{at}: id must be 0 to {len(HIEVE) - 1}, found {k:g}")
            if _value(point, "score", at) > 0:
                x, y = _value(point, "x", at), _value(point, "y", at)
                keypoints[int(k)] = x + PIXEL_CENTER, y + PIXEL_CENTER, 2
    return keypoints


def _value(holder: Entry, field: str, where: str) -> float:
    """Return the number in a field that holds a list of one element."""
    return numbers(holder, field, 1, where)[0]
