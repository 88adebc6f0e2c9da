"""Detected boxes: by image and score, of real files, and faults that are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poselib.data.catalog import open_dataset
from poselib.data.readers.coco_json import read_annotations
from poselib.data.readers.detections import read_detections
from poselib.skeletons import COCO


def detection(image: int, left: float, score: float, **fields: Any) -> dict[str, Any]:
    given = {"image_id": image, "category_id": 1, "bbox": [left, 2, 10, 20], "score": score}
    return {**given, **fields}


def write(folder: Path, content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_by_image_the_best_first(tmp_path: Path) -> None:
    listed = [
        *(detection(7, 1, 0.2), detection(9, 5, 0.5), detection(7, 3, 0.9), detection(7, 4, 0.05)),
        detection(7, 8, 0.99, category_id=2),
    ]
    found = read_detections(write(tmp_path, listed), (7, 8, 9), min_score=0.1)
    assert [len(found[image]) for image in (7, 8, 9)] == [2, 0, 1]
    assert found[7].corners.tolist() == [[3, 2, 13, 22], [1, 2, 11, 22]]
    assert found[7].scores.tolist() == pytest.approx([0.9, 0.2])
    assert found[8].corners.shape == (0, 4)
    assert len(read_detections(write(tmp_path, []), (7,))[7]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "boxes.json: expected a list of objects"),
        (
            [detection(7, 1, 0.5), detection(6, 1, 0.5)],
            r"\[1\]: image_id: the dataset has no",
        ),
        ([detection(7, 1, 0.5, bbox=[1, 2, 0, 5])], r"\[0\]: bbox: expected a box with an area"),
        ([detection(7, 1, 0.5, bbox=[1, 2, 5])], r"\[0\]: bbox: expected 4 numbers, found 3"),
        ([detection(7, 1, 0.5, bbox=[1, 2, 1e9, 5])], r"\[0\]: bbox: expected a box"),
        ([{**detection(7, 1, 0.5), "score": None}], r"\[0\]: score: expected a finite number"),
        ([detection(7, 1, 0.5, image_id="a")], r"\[0\]: image_id: expected a whole number"),
    ],
)
def test_faults_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_detections(write(tmp_path, content), (7,))
    with pytest.raises(FileNotFoundError, match=r"detection file .* does not exist"):
        read_detections(tmp_path / "none.json", (7,))


@pytest.mark.samples
def test_real_detections(samples_dir: Path) -> None:
    truth = read_annotations(samples_dir / "coco" / "test_coco.json", COCO)
    path = samples_dir / "coco" / "test_coco_det_AP_H_56.json"
    found = read_detections(path, truth.image_ids, min_score=0.5)
    assert min(map(len, found.values())) >= 1
    # Every person who is labeled well is found: a box covers the middle of theirs.
    frames = open_dataset("posetrack18", "val", samples_dir / "posetrack18")
    path = samples_dir / "posetrack18/annotations/test_posetrack18_human_detections.json"
    found = read_detections(path, frames.annotations().image_ids)
    for index in range(3):
        sample = frames[index]
        assert sample.boxes is not None
        corners = found[sample.image_id].corners
        for box in sample.boxes:
            middle = (box[:2] + box[2:]) / 2
            covered = (corners[:, :2] < middle).all(axis=1) & (corners[:, 2:] > middle).all(axis=1)
            assert covered.any()
