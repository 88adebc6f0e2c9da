"""Frames of clips, images, datasets and folders, cut to a part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from poselib.data.clips import VideoClips
from poselib.data.footage import footage
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import POSETRACK18

FRAMES = SyntheticClips(ClipConfig(size=64, frames=4), 2, 3, POSETRACK18).cached()
CLIP = VideoClips(FRAMES)[0]
PIXELS = [frame.image.transpose(1, 2, 0) for frame in CLIP.frames]


@pytest.mark.parametrize(
    ("given", "frames"),
    [
        (CLIP, [4]),
        ([CLIP, CLIP], [4, 4]),
        (FRAMES, [4, 4]),
        (PIXELS, [4]),
        (PIXELS[0], [1]),
        (list(CLIP.frames), [4]),
    ],
)
def test_parts_are_read(given: Any, frames: list[int]) -> None:
    found = footage(given)
    assert [each.frames for each in found] == frames
    last = min(3, frames[0])
    clip = found[0].read(last - 1, last)
    assert len(clip) == 1 and (clip.frames[0].image == CLIP.frames[last - 1].image).all()
    assert clip.times[0] == pytest.approx((last - 1) / 25)


def test_folders_and_files_are_read(tmp_path: Path) -> None:
    for number, pixels in enumerate(PIXELS):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), pixels[..., ::-1])
    (folder,), (image,) = footage(str(tmp_path)), footage(tmp_path / "002.png")
    assert (folder.read(2, 9).frames[0].image == CLIP.frames[2].image).all()
    assert len(folder.read(2, 9)) == 2 and len(image.read(0, 1)) == 1


def test_images_of_a_dataset_without_videos_are_apart() -> None:
    class Images:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return replace(FRAMES[index], tracks=None)

    second = footage(Images())[1]
    assert second.frames == 1
    assert (second.read(0, 1).frames[0].image == FRAMES[1].image).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [([], "no frame"), (3, "frames, clips or a dataset")],
)
def test_what_has_no_frames_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        footage(given)
