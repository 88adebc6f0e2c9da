"""The images and videos that files, folders and patterns refer to."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from poselib.data.image_folder import image_paths
from poselib.data.readers.videos import FPS
from poselib.data.video_files import Video, is_video_file, open_video


def open_inputs(
    names: Sequence[str | Path], folders: bool = False, fps: float | None = None
) -> tuple[list[Path], dict[Path, Video]]:
    """Return the images and the opened videos that files, folders and patterns refer to.

    Args:
        names: as in ``image_folder.image_paths``; video files are known by their endings.
        folders: take all of them for videos: each folder is one, and its images are the frames;
            patterns refer to folders and video files.
        fps: frames a second of folders, 25 if None.

    Returns:
        The image files, and the videos by their paths.

    Raises:
        FileNotFoundError, ValueError: as ``image_paths`` and ``open_video`` do; or there are
            ``fps`` but no ``folders``.
    """
    if fps is not None and not folders:
        raise ValueError("fps is of folders that are videos (--video); files have their own")
    paths = _video_paths(names) if folders else image_paths(names)
    sources = [path for path in paths if folders or is_video_file(path)]
    videos = {path: open_video(path, FPS if fps is None else fps) for path in sources}
    return [path for path in paths if path not in videos], videos


def _is_video(name: str) -> bool:
    return os.path.isdir(name) or is_video_file(Path(name))


def _video_paths(names: Sequence[str | Path]) -> list[Path]:
    """Return the folders and files that names and patterns refer to, each once."""
    paths: dict[Path, Path] = {}
    for name in map(str, names):
        pattern = glob.has_magic(name) and not os.path.lexists(name)
        found = [*filter(_is_video, sorted(glob.glob(name, recursive=True)))] if pattern else [name]
        if not found:
            raise FileNotFoundError(f"no folder or video file matches {name}")
        for path in map(Path, found):
            paths.setdefault(Path(os.path.abspath(path)), path)
    return list(paths.values())
