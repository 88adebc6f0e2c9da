"""The dataset that an explorer is given: its arguments checked, opened, and as code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poselib.data.catalog import DATASETS, SYNTHETIC
from poselib.data.clips import PersonClips, VideoClips
from poselib.data.image_folder import SUFFIXES
from poselib.data.loaders import SampleSource
from poselib.data.video_files import is_video_file
from poselib.experiments.any_dataset import open_any
from poselib.skeletons import Skeleton, get_skeleton, stored_form
from poselib.structures import Clip
from poselib.widgets.given import IMAGE, check_items, frames_of

USUAL: dict[str, Any] = {"split": "val", "folder": "", "images": "", "skeleton": "", "count": None}
_SPLITS = ("train", "val", "test")
_WANTED = (
    "dataset must be a name of poselib.open_dataset, an annotation file or a folder with one, a "
    "dataset or a list of samples"
)
_FOR = {  # what each argument is for
    "split": "of a dataset by name or of a folder",
    "folder": "of a real dataset by name",
    "images": "of an annotation file or a folder",
    "count": "of a dataset by name",
}


def open_given(
    dataset: Any, arguments: Mapping[str, Any]
) -> tuple[SampleSource, Skeleton, str, list[str]]:
    """Open what an explorer of datasets is given.

    Args:
        dataset: see ``widgets.dataset``.
        arguments: ``split``, ``folder``, ``images``, ``skeleton`` and ``count``.

    Returns:
        As ``any_dataset.open_any``, and the arguments as code.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: it is no dataset, or an argument has another type, no use or a wrong value.
    """
    named = isinstance(dataset, str | Path)
    _check_dataset(dataset)
    _check_types(arguments)
    _check_use(dataset, arguments)
    opened, own, name = open_any(dataset if named else frames_of(dataset), **arguments)
    wanted = arguments["skeleton"]
    if wanted and own != (found := _skeleton(wanted)):
        raise ValueError(
            f"skeleton is of what does not state one: the dataset has {own.name!r}, not "
            f"{found.name!r}"
        )
    code = [repr(str(dataset)) if named else "dataset"]
    return opened, own, name, [*code, *_as_code(arguments)]


def _check_dataset(dataset: Any) -> None:
    if isinstance(dataset, str | Path):
        if not str(dataset):
            raise ValueError(f"{_WANTED}, not an empty text")
        if is_video_file(dataset) or Path(dataset).suffix.lower() in SUFFIXES:
            raise ValueError(f"{_WANTED}; {dataset} is an image or a video: give a list of images")
        return
    if isinstance(dataset, IMAGE):
        kind = type(dataset).__name__
        raise ValueError(f"{_WANTED}; one {kind} alone is none: put it in a list")
    if isinstance(dataset, Clip | PersonClips | VideoClips):
        return
    check_items(dataset, (*IMAGE, Clip), _WANTED)
    if isinstance(dataset, list | tuple):
        names = [each for each in dataset if isinstance(each, str | Path)]
        if any(
            str(each) in (*SYNTHETIC, *DATASETS, *_SPLITS) or Path(each).is_dir() for each in names
        ):
            example = "dataset('crowd', split='train')"
            raise ValueError(f"{_WANTED}; it is given apart from its split and folder: {example}")


def _check_types(arguments: Mapping[str, Any]) -> None:
    kinds: dict[str, tuple[str, Any]] = {
        "split": (f"one of {', '.join(_SPLITS)}", str),
        "folder": ("a path", str | Path),
        "images": ("the path of a folder", str | Path),
        "skeleton": ("a Skeleton, or its name or file", Skeleton | str | Path),
        "count": ("a whole number from 1, or None for all", int | None),
    }
    for name, (wanted, kind) in kinds.items():
        value = arguments[name]
        fits = isinstance(value, kind) and not isinstance(value, bool)
        if not fits or (name == "count" and value is not None and value < 1):
            raise ValueError(f"{name} must be {wanted}, not {value!r}")


def _check_use(dataset: Any, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError if an argument is given that this dataset has no use for."""
    named = isinstance(dataset, str | Path)
    synthetic, real = named and str(dataset) in SYNTHETIC, named and str(dataset) in DATASETS
    uses = {
        "split": named,
        "folder": real,
        "images": named and not synthetic and not real,
        "count": named,  # a notebook gives it with any name; only scenes are rendered
    }
    for name, used in uses.items():
        if not used and arguments[name] != USUAL[name]:
            raise ValueError(f"{name} is {_FOR[name]}: this dataset has no use for it")


def _skeleton(given: Skeleton | str | Path) -> Skeleton:
    return given if isinstance(given, Skeleton) else get_skeleton(given)


def _as_code(arguments: Mapping[str, Any]) -> list[str]:
    code = []
    for name, value in arguments.items():
        if value == USUAL[name]:
            continue
        text = stored_form(value) if isinstance(value, Skeleton) else value
        text = str(text) if isinstance(text, Path) else text
        code.append(f"{name}={text!r}" if isinstance(text, str | int) else f"{name}={name}")
    return code
