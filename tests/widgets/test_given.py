"""What explorers are given: clips become frames, and what they do not take is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("anywidget")

from poselib.data.clips import PersonClips
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import COCO, POSETRACK18
from poselib.widgets.given import check_images, frames_of
from poselib.widgets.images import ImageSource

FRAMES = SyntheticClips(ClipConfig(size=64, frames=3), 2, 3, POSETRACK18).cached()
CLIPS = PersonClips(FRAMES, 3)
PIXELS = np.zeros((8, 8, 3), np.uint8)


def test_clips_are_shown_frame_by_frame() -> None:
    for given in (CLIPS, CLIPS.clips):
        assert frames_of(given) is FRAMES
    first = [sample.image_id for sample in CLIPS[0].frames]
    assert [sample.image_id for sample in frames_of(CLIPS[0])] == first
    alone = FRAMES[0]
    several = frames_of([CLIPS[0], alone, CLIPS[1]])
    assert len(several) == 7 and several[3] is alone
    source = ImageSource(CLIPS[1], COCO, 64)
    assert source.controls["index"].max == 2
    shown = source.sample({"source": "images given", "index": 2})
    assert shown.image_id == CLIPS[1].frames[2].image_id


def test_images_of_all_kinds_are_taken() -> None:
    image = Image.fromarray(PIXELS)
    for given in (
        PIXELS,
        torch.zeros(3, 8, 8),
        image,
        FRAMES[0],
        FRAMES,
        [PIXELS, image],
        (PIXELS,),
    ):
        check_images(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the one given is empty"),
        ((), "the one given is empty"),
        (5, "not int"),
        ({0: PIXELS}, "not dict"),
        (b"abc", "not bytes"),
        ([PIXELS, None], "item 1 is NoneType"),
        ("synthetic", "'synthetic' is a name for poselib.open_dataset"),
        (Path("a.mp4"), r"a\.mp4 is a video, which poselib\.widgets\.relations shows"),
    ],
)
def test_what_is_no_image_is_refused_with_what_is(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^image must be an image .*{message}"):
        ImageSource(given, COCO, 64)


def test_one_image_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"give several images as a list"):
        ImageSource(PIXELS[None], COCO, 64)
    with pytest.raises(FileNotFoundError, match="absent"):
        ImageSource("absent.png", COCO, 64)


def test_a_file_of_an_unknown_user_is_absent() -> None:
    source = ImageSource(None, COCO, 64)
    with pytest.raises(FileNotFoundError, match="nobody-here"):
        source.sample({"source": "file", "file": "~nobody-here/a.png"})
