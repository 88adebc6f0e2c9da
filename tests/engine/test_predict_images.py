"""What prediction writes of images: a table for statistics and a document for annotation tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools import coco as pycocotools

from poselib.data.image_folder import ImageFiles, image_paths
from poselib.data.image_io import encode_image
from poselib.data.readers.coco import CocoKeypoints
from poselib.engine.predict_images import RESULTS, Find, csv_of_poses, predict_images
from poselib.skeletons import COCO
from poselib.structures import Poses, Sample

K = len(COCO)


def poses_of(sample: Sample) -> Poses:
    """Two people an image, three in the second; the last of each lacks keypoints or all."""
    rng = np.random.default_rng(sample.image_id)
    people = 2 + (sample.image_id == 2)
    keypoints = rng.uniform(2, 38, (people, K, 2)).astype(np.float32)
    scores = rng.uniform(0.2, 1, (people, K)).astype(np.float32)
    scores[-1, 3:] = keypoints[-1, 3:] = 0
    return Poses(keypoints, scores, np.array([0.9, 0.5, 0.2], np.float32)[:people])


def backwards(find: Callable[[Sample], Poses]) -> Find:
    """Find the people of the last image first."""

    def each(samples: Any, *, on_found: Callable[[int, Poses], object], **_: Any) -> None:
        for index in reversed(range(len(samples))):
            on_found(index, find(samples[index]))

    return each


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images in two folders, predicted."""
    for name in ("day/a.png", "day/b,\n.png", "night/a.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(np.full((40, 48, 3), 99, np.uint8), ".png"))
    files = ImageFiles(image_paths([tmp_path / "photos" / "day", tmp_path / "photos" / "night"]))
    drawings = [tmp_path / "out" / f"{n}.png" for n in range(3)]
    predict_images(backwards(poses_of), files, drawings, COCO, draw_score=0.4, workers=1)
    return tmp_path


def test_the_table_has_all_people_in_px_of_the_image(folder: Path) -> None:
    table = pd.read_csv(folder / "out" / "poses.csv")
    assert table.columns.tolist() == [
        "image_id", "file_name", "person", "keypoint", "x", "y", "score", "person_score"
    ]  # fmt: skip
    assert len(table) == (2 + 3 + 2) * K
    images = json.loads((folder / "out" / "images.json").read_text())["images"]
    for image in images:
        rows = table[table.image_id == image["id"]]
        assert rows.file_name.unique().tolist() == [image["file_name"]]
        sample = Sample.__new__(Sample)
        object.__setattr__(sample, "image_id", image["id"])
        expected = poses_of(sample)
        wide = rows.pivot(index="person", columns="keypoint", values=["x", "y", "score"])
        for k, name in enumerate(COCO.keypoints):
            xy = np.where(expected.found[:, [k]], expected.keypoints[:, k], np.nan)
            np.testing.assert_array_equal(wide[[("x", name), ("y", name)]].to_numpy("f4"), xy)
            np.testing.assert_array_equal(wide["score", name].to_numpy("f4"), expected.scores[:, k])


def test_the_document_is_a_dataset_of_the_people_that_are_drawn(folder: Path) -> None:
    file = folder / "out" / "coco.json"
    document = json.loads(file.read_text())
    assert document["info"]["images"] == str(folder / "photos")
    dataset = CocoKeypoints(file, folder / "photos", COCO)
    assert dataset.table.file_names == ("day/a.png", "day/b,\n.png", "night/a.png")
    for sample in dataset:
        expected = poses_of(sample).above(0.4)
        assert len(sample.keypoints) == len(expected) == 2
        np.testing.assert_array_equal(sample.keypoints[..., 2], 2 * expected.found)
        np.testing.assert_allclose(sample.keypoints[..., :2], expected.keypoints, atol=1e-3)
        assert sample.boxes is not None
        np.testing.assert_allclose(sample.boxes[:, :2], expected.boxes[:, :2], atol=1e-3)
    people = document["annotations"]
    assert [person["id"] for person in people] == list(range(1, 7))
    assert [person["score"] for person in people] == pytest.approx([0.9, 0.5] * 3)
    assert [person["num_keypoints"] for person in people] == [K, 3, K, K, K, 3]
    assert document["categories"][0]["skeleton"] == (COCO.limb_indices + 1).tolist()
    assert len(pycocotools.COCO(str(file)).loadAnns(range(1, 7))) == 6


def test_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_image(np.zeros((8, 8, 3), np.uint8), ".png"))
    files = ImageFiles([tmp_path / "a.png"])
    out = tmp_path / "out"
    predict_images(backwards(lambda _: Poses.empty(K)), files, [out / "a.png"], COCO)
    assert len(pd.read_csv(out / "poses.csv")) == 0
    document = json.loads((out / "coco.json").read_text())
    assert document["images"][0]["file_name"] == "a.png" and document["annotations"] == []
    assert sorted(path.name for path in out.iterdir()) == sorted(["a.png", *RESULTS])


