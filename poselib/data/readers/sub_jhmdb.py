"""Reader of Sub-JHMDB: one person in each clip, 15 joints, three splits.

``sub_splits/<action>_test_split_1.txt`` lists clips with 1 for training and 2 for testing,
``joint_positions/<action>/<clip>/joint_positions.mat`` has ``pos_img`` (2 x 15 x frames, counted
from 1), ``puppet_mask/<action>/<clip>/puppet_mask.mat`` ``part_mask`` (height x width x frames),
and frames are ``Rename_Images/<action>/<clip>/00001.png``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from poselib.data.boxes import box_areas, keypoint_boxes
from poselib.data.image_io import image_size
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.json_fields import shown
from poselib.data.readers.mat_io import PIXEL_CENTER, matrix, read_mat
from poselib.data.readers.video_json import read_video_json
from poselib.data.readers.videos import (
    FPS,
    check_length,
    numbered_frames,
    tell_outside,
    unlabel_outside,
)
from poselib.ops.io import visible_files
from poselib.skeletons import SUB_JHMDB
from poselib.typing import FloatArray

TrainTest = Literal["train", "test"]
# The converted files call the middle of the face the head.
_ALIASES = {"face": "head"}


class SubJhmdbFrames(KeypointImages):
    """Frames of the training or the test clips of one split.

    Boxes surround the mask of the person; where there is none, the labeled joints. Labels outside
    of the image are dropped, and counted in a warning.

    Args:
        folder: of the dataset.
        number: 1, 2 or 3, of the split.
        split: ``"train"`` or ``"test"``.
        keep_empty: keep frames without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: a file or folder is missing.
        ValueError: a file is not of this format, or of another length than its clip; or frames are
            missing.
    """

    def __init__(
        self, folder: Path, number: Literal[1, 2, 3], split: TrainTest, keep_empty: bool = True
    ) -> None:
        folder, outside = Path(folder), 0
        images: list[AnnotatedImage] = []
        for action, clip in split_clips(folder / "sub_splits", number, split):
            found, dropped = _clip(folder, action, clip, len(images))
            images, outside = images + found, outside + dropped
        tell_outside(folder, images, outside)
        table = gather(folder / "joint_positions", images, len(SUB_JHMDB), keep_empty)
        super().__init__(table, folder / "Rename_Images", SUB_JHMDB)

    @classmethod
    def from_json(cls, annotations: Path, folder: Path, keep_empty: bool = True) -> KeypointImages:
        """Open one of the COCO-format files into which the annotations have been converted.

        Args:
            annotations: ``Sub1_train.json``, ``Sub1_test.json`` ...
            folder: that of the dataset or of its frames, to which the names of frames are relative.
            keep_empty: see the class.

        Raises:
            FileNotFoundError: the file or a frame is missing.
            ValueError: the file is not of this kind, or a field is bad.
        """
        images, outside = read_video_json(annotations, folder, SUB_JHMDB, _ALIASES)
        tell_outside(annotations, images, outside)
        # Frames count from 1, and a folder is a video.
        moved = [
            replace(image, video=Path(image.file_name).parent.name, time=image.time - 1 / FPS)
            for image in images
        ]
        table = gather(annotations, moved, len(SUB_JHMDB), keep_empty)
        return KeypointImages(table, folder, SUB_JHMDB)


def split_clips(folder: Path, number: int, split: TrainTest) -> list[tuple[str, str]]:
    """Return the (action, clip) of one part of a split, sorted.

    Raises:
        FileNotFoundError: the folder has no file of this split.
        ValueError: a line is not a clip with 1 or 2, or no clip is of this part.
    """
    pattern = re.compile(rf"(.+)_test_split_?{number}")
    files = [(path, pattern.fullmatch(path.stem)) for path in visible_files(folder, "*.txt")]
    matched = [(path, match.group(1)) for path, match in files if match is not None]
    if not matched:
        raise FileNotFoundError(
            f"split folder {folder} does not exist or holds no <action>_test_split_{number}.txt"
        )
    clips = []
    for path, action in matched:
        # What is no text becomes a sign that no clip's name has.
        text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "\ufffd")
        for row, line in enumerate(text.splitlines(), start=1):
            name, _, mark = line.strip().rpartition(" ")
            if line.strip() and (mark not in ("1", "2") or "\ufffd" in line):
                found = shown(line)
                raise ValueError(f"{path}: line {row}: expected a clip and 1 or 2, found {found}")
            if name and mark == ("1" if split == "train" else "2"):
                clips.append((action, name.strip().removesuffix(".avi")))
    if not clips:
        raise ValueError(f"{folder}: split {number} has no clip for {split}")
    return sorted(clips)


def _clip(folder: Path, action: str, clip: str, before: int) -> tuple[list[AnnotatedImage], int]:
    """Return the frames of a clip, numbered from ``before``, and how many points are outside."""
    home, place = folder / "Rename_Images" / action / clip, f"{action}/{clip}"
    files = numbered_frames(home, (".png",))
    path = folder / "joint_positions" / place / "joint_positions.mat"
    where = f"{path}: pos_img"
    found = matrix(read_mat(path, "pos_img"), (2, len(SUB_JHMDB), None), where)
    xy = found.transpose(2, 1, 0) + PIXEL_CENTER
    check_length(len(xy), len(files), where)
    size = image_size(files[0])
    points, outside = unlabel_outside(np.insert(xy, 2, 2.0, axis=2), size)
    path = folder / "puppet_mask" / place / "puppet_mask.mat"
    masks = matrix(read_mat(path, "part_mask"), (*size, None), f"{path}: part_mask")
    check_length(masks.shape[2], len(files), f"{path}: part_mask")
    boxes = _mask_boxes(masks)
    absent = (boxes == 0).all(axis=1)
    boxes[absent] = keypoint_boxes(points[absent])
    images = [
        AnnotatedImage(
            file_name=f"{place}/{file.name}",
            keypoints=points[n : n + 1],
            boxes=boxes[n : n + 1],
            areas=box_areas(boxes[n : n + 1]),
            image_id=before + n + 1,
            size=size,
            tracks=np.zeros(1, np.int64),
            video=place,
            time=n / FPS,
        )
        for n, file in enumerate(files)
    ]
    return images, outside


def _mask_boxes(masks: FloatArray) -> FloatArray:
    """Return left, top, right, bottom (T, 4) of masks (H, W, T); zeros of an empty one."""
    boxes = np.zeros((masks.shape[2], 4))
    for axis in (0, 1):
        line = np.any(masks > 0, axis=axis).transpose()  # (T, W) of axis 0: left and right
        some = np.any(line, axis=1)
        boxes[some, axis] = line[some].argmax(axis=1)
        boxes[some, axis + 2] = line.shape[1] - line[some][:, ::-1].argmax(axis=1)
    return boxes
