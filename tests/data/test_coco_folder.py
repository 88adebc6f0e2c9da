"""Annotation files and image folders, found in the layouts that programs write."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from poselib.data.coco_folder import ALL, find_coco
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.skeletons import COCO


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    return write_scenes(folder, SceneConfig(size=64, people=(1, 1)), 2, 1, COCO)


def _lay_out(folder: Path, scenes: Path, files: dict[str, str]) -> None:
    """Write copies of an annotation file, and of its images beside a given folder."""
    for name, images in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((scenes / "annotations.json").read_bytes())
        (folder / images).mkdir(parents=True, exist_ok=True)
        for path in (scenes / "images").iterdir():
            cv2.imwrite(str(folder / images / path.name), cv2.imread(str(path)))


@pytest.mark.parametrize(
    "files",
    [
        {"annotations/train.json": "images", "annotations/val.json": "images"},
        {"annotations/person_keypoints_train2017.json": "train2017",
         "annotations/person_keypoints_val2017.json": "val2017"},
        {"train/_annotations.coco.json": "train", "valid/_annotations.coco.json": "valid"},
        {"train.json": "images/train", "validation.json": "images/val"},
        {"hands_train.json": "some/folder", "hands_val.json": "some/folder"},
    ],
)  # fmt: skip
def test_files_and_images_are_found_by_what_they_hold(
    folder: Path, tmp_path: Path, files: dict[str, str]
) -> None:
    _lay_out(tmp_path, folder, files)
    (tmp_path / "captions_train.json").write_text('{"images": [{}], "annotations": [{"id": 1}]}')
    (tmp_path / "notes.json").write_text("no JSON")
    parts = find_coco(tmp_path)
    assert set(parts) == {"train", "val"}
    for part, (name, images) in zip(parts.values(), sorted(files.items()), strict=True):
        assert part.annotations == tmp_path / name and part.images == tmp_path / images
    single = find_coco(tmp_path / next(iter(files)))
    assert set(single) == {ALL} and single[ALL].images.is_dir()


def test_images_of_predictions_are_not_the_drawings_beside_them(
    folder: Path, tmp_path: Path
) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    content["info"] = {"images": str(folder / "images")}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    for path in (folder / "images").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert find_coco(tmp_path)[ALL].images == folder / "images"
    content["info"] = {"images": str(folder / "gone")}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert find_coco(tmp_path)[ALL].images == tmp_path


def test_what_is_no_dataset_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent does not exist: a COCO-format folder"):
        find_coco(tmp_path / "absent")
    with pytest.raises(ValueError, match="none of its 0 JSON files is a COCO-format"):
        find_coco(tmp_path)
    (tmp_path / "people.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"none of its 1 JSON files .* keypoints; .*people\.json"):
        find_coco(tmp_path)
    (tmp_path / "people.json").unlink()
    _lay_out(tmp_path, folder, {"a_train.json": "images"})
    (tmp_path / "val.json").write_text('{"images": [')  # not held out from the other instead
    with pytest.raises(ValueError, match=r"val\.json: not JSON"):
        find_coco(tmp_path)
    (tmp_path / "val.json").unlink()
    _lay_out(tmp_path, folder, {"a_train.json": "images", "b_train.json": "images"})
    with pytest.raises(ValueError, match=r"2 annotation files of part 'train' \(a_train.json"):
        find_coco(tmp_path)
    (tmp_path / "c").mkdir()
    lonely = tmp_path / "c" / "all.json"
    lonely.write_bytes((folder / "annotations.json").read_bytes().replace(b"0000", b"9999"))
    with pytest.raises(FileNotFoundError, match=r"has its images, such as 9999"):
        find_coco(lonely)
    with pytest.raises(FileNotFoundError, match=r"image folder .* does not exist"):
        find_coco(lonely, tmp_path / "elsewhere")
    assert find_coco(lonely, tmp_path / "images")[ALL].images == tmp_path / "images"
    lonely.write_text('{"images": [1], "annotations": [], "categories": []}')
    with pytest.raises(ValueError, match="images: expected a list of objects"):
        find_coco(lonely)
    lonely.write_text("[]")
    with pytest.raises(ValueError, match="not COCO's format"):
        find_coco(lonely)