@pytest.mark.parametrize("ended", [KeyboardInterrupt, SystemExit, OSError])
def test_an_interrupted_prediction_keeps_what_was_found(
    tmp_path: Path, ended: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / name).write_bytes(encode_image(np.zeros((40, 48, 3), np.uint8), ".png"))
    files, out = ImageFiles(image_paths([tmp_path])), tmp_path / "out"

    def until(sample: Sample) -> Poses:
        if sample.image_id == 1:
            raise ended
        return poses_of(sample)

    with pytest.raises(ended):
        predict_images(backwards(until), files, [out / f"{n}.png" for n in (1, 2, 3)], COCO)
    images, coco = (json.loads((out / name).read_text()) for name in ("images.json", "coco.json"))
    results = json.loads((out / "results.json").read_text())
    assert [row["image_id"] for row in results] == [2] * 3 + [3] * 2
    assert [person["image_id"] for person in coco["annotations"]] == [2] * 3 + [3] * 2
    assert pd.read_csv(out / "poses.csv").image_id.unique().tolist() == [2, 3]
    for document in (images, coco):
        assert [image["id"] for image in document["images"]] == [2, 3]
        assert document["info"]["complete"] is False
    drawn = [image["drawing"] for image in images["images"] if "drawing" in image]
    assert sorted(path.name for path in out.glob("*.png")) == drawn
    assert f"the poses of 2 of 3 images are in {out}" in capsys.readouterr().err
    (out / "coco.json").unlink()
    (out / "coco.json").mkdir()
    with pytest.raises(ended):  # not the fault of the file
        predict_images(backwards(until), files, [out / f"{n}.png" for n in (1, 2, 3)], COCO)
    assert "the poses of 2 of 3 images are lost" in capsys.readouterr().err
    (out / "coco.json").rmdir()
    predict_images(backwards(poses_of), files, [out / f"{n}.png" for n in (1, 2, 3)], COCO)
    images = json.loads((out / "images.json").read_text())
    assert images["info"]["complete"] and len(images["images"]) == 3
    assert [image["drawing"] for image in images["images"]] == ["1.png", "2.png", "3.png"]
    with pytest.raises(ended):  # nothing is found, and nothing replaced
        predict_images(backwards(until), ImageFiles([tmp_path / "1.png"]), [out / "1.png"], COCO)
    assert json.loads((out / "images.json").read_text()) == images


def test_names_that_are_no_text_keep_their_bytes(tmp_path: Path) -> None:
    poses = Poses(np.ones((1, K, 2), np.float32), np.ones((1, K)), np.ones(1))
    with csv_of_poses(tmp_path / "a.csv", COCO) as append:
        append(poses, file_name="caf\udce9.png")
    assert b"caf\xe9.png,0,nose,1.0,1.0," in (tmp_path / "a.csv").read_bytes()
