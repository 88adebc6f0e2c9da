"""What annotation tools import, and what they export, corrected, as a dataset."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest

from poselib.data.annotation_tools import (
    cvat_labels,
    label_studio_config,
    label_studio_tasks,
    read_label_studio,
)
from poselib.data.coco_export import coco_category, coco_poses
from poselib.data.readers.coco_json import read_annotations
from poselib.poses import Poses
from poselib.skeletons import COCO, Skeleton

FIVE = Skeleton(
    "five",
    ("head", 'hand "L"', "hand & R", "foot_l", "foot_r"),
    (0.05,) * 5,
    flip_pairs=(),
    limbs=(("head", "foot_l"), ("head", "foot_r")),
    groups={},
)
ROOT = "/data/local-files/?d=my photos/"


def document(skeleton: Skeleton = FIVE) -> dict[str, Any]:
    """Three images: of two people, one of whom lacks keypoints, of one person and of nobody."""
    rng, count = np.random.default_rng(0), len(skeleton)
    images = [
        {"id": n, "file_name": name, "width": 80, "height": 60}
        for n, name in ((3, "a.png"), (9, "day 1/a.png"), (4, "b.png"))
    ]
    people = []
    for image, number in ((3, 2), (9, 1)):
        keypoints = rng.uniform(2, 58, (number, count, 2)).astype(np.float32)
        scores = np.ones((number, count), np.float32)
        scores[1:, 1:3] = keypoints[1:, 1:3] = 0
        for person in coco_poses(Poses(keypoints, scores, scores[:, 0])):
            ids = {"id": len(people) + 1, "image_id": image, "category_id": 1}
            people.append({**ids, **person})
    category = coco_category(skeleton)
    return {"images": images, "annotations": people, "categories": [category]}


def exported(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what Label Studio exports if all predictions are accepted as they are."""
    return [
        {
            "id": 100 + n,
            "data": task["data"],
            "annotations": [{"id": n, "was_cancelled": False, **task["predictions"][0]}],
            "predictions": task["predictions"],
        }
        for n, task in enumerate(tasks)
    ]


def read_back(folder: Path, export: Any, original: dict[str, Any]) -> dict[str, Any]:
    (folder / "export.json").write_text(json.dumps(export))
    return read_label_studio(folder / "export.json", original)


def test_label_studio_gives_back_what_it_was_given(tmp_path: Path) -> None:
    original = document()
    back = read_back(tmp_path, exported(label_studio_tasks(original, ROOT)), original)
    assert back["images"] == original["images"] and back["categories"] == original["categories"]
    one, other = (read_annotations(each, FIVE) for each in (back, original))
    np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=2e-3)
    np.testing.assert_allclose(one.areas, other.areas, rtol=1e-3)
    np.testing.assert_array_equal(one.images, other.images)


def test_percent_count_from_the_corner_of_the_image() -> None:
    original = document()
    original["annotations"][0]["keypoints"][:2] = [39.5, 14.5]  # 40, 15 from the corner
    box, head = label_studio_tasks(original, ROOT)[0]["predictions"][0]["result"][:2]
    assert (head["value"]["x"], head["value"]["y"]) == (50, 25) and head["parentID"] == box["id"]
    left, top, width, height = original["annotations"][0]["bbox"]
    value = box["value"]
    assert (value["x"], value["width"]) == pytest.approx((left / 0.8, width / 0.8))
    assert (value["y"], value["height"]) == pytest.approx((top / 0.6, height / 0.6))


