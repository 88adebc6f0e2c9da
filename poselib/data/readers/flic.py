"""Reader of Frames Labeled In Cinema: FLIC and FLIC-full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from poselib.data.boxes import box_areas, keypoint_boxes
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.mat_io import PIXEL_CENTER, field, flag, read_mat, structures, text
from poselib.skeletons import FLIC
from poselib.structures import Size

# Columns of ``coords``; the other 18 joints of the file are never annotated.
_COLUMN = {
    **{"left_shoulder": 0, "left_elbow": 1, "left_wrist": 2},
    **{"right_shoulder": 3, "right_elbow": 4, "right_wrist": 5},
    **{"left_hip": 6, "right_hip": 9, "left_eye": 12, "right_eye": 13, "nose": 16},
}
_COLUMNS = [_COLUMN[name] for name in FLIC.keypoints]
_COORDINATES = 29


@dataclass(frozen=True)
class _Example:
    file_name: str
    keypoints: NDArray[np.float64]
    torso: NDArray[np.float64]
    size: Size
    chosen: bool


class FlicImages(KeypointImages):
    """FLIC: ``examples.mat``, with one structure per person, and a folder of film frames.

    Examples of the same frame become people of one image. The torsos of people of the other split,
    and of those marked as bad or unchecked in FLIC-full, become regions to ignore. Every joint with
    coordinates counts as visible, since FLIC does not state the visibility. Joints may lie outside
    the frame.

    Args:
        annotations: ``examples.mat`` of FLIC or FLIC-full.
        images: the folder of frames.
        split: ``"train"`` or ``"test"``.
        unchecked: include the bad and unchecked examples of FLIC-full.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not FLIC's, a field is missing or bad, or the split is empty.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        split: Literal["train", "test"],
        *,
        unchecked: bool = False,
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; known: train, test")
        source = Path(annotations)
        frames: dict[str, list[_Example]] = {}
        for example in _read_examples(source, f"is{split}", unchecked):
            frames.setdefault(example.file_name, []).append(example)
        chosen = [frame for frame in frames.values() if any(e.chosen for e in frame)]
        if not chosen:
            raise ValueError(f"{source}: examples: none of them for {split}")
        images_of = [_image(frame) for frame in chosen]
        self._torsos = [np.stack([e.torso for e in frame if e.chosen]) for frame in chosen]
        super().__init__(gather(source, images_of, len(FLIC)), Path(images), FLIC)

    def torso_boxes(self, index: int) -> NDArray[np.float64]:
        """Return torsos from FLIC's detector: (n, 4) left, top, right, bottom, px."""
        return self._torsos[index].copy()


def _read_examples(path: Path, split: str, unchecked: bool) -> list[_Example]:
    entries = structures(read_mat(path, "examples"))
    if not entries:
        raise ValueError(f"{path}: examples: expected a structure array, found none")
    return [
        _example(entry, f"{path}: examples({n})", split, unchecked)
        for n, entry in enumerate(entries, start=1)
    ]


def _example(entry: np.void, where: str, split: str, unchecked: bool) -> _Example:
    xy = _numbers(entry, "coords", (2, _COORDINATES), where)[:, _COLUMNS].T + PIXEL_CENTER
    labeled = np.isfinite(xy).all(axis=1, keepdims=True)
    torso = _numbers(entry, "torsobox", (1, 4), where)[0] + PIXEL_CENTER
    if not np.isfinite(torso).all():
        raise ValueError(f"{where}: torsobox: expected finite numbers, found {torso}")
    height, width, _ = _numbers(entry, "imgdims", (1, 3), where)[0].tolist()
    if not (height.is_integer() and width.is_integer()):
        raise ValueError(f"{where}: imgdims: expected whole numbers, found {height}, {width}")
    # FLIC lacks the flags of FLIC-full.
    doubtful = any(flag(entry, name, where) == 1 for name in ("isbad", "isunchecked"))
    if field(entry, split) is None:
        raise ValueError(f"{where}: {split}: expected 0 or 1, found nothing")
    return _Example(
        file_name=text(entry, "filepath", where),
        keypoints=np.concatenate([np.where(labeled, xy, 0), 2 * labeled], axis=1),
        torso=torso,
        size=(int(height), int(width)),
        chosen=flag(entry, split, where) == 1
        and bool(labeled.any())
        and (unchecked or not doubtful),
    )


def _image(frame: Sequence[_Example]) -> AnnotatedImage:
    chosen = [example for example in frame if example.chosen]
    keypoints = np.stack([example.keypoints for example in chosen])
    boxes = keypoint_boxes(keypoints)
    others = [example.torso for example in frame if not example.chosen]
    return AnnotatedImage(
        file_name=frame[0].file_name,
        keypoints=keypoints,
        boxes=boxes,
        areas=box_areas(boxes),
        ignored=np.reshape(others, (-1, 4)),
        size=frame[0].size,
    )


def _numbers(entry: np.void, name: str, shape: tuple[int, int], where: str) -> NDArray[np.float64]:
    value = field(entry, name)
    if value is None or value.dtype.kind not in "iuf" or value.shape != shape:
        found = "nothing" if value is None else f"{value.dtype} {value.shape}"
        raise ValueError(f"{where}: {name}: expected numbers {shape}, found {found}")
    return value.astype(np.float64)
