"""Faults of a dataset, each made on purpose, and each found where it is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poselib.data.coco_folder import ALL, CocoPart, find_coco
from poselib.data.dataset_check import DatasetReport, check_dataset
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.skeletons import COCO

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    return write_scenes(folder, SceneConfig(size=64, people=(2, 2)), 4, 1, COCO)


def checked(folder: Path, change: Change | None = None) -> DatasetReport:
    part = find_coco(folder)[ALL]
    content = copy.deepcopy(part.content)
    if change is not None:
        change(content)
    return check_dataset(CocoPart(part.annotations, part.images, content), COCO)


def test_a_good_dataset_has_no_fault(folder: Path) -> None:
    report = checked(folder)
    assert not report.findings and (report.images, report.people) == (4, 8)
    assert "4 images, 8 people" in str(report) and "no fault" in str(report)
    assert "1 image, 1 person with" in str(replace(report, images=1, people=1))


def _person(row: int = 0, **fields: Any) -> Change:
    return lambda content: content["annotations"][row].update(fields)


def _image(row: int = 0, **fields: Any) -> Change:
    return lambda content: content["images"][row].update(fields)


def _moved(content: dict[str, Any]) -> None:
    content["annotations"][2]["keypoints"][:3] = [70.0, 10.0, 2]


def _marked(content: dict[str, Any]) -> None:
    content["annotations"][2]["keypoints"][2] = 5


FAULTS: list[tuple[str, Change, str, str, bool]] = [
    ("file", _image(1, file_name="absent.png"), "no such file", "absent.png", True),
    ("height", _image(2, height=80), "not those of the file", "64x64, stated 64x80", True),
    ("no size", _image(2, height=None), "width and height are wanted", "id 2", True),
    ("huge", _image(2, width=10**400), "width and height are wanted", "id 2", True),
    ("image twice", _image(1, id=0), "used more than once", "id 0", True),
    ("file twice", _image(1, file_name="000000.png"), "listed more than once", "id 0", False),
    ("text id", _person(id="7"), "whole number", "id '7'", True),
    ("person twice", _person(id=2), "used more than once", "id 2", True),
    ("image_id", _person(3, image_id=77), "no listed image", "id 4 has 77", True),
    ("box", _person(1, bbox=[1, 2, -5, 4]), "negative", "id 2 has [1, 2, -5, 4]", True),
    ("box form", _person(1, bbox=[1, 2, 3]), "left, top, width", "id 2", True),
    ("category", _person(1, category_id=9), "no listed category", "id 2", True),
    ("area", _person(1, area=-4.0), "area must be px²", "id 2", True),
    ("far", _person(1, bbox=[1, 2, 3, 1e30]), "left, top, width", "id 2", True),
    (
        "few keypoints",
        _person(4, keypoints=[1, 2, 2]),
        "51 numbers, x, y",
        "id 5 has 3 values",
        True,
    ),
    ("visibility", _marked, "visibility 0, 1 or 2", "id 3 has 5 as v of nose", True),
    (
        "not finite",
        _person(4, keypoints=[0, 0, 2, 0, float("nan"), 2] + [0, 0, 2] * 15),
        "x, y",
        "id 5 has nan as y of left_eye",
        True,
    ),
    ("text", _person(4, keypoints="none"), "x, y and visibility", "id 5 has 'none'", True),
    ("outside", _moved, "outside of the image", "id 3", False),
    ("none", _person(5, keypoints=[]), "no keypoints", "id 6", False),
    ("zero", _person(5, keypoints=[0] * 51), "no keypoint is labeled", "id 6", False),
    ("origin", _person(5, keypoints=[0, 0, 2] + [9, 9, 2] * 16), "at 0, 0", "id 6", False),
    ("count", _person(6, num_keypoints=0), "num_keypoints says 0", "id 7", False),
]


@pytest.mark.parametrize(("change", "problem", "place", "fatal"), [f[1:] for f in FAULTS],
                         ids=[f[0] for f in FAULTS])  # fmt: skip
def test_each_fault_is_named_with_its_place(
    folder: Path, change: Change, problem: str, place: str, fatal: bool
) -> None:
    report = checked(folder, change)
    found = [each for each in report.findings if problem in each.problem]
    assert len(found) == 1 and place in found[0].where[0] and found[0].fatal == fatal
    assert f"{len(found[0].where)} of {found[0].of} {found[0].kind}" in str(report)
    assert json.loads(json.dumps(report.as_dict()))["findings"][0]["count"] >= 1


def test_an_image_that_is_none(folder: Path, tmp_path: Path) -> None:
    part = find_coco(folder)[ALL]
    for image in part.content["images"]:
        (tmp_path / image["file_name"]).write_bytes(b"no picture")
    report = check_dataset(CocoPart(part.annotations, tmp_path, part.content), COCO)
    assert len(report.fatal) == 1 and "no image" in report.fatal[0].problem
    assert len(report.fatal[0].where) == 4 and str(report.fatal[0]).endswith(", ...")


def test_images_without_people(folder: Path) -> None:
    def remove(content: dict[str, Any]) -> None:
        content["annotations"] = [p for p in content["annotations"] if p["image_id"] != 3]

    report = checked(folder, remove)
    assert [f.where for f in report.findings] == [("id 3 (000003.png)",)] and not report.fatal
    report = checked(folder, lambda content: content["annotations"].clear())
    assert len(report.fatal) == 1 and len(report.fatal[0].where) == 4
