"""Reader of Leeds Sports Pose and its extended training set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poselib.data.boxes import box_areas, keypoint_boxes
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.mat_io import PIXEL_CENTER, read_mat
from poselib.skeletons import LSP

# The first 1000 of the 2000 images are for training, the rest for testing.
TRAIN_IMAGES = 1000


class LspImages(KeypointImages):
    """Leeds Sports Pose, with one person per image: ``joints.mat`` and a folder of images.

    The shape of ``joints`` distinguishes the two datasets. LSP is (3, 14, 2000) with images
    ``im0001.jpg``, and its third row is 1 where a joint is *hidden*. The extended set is
    (14, 3, 10000) with images ``im00001.jpg``, all for training, and its third column is 1 where a
    joint is *visible*; the others are not labeled, whatever their coordinates.

    Args:
        annotations: ``joints.mat``.
        images: the folder of images.
        split: ``"train"`` or ``"test"``.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not one of the two, or the split is empty.
    """

    def __init__(self, annotations: Path, images: Path, split: Literal["train", "test"]) -> None:
        source = Path(annotations)
        keypoints, extended = _read_joints(source)
        numbers = _numbers(split, len(keypoints), extended, source)
        digits = 5 if extended else 4
        boxes = keypoint_boxes(keypoints)
        areas = box_areas(boxes)
        people = [
            AnnotatedImage(
                file_name=f"im{n + 1:0{digits}d}.jpg",
                keypoints=keypoints[n : n + 1],
                boxes=boxes[n : n + 1],
                areas=areas[n : n + 1],
                image_id=n + 1,
            )
            for n in numbers
            # A person without a labeled joint has no box.
            if keypoints[n, :, 2].any()
        ]
        super().__init__(gather(source, people, len(LSP)), Path(images), LSP)


def _read_joints(path: Path) -> tuple[NDArray[np.float32], bool]:
    """Return keypoints (N, K, 3) and whether they are of the extended set."""
    content, joints = read_mat(path, "joints"), len(LSP)
    extended = content.shape[:2] == (joints, 3)
    known = extended or content.shape[:2] == (3, joints)
    if not known or content.ndim != 3 or content.dtype.kind not in "iuf":
        raise ValueError(
            f"{path}: joints: expected numbers, 3 x {joints} x N (LSP) or {joints} x 3 x N "
            f"(extended), found {content.dtype} {' x '.join(map(str, content.shape))}"
        )
    rows = content.transpose((2, 0, 1) if extended else (2, 1, 0))
    xy, flags = rows[..., :2] + PIXEL_CENTER, rows[..., 2:]
    if not np.isin(flags, (0, 1)).all():
        found = np.unique(flags)[:5].tolist()
        raise ValueError(f"{path}: joints: visibility must be 0 or 1, found {found}")
    visibility = np.where(flags == 1, 2, 0) if extended else np.where(flags == 1, 1, 2)
    if not np.isfinite(xy[visibility[..., 0] > 0]).all():
        raise ValueError(f"{path}: joints: expected finite coordinates of labeled joints")
    keypoints = np.concatenate([np.where(visibility > 0, xy, 0), visibility], axis=-1)
    return keypoints.astype(np.float32), extended


def _numbers(split: str, count: int, extended: bool, source: Path) -> range:
    if split not in ("train", "test"):
        raise ValueError(f"unknown split {split!r}; known: train, test")
    if extended:
        numbers = range(count) if split == "train" else range(0)
    else:
        first = min(TRAIN_IMAGES, count)
        numbers = range(first) if split == "train" else range(first, count)
    if not numbers:
        raise ValueError(f"{source}: {count} images, none of them for {split}")
    return numbers
