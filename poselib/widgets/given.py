"""What explorers are given to show: checked before anything is opened, with clips as frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from poselib.data.catalog import DATASETS, SYNTHETIC
from poselib.data.clips import PersonClips, VideoClips
from poselib.data.video_files import is_video_file
from poselib.structures import Clip, Sample

IMAGE = (str, Path, Image.Image, np.ndarray, Tensor, Sample)
_WANTED = "image must be an image (a file, an array, a PIL image or a Sample), a list or a dataset"


def frames_of(given: Any) -> Any:
    """Return the frames in place of a clip, a list or a dataset of clips; others as they are."""
    if isinstance(given, PersonClips):
        given = given.clips
    if isinstance(given, VideoClips):
        return given.dataset
    if isinstance(given, Clip):
        return list(given.frames)
    if isinstance(given, list | tuple) and any(isinstance(each, Clip) for each in given):
        parts = (each.frames if isinstance(each, Clip) else (each,) for each in given)
        return [frame for part in parts for frame in part]
    return given


def is_sequence(given: Any) -> bool:
    """Whether something gives its items by position, as lists and datasets do."""
    by_key = isinstance(given, dict | str | bytes | bytearray)
    return not by_key and hasattr(given, "__len__") and hasattr(given, "__getitem__")


def check_items(given: Any, kinds: tuple[type, ...], wanted: str) -> None:
    """Check a list, without reading its files, or a dataset.

    Args:
        given: what an explorer was given.
        kinds: of the items of a list.
        wanted: a sentence on what the explorer takes.

    Raises:
        ValueError: it is neither, it is empty, or an item of a list is of another kind.
    """
    if not is_sequence(given):
        raise ValueError(f"{wanted}, not {type(given).__name__}")
    if not len(given):
        raise ValueError(f"{wanted}; the one given is empty")
    for number, item in enumerate(given if isinstance(given, list | tuple) else ()):
        if not isinstance(item, kinds):
            raise ValueError(f"{wanted}; item {number} is {type(item).__name__}")


def check_images(given: Any) -> None:
    """Raise ValueError unless something is an image, a list of images or a dataset."""
    if is_video_file(given):
        raise ValueError(f"{_WANTED}; {given} is a video, which poselib.widgets.relations shows")
    if isinstance(given, str) and given in (*SYNTHETIC, *DATASETS) and not Path(given).exists():
        raise ValueError(f"{_WANTED}; {given!r} is a name for poselib.open_dataset")
    if not isinstance(given, IMAGE):
        check_items(given, IMAGE, _WANTED)
