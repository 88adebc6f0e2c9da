"""FLIC, read from files of the published structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.readers.flic import FlicImages
from poselib.skeletons import FLIC
from tests.data.factories.flic import ANNOTATED, content, coordinates, example
from tests.data.factories.images import images
from tests.data.factories.mat import NOTHING, save, struct

NAMES = (
    *("left_shoulder", "left_elbow", "left_wrist"),
    *("right_shoulder", "right_elbow", "right_wrist"),
    *("left_hip", "right_hip", "left_eye", "right_eye", "nose"),
)


def opened(
    folder: Path, rows: list[dict[str, Any]], split: Any = "train", **options: Any
) -> FlicImages:
    where = images(folder / "images", ["a.jpg", "b.jpg", "c.jpg"])
    return FlicImages(
        save(folder / "examples.mat", examples=struct(*rows)), where, split, **options
    )


def test_examples_of_a_frame_become_one_image(tmp_path: Path) -> None:
    train, test = (opened(tmp_path, content(), split) for split in ("train", "test"))
    assert [train.image_path(i).name for i in range(len(train))] == ["a.jpg", "c.jpg"]
    assert [test.image_path(i).name for i in range(len(test))] == ["b.jpg", "c.jpg"]
    assert [len(sample.keypoints) for sample in train] == [2, 1]
    assert train.torso_boxes(0).tolist() == [[10.5, 5.5, 30.5, 25.5], [0.5, 1.5, 2.5, 3.5]]
    assert test.torso_boxes(1).tolist() == [[40.5, 10.5, 50.5, 30.5]]


def test_joints_are_found_by_name(tmp_path: Path) -> None:
    keypoints = opened(tmp_path, content())[0].keypoints
    assert keypoints.shape == (2, 11, 3) and (keypoints[..., 2] == 2).all()
    for column, name in zip(ANNOTATED, NAMES, strict=True):
        expected = [10 + column - 0.5, 5 + column / 2 - 0.5, 2]
        assert keypoints[0, FLIC.index(name)].tolist() == expected
    assert (keypoints[1, :, 0] - keypoints[0, :, 0] == 20).all()


def test_people_of_the_other_split_are_ignored(tmp_path: Path) -> None:
    train = opened(tmp_path, content())
    expected = np.zeros((40, 60), bool)
    # The torso (40.5, 10.5) to (50.5, 30.5): the pixels with their centers in it.
    expected[10:30, 40:50] = True
    assert (train[1].ignore_mask == expected).all() and not train[0].ignore_mask.any()


def test_joints_without_coordinates_and_outside_the_frame(tmp_path: Path) -> None:
    coords = coordinates(-20)
    coords[:, 6] = np.nan
    keypoints = opened(tmp_path, [example("a.jpg", 1, coords=coords)])[0].keypoints
    assert keypoints[0, FLIC.index("left_hip")].tolist() == [0, 0, 0]
    assert keypoints[0, FLIC.index("left_shoulder")].tolist() == [-19.5, 5, 2]


def test_unchecked_examples_of_the_full_set(tmp_path: Path) -> None:
    rows = [
        example("a.jpg", 1, isbad=0, isunchecked=0),
        example("a.jpg", 1, isbad=1, isunchecked=0),
        example("b.jpg", 1, isbad=0, isunchecked=1),
    ]
    checked, unchecked = opened(tmp_path, rows), opened(tmp_path, rows, unchecked=True)
    assert [len(sample.keypoints) for sample in checked] == [1]
    assert checked[0].ignore_mask[5:25, 10:30].all() and checked[0].ignore_mask.sum() == 400
    assert [len(sample.keypoints) for sample in unchecked] == [2, 1]
    assert not unchecked[0].ignore_mask.any()


def test_image_sizes(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [example("a.jpg", 1, imgdims=np.array([[41, 60, 3]], np.uint16))])
    assert dataset.sizes() == ((41, 60),)
    with pytest.raises(ValueError, match=r"a\.jpg: 40x60 px, but .*examples\.mat states 41x60"):
        dataset[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"coords": np.zeros((29, 2))},
            r"examples\(1\): coords: expected numbers \(2, 29\), found",
        ),
        ({"coords": NOTHING}, "coords: .* found nothing"),
        ({"torsobox": np.zeros((1, 3))}, r"torsobox: expected numbers \(1, 4\)"),
        ({"torsobox": np.full((1, 4), np.nan)}, "torsobox: expected finite numbers"),
        ({"imgdims": "large"}, r"imgdims: expected numbers \(1, 3\), found <U5"),
        ({"filepath": 3}, "filepath: expected text, found"),
        ({"istrain": 2}, "istrain: expected 0 or 1, found 2"),
        ({"istrain": NOTHING}, "istrain: expected 0 or 1, found nothing"),
        ({"isbad": "yes"}, "isbad: expected a number, found"),
        ({"istrain": 0}, "examples: none of them for train"),
        ({"coords": np.full((2, 29), np.nan)}, "examples: none of them for train"),
    ],
)
def test_bad_examples(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, [example("a.jpg", 1, **fields)])


def test_other_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown split 'val'"):
        opened(tmp_path, content(), "val")
    path = save(tmp_path / "no.mat", examples=np.eye(3))
    with pytest.raises(ValueError, match=r"no\.mat: examples: expected a structure array"):
        FlicImages(path, tmp_path, "train")
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 2 images: c\.jpg"):
        FlicImages(
            save(tmp_path / "examples.mat", examples=struct(*content())),
            images(tmp_path / "some", ["a.jpg"]),
            "train",
        )
