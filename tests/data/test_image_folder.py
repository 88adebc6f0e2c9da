"""Image files of one's own as a dataset without people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from poselib.data.image_folder import ImageFiles, image_paths
from poselib.skeletons import COCO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.JPG", "sub/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (10, 20, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(paths: list[Path], folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def test_image_paths_of_files_folders_and_patterns(folder: Path) -> None:
    assert names(image_paths([folder]), folder) == ["a.JPG", "b.png"]
    (folder / "._b.png").write_bytes(b"of a Mac")
    assert names(image_paths([folder / "b.png", folder]), folder) == ["b.png", "a.JPG"]
    assert names(image_paths([str(folder / "*.png")]), folder) == ["b.png"]
    assert names(image_paths([str(folder / "**" / "*.png")]), folder) == ["b.png", "sub/c.png"]
    assert names(image_paths([folder / "notes.txt"]), folder) == ["notes.txt"]
    assert image_paths([]) == []


def test_photographs_of_a_browser_are_images(folder: Path) -> None:
    Image.new("RGB", (6, 4), "red").save(folder / "none.jfif", "JPEG")
    assert names(image_paths([folder]), folder) == ["a.JPG", "b.png", "none.jfif"]
    files = ImageFiles([folder / "none.jfif"])
    assert files[0].size == (4, 6) and files[0].image[0].min() > 240


def test_image_paths_of_a_file_named_like_a_pattern(folder: Path) -> None:
    odd = folder / "odd[1].png"
    odd.write_bytes((folder / "b.png").read_bytes())
    assert image_paths([odd]) == [odd]


@pytest.mark.parametrize("place", ["absent.png", "absent/*.png", "*.gif", "none"])
def test_image_paths_without_images(folder: Path, place: str) -> None:
    (folder / "none").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        image_paths([folder / "b.png", folder / place])
    assert str(folder / place) in str(error.value)


def test_samples_are_images_without_people(folder: Path) -> None:
    files = ImageFiles([folder / "a.JPG", folder / "b.png"])
    assert len(files) == 2 and files.sizes == ((10, 20), (10, 20)) and files.image_ids == (1, 2)
    sample = files[1]
    assert sample.image_id == 2 and sample.size == (10, 20) and len(sample.keypoints) == 0
    stored = cv2.imread(str(folder / "b.png"))[..., ::-1]
    np.testing.assert_array_equal(sample.image.transpose(1, 2, 0), stored)


def test_image_ids_from_numeric_file_names(folder: Path) -> None:
    content = (folder / "b.png").read_bytes()
    paths = [folder / n for n in ("000000000785.png", "000000040083.png", "785.png", "x.png")]
    for path in paths:
        path.write_bytes(content)
    assert ImageFiles(paths[:2]).image_ids == (785, 40083)
    assert ImageFiles(paths[:3]).image_ids == (1, 2, 3)
    assert ImageFiles(paths[1:]).image_ids == (1, 2, 3)


def test_document_is_in_coco_format(folder: Path) -> None:
    document = ImageFiles([folder / "b.png"]).document(COCO)
    assert document["images"] == [
        {"id": 1, "file_name": str(folder / "b.png"), "height": 10, "width": 20}
    ]
    assert document["categories"][0]["keypoints"] == list(COCO.keypoints)
    assert document["annotations"] == []


def test_bad_files_are_refused_at_once(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"notes\.txt"):
        ImageFiles([folder / "b.png", folder / "notes.txt"])
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        ImageFiles([folder / "absent.png"])
    with pytest.raises(ValueError, match="no image"):
        ImageFiles([])


def test_several_names_of_one_content_are_all_returned(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "b.png")
    (folder / "more").symlink_to(folder / "sub")
    found = image_paths([folder, folder / "b.png", folder / "sub", folder / "more"])
    assert names(found, folder) == ["a.JPG", "b.png", "link.png", "sub/c.png", "more/c.png"]


def test_document_says_how_files_are_turned(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(folder / "turned.jpg", exif=exif)
    images = ImageFiles([folder / "turned.jpg", folder / "b.png"]).document(COCO)["images"]
    assert (images[0]["height"], images[0]["width"], images[0]["exif_orientation"]) == (20, 10, 6)
    assert "exif_orientation" not in images[1]
