"""What readers of videos share: frames as files, their times, and points outside of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.data.annotation_table import AnnotatedImage
from poselib.ops.io import visible_files
from poselib.structures import Size

logger = logging.getLogger(__name__)

# Frames a second of videos whose format does not state it, so that times can be told at all.
FPS = 25.0


def numbered_frames(folder: Path, suffixes: Sequence[str], first: int | None = 1) -> list[Path]:
    """Return the frames of a video in a folder, which are numbered without a gap.

    Args:
        folder: of the frames.
        suffixes: that they have.
        first: number of the first frame; None if it may be any, and names may begin with a word
            that all share, as in ``frame_0001.png``.

    Raises:
        FileNotFoundError: the folder holds no frame.
        ValueError: a name is no number, or a number is missing.
    """
    files = [path for path in visible_files(folder, "*") if path.suffix.lower() in suffixes]
    if not files:
        raise FileNotFoundError(f"video folder {folder} does not exist or holds no frame")
    word = "" if first is not None else files[0].stem.rstrip("0123456789")
    numbers = {}
    for path in files:
        digits = path.stem.removeprefix(word)
        if not digits.isdecimal() or not path.stem.startswith(word):
            raise ValueError(f"{path}: expected a frame that is named by its number, as 000001")
        numbers[path] = int(digits)
    files.sort(key=numbers.__getitem__)
    for expected, path in enumerate(files, numbers[files[0]] if first is None else first):
        if numbers[path] < expected:
            raise ValueError(
                f"{folder}: frame {numbers[path]} is there twice: {path.name} is one of them"
            )
        if numbers[path] > expected:
            raise ValueError(f"{folder}: frame {expected} is missing: {path.name} follows")
    return files


def frame_time(name: str, place: int, fps: float = FPS) -> float:
    """Return the seconds of a frame, from the number that names it, or else its place."""
    stem = Path(name).stem
    return (int(stem) if stem.isdecimal() else place) / fps


def check_length(found: int, frames: int, where: str) -> None:
    """Raise ValueError if annotations are not of as many frames as the video has."""
    if found != frames:
        raise ValueError(f"{where}: expected {frames} frames, as the video has, found {found}")


def check_one_size(sizes: Mapping[Size, str], where: str) -> None:
    """Raise ValueError if frames of a video, given by one name for each size, differ in size."""
    if len(sizes) > 1:
        found = " and ".join(f"{s[1]}x{s[0]} px ({name})" for s, name in list(sizes.items())[:2])
        raise ValueError(f"{where}: expected one size for all frames of a video, found {found}")


def unlabel_outside(
    keypoints: NDArray[np.floating], size: Size
) -> tuple[NDArray[np.floating], int]:
    """Return keypoints (N, K, 3), px, without labels outside of the image, and their number."""
    labeled = keypoints[..., 2] > 0
    xy, limits = keypoints[..., :2], size[::-1]
    outside = labeled & ~np.all((xy >= 0) & (xy < limits), axis=-1)
    return np.where((labeled & ~outside)[..., None], keypoints, 0), int(outside.sum())


def tell_outside(source: Path, images: Sequence[AnnotatedImage], outside: int) -> None:
    """Log how many keypoints of the videos of a dataset lie outside of their images."""
    if outside:
        labeled = outside + sum(int((image.keypoints[..., 2] > 0).sum()) for image in images)
        logger.warning(
            "%s: %d of %d keypoints lie outside of their images and are not labeled",
            source,
            outside,
            labeled,
        )
