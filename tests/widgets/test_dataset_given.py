"""Datasets that are given to their explorer: refused in a sentence, opened, and as code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

import poselib
from poselib.data.clips import PersonClips
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import CROWDPOSE, POSETRACK18
from poselib.widgets.dataset_given import USUAL, open_given

FRAMES = SyntheticClips(ClipConfig(size=64, frames=3), 1, 3, POSETRACK18).cached()
CLIP = PersonClips(FRAMES, 3)[0]
PIXELS = np.zeros((8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("synthetic", "train"),
            r"given apart from its split and folder: dataset\('crowd', split=",
        ),
        ([str(Path(__file__).parent), "val"], "given apart from its split and folder"),
        (None, "not NoneType"),
        (5, "not int"),
        ("", "not an empty text"),
        ({}, "not dict"),
        (b"abc", "not bytes"),
        ([], "the one given is empty"),
        (PIXELS, "one ndarray alone is none: put it in a list"),
        (FRAMES[0], "one Sample alone is none: put it in a list"),
        ("photo.jpg", r"photo\.jpg is an image or a video"),
        (Path("clip.mp4"), r"clip\.mp4 is an image or a video"),
        ([PIXELS, 3], "item 1 is int"),
    ],
)
def test_what_is_no_dataset_is_refused_with_what_is(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^dataset must be a name .*{message}") as found:
        poselib.widgets.dataset(given)
    assert len(str(found.value)) < 300  # no pixels


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": ("val", "/data")}, r"split must be one of train, val, test, not \('val'"),
        ({"folder": None}, "folder must be a path, not None"),
        ({"images": 5}, "images must be the path of a folder, not 5"),
        ({"skeleton": 17}, "skeleton must be a Skeleton, or its name or file, not 17"),
        ({"count": "4"}, "count must be a whole number from 1, or None for all, not '4'"),
        ({"count": 2.5}, "count must be a whole number"),
        ({"count": 0}, "count must be a whole number from 1"),
        (
            {"folder": "/data"},
            "folder is of a real dataset by name: this dataset has no use for it",
        ),
        ({"images": "/data"}, "images is of an annotation file or a folder: this dataset has no"),
    ],
)
def test_arguments_of_other_types_or_datasets_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        poselib.widgets.dataset("synthetic", **arguments)


def test_what_is_open_has_no_use_for_what_opens_it() -> None:
    for arguments, message in (
        ({"split": "train"}, "split is of a dataset by name or of a folder"),
        ({"count": 1}, "count is of a dataset by name"),
        ({"skeleton": "coco"}, "the dataset has 'posetrack18', not 'coco'"),
    ):
        with pytest.raises(ValueError, match=message):
            open_given(FRAMES, {**USUAL, **arguments})


def test_clips_are_shown_as_frames_and_arguments_are_code() -> None:
    opened, own, name, code = open_given(CLIP, {**USUAL, "skeleton": POSETRACK18})
    assert [each.image_id for each in opened] == [each.image_id for each in CLIP.frames]
    assert own is POSETRACK18 and not name
    assert code == ["dataset", "skeleton='posetrack18'"]
    arguments = {**USUAL, "split": "train", "count": 2, "skeleton": CROWDPOSE}
    opened, own, name, code = open_given("synthetic", arguments)
    assert (len(opened), own, name) == (2, CROWDPOSE, "synthetic")
    assert code == ["'synthetic'", "split='train'", "skeleton='crowdpose'", "count=2"]
