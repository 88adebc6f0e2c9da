"""Parsing and checking of COCO-format keypoint files, as COCO, CrowdPose and OCHuman use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.data.annotation_table import PeopleTable
from poselib.data.coco_export import PIXEL_CENTER
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    entry,
    integer,
    load_json,
    number,
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
        FileNotFoundError: the file is absent.
        ValueError: it is not JSON, or lacks a list.
    """
    content = entry(load_json(path), str(path))
    return {field: entries(content.get(field), f"{path}: {field}") for field in fields}


def read_table(path: Path, skeleton: Skeleton, keep_empty: bool) -> PeopleTable:
    """Read a keypoint file and check every field that is used.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not COCO, does not fit the skeleton, or has a bad or missing field.
    """
    content = read_json(path)
    category = _category(content["categories"], skeleton, path)
    images = _images(content["images"], path)
    people = [p for p in content["annotations"] if p.get("category_id") == category]
    labeled, unlabeled = _by_image(people, images, len(skeleton), path)
    if not any(labeled.values()):
        raise ValueError(f"{path}: empty dataset: nobody has a labeled keypoint")
    kept = {n: image for n, image in images.items() if keep_empty or labeled[n]}
    rows = [person for n in kept for person in labeled[n]]
    points = np.array([p["keypoints"] for p in rows], np.float32).reshape(-1, len(skeleton), 3)
    table = _image_table(kept, len(skeleton), path)
    regions = zip((unlabeled[n] for n in kept), table.sizes or (), strict=True)
    return replace(
        table,
        keypoints=_centered(points),
        areas=np.array([_area(person, path) for person in rows], np.float32),
        starts=np.cumsum([0, *(len(labeled[n]) for n in kept)]),
        ignored={i: _region(some, size, path) for i, (some, size) in enumerate(regions) if some},
        category_id=category,
    )


def read_images(path: Path, skeleton: Skeleton) -> PeopleTable:
    """Read a file that lists images and annotates nobody, such as test-dev's.

    Results carry category 1, a person in every COCO file.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not COCO, or has a bad or missing field.
    """
    images = read_json(path, ("images",))["images"]
    return _image_table(_images(images, path), len(skeleton), path)


def _images(listed: list[Entry], path: Path) -> dict[int, Entry]:
    images = {integer(image, "id", f"{path}: images"): image for image in listed}
    if not images:
        raise ValueError(f"{path}: empty dataset: images lists none")
    if len(images) != len(listed):
        raise ValueError(f"{path}: images: an id is used twice")
    return images


def _image_table(images: dict[int, Entry], keypoints: int, path: Path) -> PeopleTable:
    """Table of images with nobody in them."""
    where = {n: f"{path}: images: id {n}" for n in images}
    return PeopleTable(
        source=path,
        image_ids=tuple(images),
        sizes=tuple(_size(image, where[n]) for n, image in images.items()),
        file_names=tuple(text(image, "file_name", where[n]) for n, image in images.items()),
        keypoints=np.zeros((0, keypoints, 3), np.float32),
        areas=np.zeros(0, np.float32),
        starts=np.zeros(len(images) + 1, np.int64),
        crowd_indices={
            n: number(image, "crowdIndex", where[n])
            for n, image in images.items()
            if "crowdIndex" in image
        },
    )


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


def _by_image(
    people: list[Entry], images: dict[int, Entry], keypoints: int, path: Path
) -> tuple[dict[int, list[Entry]], dict[int, list[Entry]]]:
    """Check people and split them by image into labeled ones and those to ignore."""
    labeled: dict[int, list[Entry]] = {number: [] for number in images}
    unlabeled: dict[int, list[Entry]] = {number: [] for number in images}
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
        points = _keypoints(person, keypoints, where)
        visible = any(points[2::3]) and not person.get("iscrowd", 0)
        (labeled if visible else unlabeled)[image].append(person)
    return labeled, unlabeled


def _keypoints(person: Entry, keypoints: int, where: str) -> list[float]:
    points = numbers(person, "keypoints", 3 * keypoints, where)
    if not all(value in (0, 1, 2) for value in points[2::3]):
        raise ValueError(f"{where}: keypoints: visibility must be 0, 1 or 2, found {points[2::3]}")
    return points


def _area(person: Entry, path: Path) -> float:
    where = f"{path}: annotations: id {person['id']}"
    if person.get("area") is None:
        _, _, width, height = numbers(person, "bbox", 4, where)
        return AREA_OF_BOX * width * height
    area = number(person, "area", where)
    if area < 0:
        raise ValueError(f"{where}: area: expected px², found {area}")
    return area


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


def _centered(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Go from pixel indices to pixel centers; keypoints that are not labeled become zeros."""
    shift = np.array([PIXEL_CENTER, PIXEL_CENTER, 0], dtype=np.float32)
    return np.where(keypoints[..., 2:] > 0, keypoints + shift, np.float32(0))
