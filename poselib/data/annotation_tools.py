"""COCO-format documents in the formats of annotation tools, CVAT and Label Studio, and back.

A document is what ``coco.json`` or any COCO-format keypoint file holds, with one category that has
keypoints. Its coordinates are pixel indices, as in ``poselib.annotations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from poselib.annotations import PIXEL_CENTER
from poselib.data.boxes import box_areas
from poselib.data.coco_export import coco_people
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    load_json,
    number,
    numbers,
    shown,
    text,
)
from poselib.typing import FloatArray

# Names of Label Studio's tags, which regions refer to.
_IMAGE, _BOX, _KEYPOINT = "image", "box", "keypoint"
# Width of a keypoint's circle, percent of the image.
_CIRCLE = 0.75


def cvat_labels(document: Entry) -> list[Entry]:
    """Describe the skeleton as CVAT's label constructor takes it under "Raw".

    The template is the person with most labeled keypoints, or a circle if the document has none.

    Raises:
        ValueError: not one category has keypoints.
    """
    category = _category(document)
    names = category["keypoints"]
    places = _template(document, len(names))
    line = (
        '<line x1="{0:g}" y1="{1:g}" x2="{2:g}" y2="{3:g}" stroke="black" data-type="edge" '
        'data-node-from="{4}" data-node-to="{5}" stroke-width="0.5"></line>'
    )
    circle = (
        '<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{0:g}" cy="{1:g}" stroke-width="0.1" '
        'data-type="element node" data-element-id="{2}" data-node-id="{2}" '
        "data-label-name={3}></circle>"
    )
    drawn = [
        line.format(*places[one - 1], *places[other - 1], one, other)
        for one, other in category.get("skeleton", [])
    ]
    drawn += [
        circle.format(*place, number, quoteattr(name))
        for number, (name, place) in enumerate(zip(names, places, strict=True), start=1)
    ]
    points = [{"name": name, "type": "points", "attributes": []} for name in names]
    label = {"name": category["name"], "type": "skeleton", "attributes": [], "sublabels": points}
    return [{**label, "svg": "\n".join(drawn)}]


def label_studio_config(document: Entry) -> str:
    """Return the labeling configuration: boxes of people, and keypoints in the order of COCO's.

    Raises:
        ValueError: not one category has keypoints.
    """
    category = _category(document)
    labels = "".join(
        f"    <Label value={quoteattr(name)} model_index={quoteattr(str(k))}/>\n"
        for k, name in enumerate(category["keypoints"])
    )
    return (
        f'<View>\n  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>\n'
        f'  <RectangleLabels name="{_BOX}" toName="{_IMAGE}">\n'
        f"    <Label value={quoteattr(category['name'])}/>\n  </RectangleLabels>\n"
        f'  <KeyPointLabels name="{_KEYPOINT}" toName="{_IMAGE}">\n{labels}'
        "  </KeyPointLabels>\n</View>\n"
    )


def label_studio_tasks(document: Entry, root: str) -> list[Entry]:
    """Return one task an image, whose people are predictions that annotators correct.

    Keypoints are children of their person's box, in percent of the image.

    Args:
        document: images and people.
        root: what goes before file names, such as ``/data/local-files/?d=photos/``.

    Raises:
        ValueError: the document is not COCO, or not one category has keypoints.
    """
    category = _category(document)
    tasks: dict[Any, Entry] = {}
    for image in entries(document.get("images"), "images"):
        address = root + quote(text(image, "file_name", f"images: id {image.get('id')}"))
        prediction = {"model_version": "poselib", "result": []}
        tasks[image["id"]] = {"data": {_IMAGE: address}, "predictions": [prediction]}
    sizes = {i["id"]: (i["width"], i["height"]) for i in document["images"]}
    for person in entries(document.get("annotations"), "annotations"):
        if person.get("category_id") == category["id"]:
            regions = _regions(person, category, sizes[person["image_id"]])
            tasks[person["image_id"]]["predictions"][0]["result"] += regions
    return list(tasks.values())


def read_label_studio(export: Path, document: Entry) -> Entry:
    """Return what was annotated in Label Studio as a COCO document, which ``open_files`` reads.

    Of each task the last annotation counts; images without any are left out. A keypoint belongs to
    the box that it is a child of, or else to the only box that it lies in.

    Args:
        export: Label Studio's export as JSON (not JSON-MIN).
        document: gives the images with their ids, and the category.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is no such export, or has an unknown image, label or person.
    """
    category = _category(document)
    images: list[Entry] = []
    people: list[Entry] = []
    for task in entries(load_json(export, "export"), str(export)):
        where = f"{export}: task {shown(task.get('id'))}"
        if "annotations" not in task:
            raise ValueError(f"{where}: annotations are missing: export as JSON, not JSON-MIN")
        done = [a for a in entries(task["annotations"], where) if not a.get("was_cancelled")]
        if not done:
            continue
        image = _image_of(task, document, where)
        images.append(image)
        for person in _people(entries(done[-1].get("result"), where), category, image, where):
            ids = {"image_id": image["id"], "category_id": category["id"]}
            people.append({"id": len(people) + 1, **ids, **person})
    info = document.get("info", {})
    return {"info": info, "images": images, "annotations": people, "categories": [category]}


def _category(document: Entry) -> Entry:
    """Return the only category that has keypoints."""
    found = [c for c in entries(document.get("categories"), "categories") if c.get("keypoints")]
    if len(found) != 1:
        raise ValueError(f"categories: expected one with keypoints, found {len(found)}")
    return found[0]


def _regions(person: Entry, category: Entry, size: tuple[int, int]) -> list[Entry]:
    """Return the box of a person and the labeled keypoints in it, in percent of the image.

    Args:
        person: an annotation.
        category: names its keypoints.
        size: (width, height) of the image, px.
    """
    where, (width, height) = f"annotations: id {person.get('id')}", size
    points = numbers(person, "keypoints", 3 * len(category["keypoints"]), where)
    left, top, *sides = numbers(person, "bbox", 4, where)
    scale = 100 / np.array([width, height])
    common = {"to_name": _IMAGE, "original_width": width, "original_height": height}
    common["image_rotation"] = 0

    def region(name: str, kind: str, number: object, value: Entry, label: str) -> Entry:
        named = {"id": f"{person['id']}{number}", "from_name": name, "type": kind, **common}
        return {**named, "value": {**value, kind: [label]}}

    x, y, w, h = np.concatenate([(left, top) * scale, sides * scale]).tolist()
    box = {"x": x, "y": y, "width": w, "height": h, "rotation": 0}
    regions = [region(_BOX, "rectanglelabels", "", box, category["name"])]
    triples = np.array(points, float).reshape(-1, 3)
    for k in np.flatnonzero(triples[:, 2]).tolist():
        x, y = ((triples[k, :2] + PIXEL_CENTER) * scale).tolist()
        value = {"x": x, "y": y, "width": _CIRCLE}
        point = region(_KEYPOINT, "keypointlabels", f"_{k}", value, category["keypoints"][k])
        regions.append({**point, "parentID": regions[0]["id"]})
    return regions


def _image_of(task: Entry, document: Entry, where: str) -> Entry:
    """Return the image of the document whose file a task shows, by the end of the address."""
    address = unquote(text(task.get("data", {}), _IMAGE, f"{where}: data"))
    fits = [image for image in document["images"] if address.endswith(image["file_name"])]
    if not fits:
        raise ValueError(f"{where}: {_IMAGE} {address!r} ends in no file name of the document")
    return max(fits, key=lambda image: len(image["file_name"]))


def _people(result: list[Entry], category: Entry, image: Entry, where: str) -> Iterator[Entry]:
    """Yield the people of an annotation, one for each box, without numbers of their own."""
    names = category["keypoints"]
    scale = np.array([image["width"], image["height"]]) / 100
    regions = [(r, r.get("value", {}), f"{where}: region {shown(r.get('id'))}") for r in result]
    boxes: dict[Any, FloatArray] = {}
    for region, value, here in regions:
        if region.get("type") == "rectanglelabels":
            low, sides = (
                np.array([number(value, field, here) for field in fields]) * scale
                for fields in (("x", "y"), ("width", "height"))
            )
            boxes[region["id"]] = np.concatenate([low, low + sides])
    points = {box: np.zeros((len(names), 3), np.float32) for box in boxes}
    for region, value, here in regions:
        if region.get("type") != "keypointlabels":
            continue
        xy = np.array([number(value, field, here) for field in ("x", "y")]) * scale
        label = (value.get("keypointlabels") or [None])[0]
        if label not in names:
            raise ValueError(f"{here}: label {shown(label)} is not among {shown(names)}")
        around = [n for n, box in boxes.items() if (box[:2] <= xy).all() and (xy <= box[2:]).all()]
        owner = region.get("parentID")
        if owner not in boxes:
            if len(around) != 1:
                raise ValueError(
                    f"{here}: {label} is the child of no box, and lies in {len(around)}: expected "
                    "a child of its person's box, or one that lies in one box alone"
                )
            owner = around[0]
        if points[owner][names.index(label), 2]:
            raise ValueError(f"{here}: box {shown(owner)} has a {label} already")
        points[owner][names.index(label)] = (*xy, 2)
    corners = np.array(list(boxes.values()), np.float32).reshape(-1, 4)
    keypoints = np.array(list(points.values()), np.float32).reshape(-1, len(names), 3)
    yield from coco_people(keypoints, corners, box_areas(corners))


def _template(document: Entry, keypoints: int) -> FloatArray:
    """Return places (K, 2) of the keypoints in a square of 100, y down."""
    angles = 2 * np.pi * np.arange(keypoints) / keypoints
    places = 50 + 40 * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    people = [p for p in document["annotations"] if len(p.get("keypoints", ())) == 3 * keypoints]
    if people:
        best = max(people, key=lambda p: (np.count_nonzero(p["keypoints"][2::3]), p.get("area", 0)))
        points = np.array(best["keypoints"], float).reshape(-1, 3)
        known = points[:, 2] > 0
        low, high = points[known, :2].min(axis=0), points[known, :2].max(axis=0)
        side = max((high - low).max(), 1)
        places[known] = 50 + 80 * (points[known, :2] - (low + high) / 2) / side
    return np.round(places, 1)
