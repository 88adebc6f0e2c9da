"""Parsing and checking of COCO-format keypoint files, as COCO, CrowdPose and OCHuman use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from poselib.annotations import AnnotationTable
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    entry,
    integer,
    load_json,
    number,
    number_rows,
    numbers,
    text,
)
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import Skeleton
from poselib.structures import Size

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
    labeled keypoints; annotations without ``keypoints`` are left out.

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
            if lacking := [key for key in needed.get(field, ("id",)) if key not in row]:
                raise ValueError(f"{name}: {field}: an entry lacks {lacking}")
    images = {image["id"]: image for image in content["images"]}
    categories = tuple(sorted({category["id"] for category in content["categories"]}))
    people = [
        person
        for person in content["annotations"]
        if "keypoints" in person
        and person["image_id"] in images
        and person["category_id"] in categories
    ]
    table = _table(images, _by_image(people, images), categories, len(skeleton), name)
    sizes = [(image.get("height"), image.get("width")) for image in images.values()]
    known = all(None not in size for size in sizes)
    return replace(table, sizes=tuple(sizes) if known else None, source=file)


def read_table(path: Path, skeleton: Skeleton, keep_empty: bool) -> AnnotationTable:
    """Read a keypoint file as a dataset and check every field that is used.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not COCO, does not fit the skeleton, or has a bad or missing field.
    """
    content = read_json(path)
    category = _category(content["categories"], skeleton, path)
    images = _images(content["images"], path)
    people = [p for p in content["annotations"] if p.get("category_id") == category]
    _check_ids(people, images, path)
    people = _by_image(people, images)
    table = _table(images, people, (category,), len(skeleton), str(path))
    counted = ~table.crowds & table.labeled.any(axis=1)
    if not counted.any():
        raise ValueError(f"{path}: empty dataset: no person has a labeled keypoint")
    files = _files(images, path)
    unlabeled: dict[int, list[Entry]] = {}
    for row in np.flatnonzero(~counted):
        unlabeled.setdefault(int(table.images[row]), []).append(people[row])
    regions = {i: _region(some, files["sizes"][i], path) for i, some in unlabeled.items()}
    table = replace(table, **files, source=path, regions=regions)
    return table if keep_empty else table.at(np.unique(table.images[counted]))


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

    points = number_rows(people, "keypoints", 3 * keypoints, where).reshape(-1, keypoints, 3)
    labeled = (points[..., 2] > 0).sum(axis=1)
    for row in np.flatnonzero(~np.isin(points[..., 2], (0, 1, 2)).all(axis=1))[:1].tolist():
        marks = points[row, :, 2].tolist()
        raise ValueError(f"{where(row)}: keypoints: visibility must be 0, 1 or 2, found {marks}")
    no_area = np.array([person.get("area") is None for person in people], dtype=bool)
    no_box = np.array([person.get("bbox") is None for person in people], dtype=bool)
    # Without a box OKS can still be computed from labeled keypoints and an area.
    boxless = no_box & ~no_area & (labeled > 0)
    boxes = number_rows(
        [{"bbox": [0, 0, 0, 0]} if boxless[n] else p for n, p in enumerate(people)],
        "bbox",
        4,
        where,
    )
    areas = AREA_OF_BOX * boxes[:, 2] * boxes[:, 3]
    for row in np.flatnonzero(~no_area).tolist():
        areas[row] = number(people[row], "area", where(row))
    for row in np.flatnonzero(areas < 0)[:1].tolist():
        raise ValueError(f"{where(row)}: area: expected px², found {areas[row]}")
    counts = [p.get("num_keypoints", n) for p, n in zip(people, labeled.tolist(), strict=True)]
    crowds = np.array([bool(person.get("iscrowd", 0)) for person in people], dtype=bool)
    place = {image: n for n, image in enumerate(images)}
    kind = {category: n for n, category in enumerate(categories)}
    return AnnotationTable(
        image_ids=tuple(images),
        keypoints=points,
        boxes=boxes,
        areas=areas,
        images=np.array([place[person["image_id"]] for person in people], np.int64),
        crowds=crowds,
        ignored=crowds | np.array([count == 0 for count in counts], dtype=bool),
        categories=np.array([kind[person["category_id"]] for person in people], np.int64),
        category_ids=categories,
        crowd_indices={
            n: number(image, "crowdIndex", f"{name}: images: id {n}")
            for n, image in images.items()
            if "crowdIndex" in image
        },
    )


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
    images = {integer(image, "id", f"{path}: images"): image for image in listed}
    if not images:
        raise ValueError(f"{path}: empty dataset: images lists none")
    if len(images) != len(listed):
        raise ValueError(f"{path}: images: an id is used twice")
    return images


def _category(categories: list[Entry], skeleton: Skeleton, path: Path) -> int:
    """Return the id of the category with keypoints, after checking their names."""
    named = [c for c in categories if c.get("keypoints")]
    if len(named) > 1 or (not named and len(categories) != 1):
        raise ValueError(
            f"{path}: categories: expected one with keypoints, found {len(named)} among "
            f"{len(categories)}"
        )
    category = (named or categories)[0]
    names = tuple(category.get("keypoints") or skeleton.keypoints)
    # Converted files write "Left Shoulder" as well as "left_shoulder".
    plain = tuple(str(name).strip().lower().replace(" ", "_") for name in names)
    if len(names) != len(skeleton):
        raise ValueError(
            f"{path}: categories: {len(names)} keypoints, but skeleton {skeleton.name!r} has "
            f"{len(skeleton)}"
        )
    if plain != skeleton.keypoints:
        raise ValueError(
            f"{path}: categories: keypoints are {names}, but skeleton {skeleton.name!r} expects "
            f"{skeleton.keypoints}"
        )
    return integer(category, "id", f"{path}: categories")


def _region(people: list[Entry], size: Size, path: Path) -> bytes:
    """Return the run-length code of the union of some people's pixels."""
    codes = [code for p in people for code in _codes(p, size, f"{path}: annotations: id {p['id']}")]
    return rle.merge(codes)["counts"]


def _codes(person: Entry, size: Size, where: str) -> list[Any]:
    """Return run-length codes of a person's outline, or of the box where there is none."""
    outline = person.get("segmentation")
    try:
        if isinstance(outline, dict):
            # COCO writes crowds as a list of run lengths, OCHuman people as a compressed string.
            code = (
                rle.frPyObjects(outline, *size) if isinstance(outline["counts"], list) else outline
            )
            if list(code["size"]) != list(size):
                raise ValueError(f"its size is {code['size']}, the image's {list(size)}")
            return [code]
        polygons = [p for p in outline or [] if len(p) >= 6 and len(p) % 2 == 0]
        if polygons:
            return rle.frPyObjects(polygons, *size)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: segmentation: neither polygons nor a run-length code: {error}"
        ) from error
    return rle.frPyObjects(np.array([numbers(person, "bbox", 4, where)], np.float64), *size)


def _size(image: Entry, where: str) -> Size:
    size = integer(image, "height", where), integer(image, "width", where)
    if min(size) < 1:
        raise ValueError(f"{where}: height and width must be positive, found {size}")
    return size
