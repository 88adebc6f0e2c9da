"""Boxes that a user gives: arrays, and files that must be of people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.engine.given_boxes import given_boxes
from poselib.engine.person_boxes import ListedBoxes

BOX = {"image_id": 4, "bbox": [1, 2, 10, 20], "score": 0.5}


def written(path: Path, *categories: int) -> Path:
    path.write_text(json.dumps([{**BOX, "category_id": number} for number in categories]))
    return path


def found(boxes: Any) -> int:
    source = given_boxes(boxes, [4])
    assert isinstance(source, ListedBoxes)
    return len(source.boxes[4])


def test_a_file_whose_detections_are_all_of_others_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "others.json", 7, 3, 7)
    expected = r"others.json: 3 detections, none of a person: category_id must be 1, found \[3, 7\]"
    for path in (file, str(file)):
        with pytest.raises(ValueError, match=expected):
            given_boxes(path, [4])


def test_people_without_a_score_are_not_said_to_be_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "logits.json"
    file.write_text(json.dumps([{**BOX, "category_id": 1, "score": -2.3}]))
    assert found(file) == 0


def test_people_among_others_and_images_without_any_are_fine(tmp_path: Path) -> None:
    assert found(written(tmp_path / "mixed.json", 7, 1, 1)) == 2
    assert found(written(tmp_path / "none.json")) == 0
    assert found(np.zeros((0, 4))) == 0 and found([[1, 2, 11, 22]]) == 1


def test_a_file_may_be_of_more_images(tmp_path: Path) -> None:
    rows = [{**BOX, "category_id": 1, "image_id": image} for image in (9, 4, 2)]
    (tmp_path / "all.json").write_text(json.dumps(rows))
    source = given_boxes(tmp_path / "all.json", [4, 5])
    assert isinstance(source, ListedBoxes)
    assert {image: len(each) for image, each in source.boxes.items()} == {4: 1, 5: 0}
    with pytest.raises(ValueError, match=r"of these images: image_id is \{2, 4, 9\}.* \[7\]"):
        given_boxes(tmp_path / "all.json", [7])
