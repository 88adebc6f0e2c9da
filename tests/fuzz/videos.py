"""Video files of several formats, whole or damaged, and folders of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poselib.data.video_files import open_video
from tests.data.factories.videos import opencv_video, turn_header
from tests.fuzz.corpus import Rng, try_all
from tests.fuzz.raw_bytes import damage

KINDS = {".mp4": "mp4v", ".webm": "VP90", ".avi": "MJPG", ".mov": "mp4v"}


def prepare_videos(folder: Path) -> None:
    (folder / "whole").mkdir()
    for suffix, code in KINDS.items():
        opencv_video(folder / "whole" / f"a{suffix}", 6, code=code)
    turn_header(folder / "whole" / "a.mov")


def write_video(rng: Rng, folder: Path) -> None:
    """Write a video: one in ten is whole, and some are named as another format."""
    for path in folder.glob("a.*"):
        path.unlink()
    names = list(KINDS)
    data = (folder / "whole" / f"a{names[rng.integers(len(names))]}").read_bytes()
    name = f"a{names[rng.integers(len(names))]}"
    (folder / name).write_bytes(data if rng.random() < 0.1 else damage(rng, data))


def read_video(folder: Path) -> None:
    (path,) = folder.glob("a.*")

    def read(_: Path) -> None:
        video = open_video(path)
        last = -1.0
        for frame in video:
            assert frame.image.shape == (*video.size, 3) and frame.image.dtype == np.uint8
            assert np.isfinite(frame.time) and frame.time > last
            last = frame.time
        assert video.frames > 0 and 0 < video.rate < np.inf

    try_all(folder, read)
