"""Reader of Penn Action: one MATLAB file per clip, one person in it, 13 joints.

``labels/0001.mat`` has ``x``, ``y`` and ``visibility`` (frames x 13), ``bbox`` (frames x 4, two
corners), ``train`` (1 for training, else -1) and ``dimensions``; frames are
``frames/0001/000001.jpg``. Coordinates count from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from poselib.data.boxes import box_areas
from poselib.data.image_io import image_size
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.mat_io import PIXEL_CENTER, matrix, read_variables
from poselib.data.readers.videos import (
    FPS,
    check_length,
    numbered_frames,
    tell_outside,
    unlabel_outside,
)
from poselib.ops.io import visible_files
from poselib.skeletons import PENN_ACTION

_NAMES = ("x", "y", "visibility", "bbox", "train")


class PennActionFrames(KeypointImages):
    """Frames of the training or the test clips of Penn Action.

    A joint that is marked invisible is not labeled, as its place is a guess. Two clips lack the box
    of their last frame; it is that of the frame before. Sizes are those of the files, which differ
    from ``dimensions`` in some clips. Labels outside of the image are dropped, and counted in a
    warning.

    Args:
        labels: the folder of ``0001.mat`` ...
        frames: the folder of ``0001/000001.jpg`` ...
        split: ``"train"`` or ``"test"``, by the flag in each file.
        keep_empty: keep frames without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: a folder is missing or empty.
        ValueError: a file is not of this format, or of another length than its clip; or frames are
            missing; or no clip is of the split.
    """

    def __init__(
        self, labels: Path, frames: Path, split: Literal["train", "test"], keep_empty: bool = True
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; known: train, test")
        labels, frames = Path(labels), Path(frames)
        files = visible_files(labels, "*.mat")
        if not files:
            raise FileNotFoundError(f"label folder {labels} does not exist or holds no .mat file")
        images: list[AnnotatedImage] = []
        outside = 0
        for file in files:
            found, dropped = _clip(file, frames / file.stem, split)
            images, outside = images + found, outside + dropped
        if not images:
            raise ValueError(f"{labels}: none of {len(files)} clips is for {split}")
        tell_outside(labels, images, outside)
        table = gather(labels, images, len(PENN_ACTION), keep_empty)
        super().__init__(table, frames, PENN_ACTION)


def _clip(path: Path, folder: Path, split: str) -> tuple[list[AnnotatedImage], int]:
    """Return the frames of a clip, none if it is of the other split, and points outside of them."""
    content = read_variables(path, _NAMES)
    flag = matrix(content["train"].reshape(-1), (1,), f"{path}: train")[0]
    if (flag > 0) != (split == "train"):
        return [], 0
    if not path.stem.isdecimal():
        raise ValueError(f"{path}: expected a name that is the number of the clip, as 0001.mat")
    files = numbered_frames(folder, (".jpg",))
    joints = len(PENN_ACTION)
    x, y, seen = (matrix(content[name], (None, joints), f"{path}: {name}") for name in _NAMES[:3])
    boxes = matrix(content["bbox"], (None, 4), f"{path}: bbox")
    for name, rows in zip(_NAMES, (x, y, seen), strict=False):
        check_length(len(rows), len(files), f"{path}: {name}")
    if len(boxes) == len(files) - 1:
        boxes = np.concatenate([boxes, boxes[-1:]])
    check_length(len(boxes), len(files), f"{path}: bbox")
    for frame in np.flatnonzero((boxes[:, :2] == boxes[:, 2:]).any(axis=1))[:1].tolist():
        raise ValueError(
            f"{path}: bbox: frame {frame + 1}: expected a box with an area, found "
            f"{boxes[frame].tolist()}"
        )
    # The corner of the first pixel is at 0.
    boxes = np.concatenate(
        [np.minimum(boxes[:, :2], boxes[:, 2:]) - 1, np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1
    )
    points = np.stack([x + PIXEL_CENTER, y + PIXEL_CENTER, 2.0 * (seen > 0)], axis=-1)
    size = image_size(files[0])
    points, outside = unlabel_outside(points, size)
    images = [
        AnnotatedImage(
            file_name=f"{folder.name}/{file.name}",
            keypoints=points[n : n + 1],
            boxes=boxes[n : n + 1],
            areas=box_areas(boxes[n : n + 1]),
            image_id=int(path.stem) * 10_000 + n + 1,
            size=size,
            tracks=np.zeros(1, np.int64),
            video=path.stem,
            time=n / FPS,
        )
        for n, file in enumerate(files)
    ]
    return images, outside
