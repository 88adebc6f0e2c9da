"""COCO-format documents in the formats of annotation tools, CVAT and Label Studio, and back.

A document is what ``coco.json`` or any COCO-format keypoint file holds, with one category that has
keypoints. Its coordinates are pixel indices, as in ``poselib.annotations``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from poselib.annotations import PIXEL_CENTER
from poselib.data.annotation_table import check_size
from poselib.data.boxes import box_areas
from poselib.data.coco_export import coco_people
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    entry,
    integer,
    load_json,
    number,
    numbers,
    shown,
    text,
)
from poselib.skeleton_files import read_category
from poselib.typing import FloatArray

# Names of Label Studio's tags, which regions refer to.
_IMAGE, _BOX, _KEYPOINT = "image", "box", "keypoint"
# Width of a keypoint's circle, percent of the image.
_CIRCLE = 0.75


def cvat_labels(document: Entry) -> list[Entry]:
    """Describe the skeleton as CVAT's label constructor takes it under "Raw".

    The template is the person with most labeled keypoints, or a circle if the document has none.

    Raises:
        ValueError: not one category has keypoints, or a field is wrong.
    """
    category = _category(document)
    names: list[str] = category["keypoints"]
    limbs = read_category({"categories": [category]}, "", "document")["limbs"]
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
        line.format(*places[one], *places[other], one + 1, other + 1)
        for one, other in (map(names.index, limb) for limb in limbs)
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
    category, images = _category(document), _images(document)
    tasks: dict[int, Entry] = {}
    for name, image in images.items():
        address = root + quote(image["file_name"])
        prediction = {"model_version": "poselib", "result": []}
        tasks[name] = {"data": {_IMAGE: address}, "predictions": [prediction]}
    for person in entries(document.get("annotations"), "annotations"):
        if person.get("category_id") == category["id"]:
            where = f"annotations: id {integer(person, 'id', 'annotations')}"
            shown_in = integer(person, "image_id", where)
            if shown_in not in images:
                raise ValueError(f"{where}: image_id {shown_in} is not among images")
            regions = _regions(person, category, images[shown_in])
            tasks[shown_in]["predictions"][0]["result"] += regions
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
        ValueError: it is no such export, or has an unknown image, label or person; or the
            document has not one category with keypoints.
    """
    category, known = _category(document), _images(document)
    images: list[Entry] = []
    people: list[Entry] = []
    for task in entries(load_json(export, "export"), str(export)):
        where = f"{export}: task {shown(task.get('id'))}"
        if "annotations" not in task:
            raise ValueError(f"{where}: annotations are missing: export as JSON, not JSON-MIN")
        done = [a for a in entries(task["annotations"], where) if not a.get("was_cancelled")]
        if not done:
            continue
        image = _image_of(task, known, where)
        images.append(image)
        for person in _people(entries(done[-1].get("result"), where), category, image, where):
            ids = {"image_id": image["id"], "category_id": category["id"]}
            people.append({"id": len(people) + 1, **ids, **person})
    info = document.get("info", {})
    return {"info": info, "images": images, "annotations": people, "categories": [category]}


def _category(document: Entry) -> Entry:
    """Return the only category that has keypoints, with fields that can be used."""
    listed = entries(entry(document, "document").get("categories"), "categories")
    found = [c for c in listed if c.get("keypoints")]
    if len(found) != 1:
        raise ValueError(f"categories: expected one with keypoints, found {len(found)}")
    integer(found[0], "id", "categories")
    text(found[0], "name", "categories")
    read_category({"categories": found}, "", "document")
    return found[0]


def _images(document: Entry) -> dict[int, Entry]:
    """Return the images by their ids, with names and sizes that can be used."""
    images = {}
    for image in entries(document.get("images"), "images"):
        where = f"images: id {integer(image, 'id', 'images')}"
        text(image, "file_name", where)
        check_size((integer(image, "height", where), integer(image, "width", where)), where)
        images[image["id"]] = image
    return images


def _regions(person: Entry, category: Entry, image: Entry) -> list[Entry]:
    """Return the box of a person and the labeled keypoints in it, in percent of the image.

    Args:
        person: an annotation.
        category: names its keypoints.
        image: that it is in.
    """
    where, width, height = f"annotations: id {person['id']}", image["width"], image["height"]
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


def _ends_in(address: str, name: str) -> bool:
    """Say whether an address ends in a whole file name; ``-`` is before that of an upload."""
    return address.endswith(name) and address.removesuffix(name)[-1:] in ("", "/", "=", "-", "\\")


def _image_of(task: Entry, images: dict[int, Entry], where: str) -> Entry:
    """Return the image whose file a task shows, by the end of the address."""
    address = unquote(text(entry(task.get("data"), f"{where}: data"), _IMAGE, f"{where}: data"))
    fits = [image for image in images.values() if _ends_in(address, image["file_name"])]
    if not fits:
        raise ValueError(f"{where}: {_IMAGE} {address!r} ends in no file name of the document")
    return max(fits, key=lambda image: len(image["file_name"]))


def _people(result: list[Entry], category: Entry, image: Entry, where: str) -> Iterator[Entry]:
    """Yield the people of an annotation, one for each box, without numbers of their own."""
    names = category["keypoints"]
    scale = np.array([image["width"], image["height"]]) / 100
    boxes: dict[str, FloatArray] = {}
    for region, value, here in _values(result, "rectanglelabels", where):
        low, sides = (
            np.array([number(value, field, here) for field in fields]) * scale
            for fields in (("x", "y"), ("width", "height"))
        )
        boxes[text(region, "id", here)] = np.concatenate([low, low + sides])
    points = {box: np.zeros((len(names), 3), np.float32) for box in boxes}
    for region, value, here in _values(result, "keypointlabels", where):
        xy = np.array([number(value, field, here) for field in ("x", "y")]) * scale
        labels = value.get("keypointlabels")
        label = labels[0] if isinstance(labels, list) and labels else None
        if label not in names:
            raise ValueError(f"{here}: label {shown(label)} is not among {shown(names)}")
        around = [n for n, box in boxes.items() if (box[:2] <= xy).all() and (xy <= box[2:]).all()]
        owner = region.get("parentID")
        if not isinstance(owner, str) or owner not in boxes:
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


def _values(result: list[Entry], kind: str, where: str) -> Iterator[tuple[Entry, Entry, str]]:
    """Yield the regions of a kind, what each holds, and where it stands."""
    for region in result:
        if region.get("type") == kind:
            here = f"{where}: region {shown(region.get('id'))}"
            yield region, entry(region.get("value"), f"{here}: value"), here


def _template(document: Entry, keypoints: int) -> FloatArray:
    """Return places (K, 2) of the keypoints in a square of 100, y down."""
    angles = 2 * np.pi * np.arange(keypoints) / keypoints
    places = 50 + 40 * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    people = []
    for person in entries(document.get("annotations"), "annotations"):
        if person.get("keypoints") not in (None, []):
            where = f"annotations: id {shown(person.get('id'))}"
            points = np.reshape(numbers(person, "keypoints", 3 * keypoints, where), (-1, 3))
            area = 0.0 if person.get("area") is None else number(person, "area", where)
            people.append((np.count_nonzero(points[:, 2]), area, points))
    if not people:
        return np.round(places, 1)
    count, _, points = max(people, key=lambda person: person[:2])
    if count:
        known = points[:, 2] > 0
        low, high = points[known, :2].min(axis=0), points[known, :2].max(axis=0)
        side = max((high - low).max(), 1)
        places[known] = 50 + 80 * (points[known, :2] - (low + high) / 2) / side
    return np.round(places, 1)
