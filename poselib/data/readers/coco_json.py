"""Parsing and checking of COCO-format keypoint files, as COCO, CrowdPose and OCHuman use it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import check_people, check_size, check_unique
from poselib.data.boxes import keypoint_boxes
from poselib.data.readers.coco_categories import keypoint_categories, of_category
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    entry,
    flags,
    integer,
    load_json,
    number,
    number_column,
    number_rows,
    shown,
    text,
)
from poselib.data.regions import box_codes, merge_codes, outline_codes
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import Skeleton, skeleton_of_categories
from poselib.structures import Size
from poselib.typing import BoolArray

logger = logging.getLogger(__name__)

FIELDS = ("images", "annotations", "categories")


def read_json(path: Path, fields: Sequence[str] = FIELDS) -> Entry:
    """Return lists of a COCO-format file: images, annotations and categories by default.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not JSON, or lacks a list.
    """
    return _lists(load_json(path), str(path), fields)


def read_annotations(source: Path | Entry, skeleton: Skeleton) -> AnnotationTable:
    """Read the people of a COCO-format keypoint file, to evaluate results against them.

    Only the ids, the keypoints, and the boxes or areas are needed. Annotations without ``area`` get
    0.53 of their box, without ``iscrowd`` 0 and without ``num_keypoints`` the count of their
    labeled keypoints. People without ``keypoints`` are ignored in their box; annotations of
    categories without any are left out.

    Args:
        source: the JSON file, or what it holds.
        skeleton: gives the number of keypoints.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not COCO, or has a bad or missing field.
    """
    file = None if isinstance(source, dict) else Path(source)
    name = "ground truth" if file is None else str(file)
    content = _lists(source if file is None else load_json(file), name, FIELDS)
    needed = {"images": ("id",), "annotations": ("id", "image_id", "category_id")}
    for field in FIELDS:
        for row in content[field]:
            ids = needed.get(field, ("id",))
            if lacking := [key for key in ids if key not in row]:
                raise ValueError(f"{name}: {field}: an entry lacks {lacking}")
            for key in ids:
                if not isinstance(row[key], int | str):
                    wanted = "expected a whole number or text"
                    raise ValueError(f"{name}: {field}: {key}: {wanted}, found {shown(row[key])}")
        if len({isinstance(row["id"], str) for row in content[field]}) > 1:
            raise ValueError(f"{name}: {field}: some ids are numbers and some are text")
    images = {image["id"]: image for image in content["images"]}
    categories = tuple(sorted({category["id"] for category in content["categories"]}))
    annotated = [p for p in content["annotations"] if p["image_id"] in images]
    with_keypoints = {p["category_id"] for p in annotated if _has_keypoints(p)} & {*categories}
    people = [
        person
        for person in annotated
        if person["category_id"] in with_keypoints
        and (_has_keypoints(person) or person.get("bbox") is not None)
    ]
    table = _table(images, _by_image(people, images), categories, len(skeleton), name)
    known = all(None not in (i.get("height"), i.get("width")) for i in images.values())
    sizes = tuple(_size(image, f"{name}: images: id {n}") for n, image in images.items() if known)
    return replace(table, sizes=sizes if known else None, source=file)


def read_people(
    path: Path, skeleton: Skeleton | None, keep_empty: bool
) -> tuple[AnnotationTable, Skeleton]:
    """Read a keypoint file as a dataset and check every field that is used.

    Without a skeleton, the file's categories state it.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not COCO, does not fit the skeleton, or has a bad or missing field.
    """
    content = read_json(path)
    skeleton = skeleton or skeleton_of_categories(content, str(path))
    chosen = keypoint_categories(content["categories"], skeleton, path)
    images = _images(content["images"], path)
    people = of_category(content["annotations"], content["categories"], chosen, path)
    _check_ids(people, images, path)
    people = _by_image(people, images)
    table = _table(images, people, (chosen[0],), len(skeleton), str(path))
    counted = ~table.masked()
    if not counted.any():
        raise ValueError(f"{path}: empty dataset: no person has a labeled keypoint")
    if uncounted := int((table.ignored & counted).sum()):
        logger.warning(
            "%s: num_keypoints says 0 for %d people with labeled keypoints: they are trained on, "
            "but evaluation ignores them",
            path,
            uncounted,
        )
    files = _files(images, path)
    codes: dict[int, list[Entry]] = {}
    for row in np.flatnonzero(~counted).tolist():
        image = int(table.images[row])
        size, where = files["sizes"][image], f"{path}: annotations: id {people[row]['id']}"
        try:
            outline = outline_codes(people[row].get("segmentation"), size)
        except ValueError as error:
            raise ValueError(f"{where}: segmentation: {error}") from error
        codes.setdefault(image, []).extend(outline or box_codes(table.boxes[row].tolist(), size))
    regions = {image: merge_codes(some) for image, some in codes.items() if some}
    table = replace(table, **files, source=path, regions=regions)
    kept = table if keep_empty else table.at(np.unique(table.images[counted]))
    return kept, skeleton


def read_images(path: Path, skeleton: Skeleton) -> AnnotationTable:
    """Read a file that lists images without annotations, such as test-dev's.

    Results carry category 1, a person in every COCO file.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not COCO, or has a bad or missing field.
    """
    images = _images(read_json(path, ("images",))["images"], path)
    table = _table(images, [], (1,), len(skeleton), str(path))
    return replace(table, **_files(images, path), source=path)


def _lists(content: Any, name: str, fields: Sequence[str]) -> Entry:
    content = entry(content, name)
    return {field: entries(content.get(field), f"{name}: {field}") for field in fields}


def _table(
    images: dict[Any, Entry],
    people: list[Entry],
    categories: tuple[Any, ...],
    keypoints: int,
    name: str,
) -> AnnotationTable:
    """Return the table of images and people, which are in the order of their images."""

    def where(row: int) -> str:
        return f"{name}: annotations: id {people[row]['id']}"

    # People without keypoints are ignored in the outline or box.
    without = np.array([not _has_keypoints(person) for person in people], dtype=bool)
    points = number_rows(
        _with(people, "keypoints", without, [0] * 3 * keypoints), "keypoints", 3 * keypoints, where
    ).reshape(-1, keypoints, 3)
    for row in np.flatnonzero(~np.isin(points[..., 2], (0, 1, 2)).all(axis=1))[:1].tolist():
        marks = points[row, :, 2].tolist()
        raise ValueError(f"{where(row)}: keypoints: visibility must be 0, 1 or 2, found {marks}")
    points = np.where(points[..., 2:] > 0, points, 0)
    labeled = (points[..., 2] > 0).sum(axis=1)
    areas = number_column(people, "area", where)
    # Without a box OKS can still be computed from labeled keypoints and an area.
    boxless = np.array([person.get("bbox") is None for person in people], dtype=bool)
    boxless &= ~np.isnan(areas) & (labeled > 0)
    boxes = number_rows(_with(people, "bbox", boxless, [0, 0, 0, 0]), "bbox", 4, where)
    extents = keypoint_boxes(points[boxless])
    boxes[boxless] = np.concatenate([extents[:, :2], extents[:, 2:] - extents[:, :2]], axis=1)
    counts = number_column(people, "num_keypoints", where)
    crowds = flags(people, "iscrowd", where)
    place = {image: n for n, image in enumerate(images)}
    kind = {category: n for n, category in enumerate(categories)}
    table = AnnotationTable(
        image_ids=tuple(images),
        keypoints=points,
        boxes=boxes,
        areas=np.where(np.isnan(areas), AREA_OF_BOX * boxes[:, 2] * boxes[:, 3], areas),
        images=np.array([place[person["image_id"]] for person in people], np.int64),
        crowds=crowds,
        ignored=crowds | without | (np.where(np.isnan(counts), labeled, counts) == 0),
        categories=np.array([kind[person["category_id"]] for person in people], np.int64),
        category_ids=categories,
        crowd_indices={
            n: number(image, "crowdIndex", f"{name}: images: id {n}")
            for n, image in images.items()
            if "crowdIndex" in image
        },
    )
    check_people(table, where, "bbox")
    return table


def _has_keypoints(person: Entry) -> bool:
    return person.get("keypoints") not in (None, [])


def _with(people: list[Entry], field: str, rows: BoolArray, value: object) -> list[Entry]:
    """Return the people with another value of a field in some rows."""
    if not rows.any():
        return people
    return [{field: value} if row else p for p, row in zip(people, rows, strict=True)]


def _by_image(people: list[Entry], images: dict[Any, Entry]) -> list[Entry]:
    place = {image: n for n, image in enumerate(images)}
    return sorted(people, key=lambda person: place[person["image_id"]])


def _files(images: dict[int, Entry], path: Path) -> dict[str, Any]:
    """Return the names and the sizes of image files as columns of a table."""
    where = {n: f"{path}: images: id {n}" for n in images}
    return {
        "sizes": tuple(_size(image, where[n]) for n, image in images.items()),
        "file_names": tuple(text(image, "file_name", where[n]) for n, image in images.items()),
    }


def _check_ids(people: list[Entry], images: dict[int, Entry], path: Path) -> None:
    seen: set[int] = set()
    for person in people:
        number = integer(person, "id", f"{path}: annotations")
        where = f"{path}: annotations: id {number}"
        if number in seen:
            raise ValueError(f"{where}: used twice")
        seen.add(number)
        image = integer(person, "image_id", where)
        if image not in images:
            raise ValueError(f"{where}: image_id {image} is not among images")


def _images(listed: list[Entry], path: Path) -> dict[int, Entry]:
    ids = [integer(image, "id", f"{path}: images") for image in listed]
    if not ids:
        raise ValueError(f"{path}: empty dataset: images lists none")
    check_unique(ids, f"{path}: images")
    return dict(zip(ids, listed, strict=True))


def _size(image: Entry, where: str) -> Size:
    size = integer(image, "height", where), integer(image, "width", where)
    check_size(size, where)
    return size