def test_corrections_are_read(tmp_path: Path) -> None:
    original = document()
    export = exported(label_studio_tasks(original, ROOT))
    first = export[0]["annotations"][0]["result"]
    labels = [r["value"].get("keypointlabels", ["box"])[0] for r in first]
    moved = first[labels.index("foot_l")]
    moved["value"].update(x=10, y=20)
    del first[labels.index("head")]
    # A person that was added: the box, and a keypoint that is nobody's child.
    added = {"type": "rectanglelabels", "value": {"x": 90, "y": 80, "width": 10, "height": 20}}
    first.append({"id": "new", **added})
    point = {"x": 95, "y": 90, "keypointlabels": ["head"]}
    first.append({"id": "p", "type": "keypointlabels", "value": point})
    # The second image was annotated twice, and the third was never looked at.
    export[1]["annotations"] = [
        {"result": []}, *export[1]["annotations"], {"result": [], "was_cancelled": True}
    ]  # fmt: skip
    export[2]["annotations"] = []
    back = read_back(tmp_path, export, original)
    assert [image["id"] for image in back["images"]] == [3, 9]
    table = read_annotations(back, FIVE)
    assert table.images.tolist() == [0, 0, 0, 1]
    assert table.keypoints[0, 0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(table.keypoints[0, 3], [7.5, 11.5, 2])
    np.testing.assert_allclose(table.keypoints[2, 0], [75.5, 53.5, 2])
    np.testing.assert_allclose(table.boxes[2], [72, 48, 8, 12], atol=1e-3)
    assert [person["num_keypoints"] for person in back["annotations"]] == [4, 3, 1, 5]


def _child_of_none(task: Any) -> None:
    task["annotations"][0]["result"][1].pop("parentID")
    task["annotations"][0]["result"][0]["value"].update(x=0, y=0, width=1, height=1)


def _twice(task: Any) -> None:
    task["annotations"][0]["result"].append(task["annotations"][0]["result"][1])


def _other_label(task: Any) -> None:
    task["annotations"][0]["result"][1]["value"]["keypointlabels"] = ["tail"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task: task.pop("annotations"), "export as JSON, not JSON-MIN"),
        (lambda task: task["data"].update(image="c.png"), "'c.png' ends in no file name"),
        (lambda task: task["data"].update(image="/d/1b.png"), "ends in no file name"),
        (_other_label, "label 'tail' is not among"),
        (_twice, "has a head already"),
        (_child_of_none, "head is the child of no box, and lies in 0"),
        (lambda task: task["annotations"][0]["result"][1]["value"].pop("x"), "x: expected a fin"),
        (lambda task: task.update(data=None), "data: expected an object, found nothing"),
        (lambda task: task["annotations"][0]["result"][0].update(value=[]), "value: expected an o"),
        (lambda task: task["annotations"][0]["result"][0].update(id=3), "id: expected text, fou"),
    ],
)
def test_what_cannot_be_read_is_named(
    change: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    original = document()
    original["annotations"] = original["annotations"][-1:]
    export = exported(label_studio_tasks(original, ROOT))
    change(export[1])
    with pytest.raises(ValueError, match=r"export.json: task 101") as error:
        read_back(tmp_path, export, original)
    assert message in str(error.value)


def test_the_labeling_configuration_has_the_keypoints_in_order() -> None:
    view = minidom.parseString(label_studio_config(document()))
    (keypoints,) = view.getElementsByTagName("KeyPointLabels")
    labels = keypoints.getElementsByTagName("Label")
    assert [label.getAttribute("value") for label in labels] == list(FIVE.keypoints)
    assert [label.getAttribute("model_index") for label in labels] == list("01234")
    (boxes,) = view.getElementsByTagName("RectangleLabels")
    tags = {boxes.getAttribute("name"), keypoints.getAttribute("name")}
    regions = label_studio_tasks(document(), ROOT)[0]["predictions"][0]["result"]
    assert {region["from_name"] for region in regions} == tags


@pytest.mark.parametrize("people", [True, False])
def test_cvat_labels_draw_the_skeleton(people: bool) -> None:
    original = document()
    if not people:
        original["annotations"] = []
    (label,) = cvat_labels(original)
    assert (label["name"], label["type"]) == ("five", "skeleton")
    assert cvat_labels(document(COCO))[0]["name"] == "person"
    assert [point["name"] for point in label["sublabels"]] == list(FIVE.keypoints)
    drawn = minidom.parseString(f"<svg>{label['svg']}</svg>")
    circles = drawn.getElementsByTagName("circle")
    assert [c.getAttribute("data-label-name") for c in circles] == list(FIVE.keypoints)
    places = {
        c.getAttribute("data-node-id"): (float(c.getAttribute("cx")), float(c.getAttribute("cy")))
        for c in circles
    }
    assert len(set(places.values())) == 5 and np.ptp(list(places.values())) <= 80.1
    lines = drawn.getElementsByTagName("line")
    ends = [(e.getAttribute("data-node-from"), e.getAttribute("data-node-to")) for e in lines]
    assert ends == [("1", "4"), ("1", "5")]
    for line, nodes in zip(lines, ends, strict=True):
        drawn_from = float(line.getAttribute("x1")), float(line.getAttribute("y1"))
        assert drawn_from == places[nodes[0]]
    assert not re.search(r"data-label-id", label["svg"])  # CVAT puts its own there


def test_cvats_export_is_read(tmp_path: Path) -> None:
    """Its COCO Keypoints 1.0: empty fields, coordinates of absent keypoints, hidden ones as 1."""
    from poselib.data.readers.coco import CocoKeypoints

    original = document(COCO)
    corrected = copy.deepcopy(original)
    for person in corrected["annotations"]:
        person["keypoints"] = [round(value + 0.25 * (n % 3 < 2), 2)
                               for n, value in enumerate(person["keypoints"])]  # fmt: skip
        person["keypoints"][2], person["keypoints"][5] = 1, 0
        person["attributes"] = {"occluded": False}
        del person["score"]
    corrected["categories"][0].update(supercategory="", skeleton=[[6, 12], [4, 6]])
    corrected["licenses"] = [{"name": "", "id": 0, "url": ""}]
    corrected["info"] = {"contributor": "", "date_created": "", "year": ""}
    for image in corrected["images"]:
        image.update(license=0, flickr_url="", coco_url="", date_captured=0)
        path = tmp_path / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    file = tmp_path / "person_keypoints_default.json"
    file.write_text(json.dumps(corrected))
    table = CocoKeypoints(file, tmp_path / "images", COCO).table
    truth = read_annotations(original, COCO)
    assert (table.keypoints[:, :2, 2] == [1, 0]).all()
    shown = table.labeled & truth.labeled
    moved = (table.keypoints - truth.keypoints)[shown][:, :2]
    np.testing.assert_allclose(moved, 0.25, atol=0.006)


def test_documents_without_one_category_of_keypoints_are_refused() -> None:
    original = document()
    for categories in ([], [{"id": 1, "name": "a"}], original["categories"] * 2):
        for function in (cvat_labels, label_studio_config):
            with pytest.raises(ValueError, match="categories: expected one with keypoints, found"):
                function({**original, "categories": categories})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["categories"][0].pop("name"), "categories: name: expected text, found None"),
        (lambda d: d["categories"][0].update(keypoints=[3]), "keypoints: expected names, found 3"),
        (lambda d: d["categories"][0].update(skeleton=3), "skeleton: expected pairs of keypoint"),
        (lambda d: d["images"][0].pop("id"), "images: id: expected a whole number, found None"),
        (lambda d: d["images"][0].update(height="9"), "images: id 3: height: expected a whole nu"),
        (lambda d: d["annotations"][0].update(image_id=7), "id 1: image_id 7 is not among images"),
        (lambda d: d["annotations"][0]["keypoints"].pop(), "id 1: keypoints: expected 15 numbers"),
    ],
)
def test_what_is_wrong_in_a_document_is_named(
    change: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    wrong = document()
    change(wrong)
    made = [lambda: cvat_labels(wrong), lambda: label_studio_tasks(wrong, ROOT)]
    found = []
    for make in [*made, lambda: read_back(tmp_path, [], wrong)]:
        with contextlib.suppress(ValueError):
            make()
            continue
        with pytest.raises(ValueError) as error:
            make()
        found.append(str(error.value))
    assert found and all(message in each for each in found)


def test_a_template_without_labeled_keypoints_is_a_circle() -> None:
    original = document()
    for person in original["annotations"]:
        person["keypoints"] = [0] * 15
    empty = {**original, "annotations": []}
    assert cvat_labels(original) == cvat_labels(empty)
