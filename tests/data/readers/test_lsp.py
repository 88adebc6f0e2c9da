"""Leeds Sports Pose, read from files of the published shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.readers.lsp import TRAIN_IMAGES, LspImages
from poselib.skeletons import LSP
from tests.data.factories.images import images
from tests.data.factories.lsp import COUNT, extended, joints
from tests.data.factories.mat import NOTHING, save


@pytest.fixture(scope="session")
def lsp_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 2000 files, of which the first for training and the first for testing are images."""
    folder = tmp_path_factory.mktemp("lsp")
    for number in range(1, COUNT + 1):
        (folder / f"im{number:04d}.jpg").touch()
    return images(folder, ["im0001.jpg", "im1001.jpg"])


def opened(
    folder: Path, content: Any, split: Any = "train", where: Path | None = None
) -> LspImages:
    return LspImages(save(folder / "joints.mat", joints=content), where or folder, split)


def test_splits(lsp_images: Path, tmp_path: Path) -> None:
    train = opened(tmp_path, joints(), "train", lsp_images)
    test = opened(tmp_path, joints(), "test", lsp_images)
    assert len(train) == len(test) == TRAIN_IMAGES == 1000
    assert train.image_ids == tuple(range(1, 1001)) and test.image_ids == tuple(range(1001, 2001))
    assert [train.image_path(i).name for i in (0, 999)] == ["im0001.jpg", "im1000.jpg"]
    assert [test.image_path(i).name for i in (0, 999)] == ["im1001.jpg", "im2000.jpg"]
    # Joint 3 (the left hip) of image 1001 is at (1004, 13), counted from 1.
    assert test[0].keypoints[0, LSP.index("left_hip")].tolist() == [1003.5, 12.5, 2]


def test_visibility_of_lsp(lsp_images: Path, tmp_path: Path) -> None:
    sample = opened(tmp_path, joints(), "train", lsp_images)[0]
    assert sample.keypoints.shape == (1, 14, 3) and sample.keypoints.dtype == np.float32
    assert sample.keypoints[0, :, 2].tolist() == [1] + [2] * 13
    assert sample.keypoints[0, LSP.index("right_ankle")].tolist() == [0.5, 9.5, 1]
    assert sample.keypoints[0, LSP.index("head_top")].tolist() == [13.5, 22.5, 2]
    assert sample.areas == pytest.approx([0.53 * 13 * 13])
    assert not sample.ignore_mask.any() and sample.image_id == 1


def test_visibility_of_the_extended_set(tmp_path: Path) -> None:
    names = [f"im{n:05d}.jpg" for n in range(1, 31)]
    dataset = opened(tmp_path, extended(), "train", images(tmp_path / "images", names))
    assert len(dataset) == 30 and dataset.image_path(29).name == "im00030.jpg"
    keypoints = dataset[29].keypoints[0]
    assert keypoints[:, 2].tolist() == [2, 0] + [2] * 12
    assert keypoints[1].tolist() == [0, 0, 0]
    assert keypoints[2].tolist() == [31.5, 11.5, 2]
    assert dataset[29].areas == pytest.approx([0.53 * 13 * 13])


def test_people_without_keypoints_are_left_out(tmp_path: Path) -> None:
    content = extended(3)
    content[:, 2, 1] = 0
    names = [f"im{n:05d}.jpg" for n in (1, 2, 3)]
    dataset = opened(tmp_path, content, "train", images(tmp_path / "images", names))
    assert dataset.image_ids == (1, 3)


def test_annotations_count_pixels_from_zero(tmp_path: Path) -> None:
    names = [f"im{n:05d}.jpg" for n in range(1, 31)]
    dataset = opened(tmp_path, extended(), "train", images(tmp_path / "i", names))
    # (n + k, 10 + k) counted from 1 is one less counted from 0.
    assert dataset.annotations().keypoints[4, 2].tolist() == [6, 11, 2]
    assert dataset.sizes()[0] == (40, 60)


def bad(change: Any) -> np.ndarray:
    content = joints(4)
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [
        (np.zeros((3, 13, 5)), "train", r"joints: expected numbers, 3 x 14 x N \(LSP\) or 14 x 3"),
        (np.zeros((3, 14)), "train", "found .* 3 x 14$"),
        (NOTHING, "train", "found uint8 0 x 0"),
        ("joints", "train", "expected numbers, 3 x 14 x N"),
        (bad(lambda c: c.__setitem__((2, 0, 0), 2)), "train", "visibility must be 0 or 1, found"),
        (bad(lambda c: c.__setitem__((0, 3, 2), np.nan)), "train", "expected finite coordinates"),
        (joints(4), "test", "joints.mat: 4 images, none of them for test"),
        (extended(4), "test", "4 images, none of them for test"),
        (joints(4), "val", "unknown split 'val'; known: train, test"),
    ],
)
def test_bad_files(content: Any, split: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, content, split)


def test_missing_images(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"lacks 4 of 4 images: im0001\.jpg"):
        opened(tmp_path, joints(4))
    path = save(tmp_path / "joints.mat", joints=joints(4))
    with pytest.raises(FileNotFoundError, match=r"image folder .*nowhere does not exist"):
        LspImages(path, tmp_path / "nowhere", "train")
