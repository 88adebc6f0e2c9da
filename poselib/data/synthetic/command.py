"""Options of the command that writes synthetic images and clips."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poselib.skeletons import get_skeleton
from poselib.wording import counted


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add("folder", metavar="FOLDER")
    add("--count", type=int, help="images (default 1000)")
    add("--clips", type=int, metavar="N", help="clips instead of images, in PoseTrack18's layout")
    add("--frames", type=int, metavar="T", help="of a clip (default 30)")
    add("--split", choices=("train", "val"), help="that clips are (default val)")
    add("--size", type=int, default=128, metavar="PX", help="side of an image (default 128)")
    explained = "default 1 4, in clips 1 1"
    add("--people", type=int, nargs=2, metavar=("MIN", "MAX"), help=explained)
    add("--crowd-index", type=float, metavar="C", help="of every image; default: as it comes")
    explained = "of images, a name or a TOML file (default coco); that of clips is posetrack18"
    add("--skeleton", metavar="NAME", help=explained)
    add("--seed", type=int, default=0, help="the same seed gives the same images (default 0)")
    add("--format", choices=("png", "jpg"), default="png", help="of the images")
    add("--processes", type=int, default=1, metavar="N", help="that render (default 1)")


def write(arguments: argparse.Namespace, progress: bool) -> str:
    """Write the images or clips that the options ask for; return a summary.

    Raises:
        ValueError: an option is out of its range or of the other kind of data, or the folder
            holds other files.
    """
    _check_kind(arguments)
    if arguments.clips is not None:
        return _write_clips(arguments, progress)
    from poselib.data.synthetic.dataset import SceneConfig, write_scenes

    recipe = SceneConfig(
        size=arguments.size,
        people=tuple(arguments.people or (1, 4)),
        crowd_index=arguments.crowd_index,
    )
    count = arguments.count or 1000
    folder = write_scenes(
        Path(arguments.folder),
        recipe,
        count,
        arguments.seed,
        get_skeleton(arguments.skeleton or "coco"),
        arguments.format,
        arguments.processes,
        progress=progress,
    )
    return f"{counted(count, 'image')} and annotations.json in {folder}"


def _check_kind(arguments: argparse.Namespace) -> None:
    """Raise ValueError for an option of clips without ``--clips``, or of images with it."""
    if arguments.clips is None:
        foreign, wanted = ("frames", "split"), "clips: give --clips as well"
    else:
        foreign, wanted = ("count", "skeleton"), "images, and --clips makes none"
    for name in foreign:
        if getattr(arguments, name) is not None:
            raise ValueError(f"--{name} is of {wanted}")


def _write_clips(arguments: argparse.Namespace, progress: bool) -> str:
    from poselib.data.synthetic.clip_dataset import ClipConfig, write_clips

    frames = 30 if arguments.frames is None else arguments.frames
    config = ClipConfig(
        size=arguments.size,
        people=tuple(arguments.people or (1, 1)),
        crowd_index=arguments.crowd_index,
        frames=frames,
    )
    folder = write_clips(
        Path(arguments.folder),
        config,
        arguments.clips,
        arguments.seed,
        arguments.format,
        arguments.processes,
        progress=progress,
        split=arguments.split or "val",
    )
    clips = counted(arguments.clips, "clip")
    return f"{clips} of {counted(frames, 'frame')} in {folder}"
