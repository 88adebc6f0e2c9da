"""Parsing and checking of COCO-format keypoint files, as COCO, CrowdPose and OCHuman use it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.ops.oks import AREA_OF_BOX
from poselib.skeleton import Skeleton
from poselib.structures import Size

Entry = dict[str, Any]


@dataclass(frozen=True)
class CocoTable:
    """What a keypoint file says, in arrays that are cheap to send to another process.

    Attributes:
        category_id: the category that has keypoints.
        image_ids: M numbers.
        file_names: M names, relative to the folder of images.
        sizes: M (height, width), px.
        crowd_indices: CrowdPose's crowd index by image id, where given.
        keypoints: (N, K, 3) float32 of labelled people, as written in the file: pixel indices.
        areas: (N,) float32, px².
        starts: (M + 1,) int64; people ``starts[i]:starts[i + 1]`` are in image i.
        ignored: run-length code of the pixels to ignore, by position of the image.
    """

    category_id: int
    image_ids: tuple[int, ...]
    file_names: tuple[str, ...]
    sizes: tuple[Size, ...]
    crowd_indices: dict[int, float]
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    starts: NDArray[np.int64]
    ignored: dict[int, bytes]


def read_json(path: Path) -> Entry:
    """Return the three lists of a COCO-format file.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not JSON, or not COCO.
    """
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        content = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a COCO object, but it holds a {type(content).__name__}")
    for field in ("images", "annotations", "categories"):
        if not isinstance(content.get(field), list):
            raise ValueError(f"{path}: not COCO: expected a list named {field!r}")
        if not all(isinstance(entry, dict) for entry in content[field]):
            raise ValueError(f"{path}: not COCO: {field} must hold objects")
    return {field: content[field] for field in ("images", "annotations", "categories")}


def read_table(path: Path, skeleton: Skeleton, keep_empty: bool) -> CocoTable:
    """Read a keypoint file and check every field that is used.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not COCO, does not fit the skeleton, or has a bad or missing field.
    """
    content = read_json(path)
    category = _category(content["categories"], skeleton, path)
    images = {_integer(image, "id", f"{path}: images"): image for image in content["images"]}
    if not images:
        raise ValueError(f"{path}: empty dataset: images lists none")
    if len(images) != len(content["images"]):
        raise ValueError(f"{path}: images: an id is used twice")
    people = [p for p in content["annotations"] if p.get("category_id") == category]
    labelled, unlabelled = _by_image(people, images, len(skeleton), path)
    if not any(labelled.values()):
        raise ValueError(f"{path}: empty dataset: nobody has a labelled keypoint")
    kept = [number for number in images if keep_empty or labelled[number]]
    rows = [person for number in kept for person in labelled[number]]
    where = [f"{path}: images: id {number}" for number in kept]
    sizes = tuple(_size(images[n], at) for n, at in zip(kept, where, strict=True))
    ignored = {
        i: _region(unlabelled[number], size, path)
        for i, (number, size) in enumerate(zip(kept, sizes, strict=True))
        if unlabelled[number]
    }
    return CocoTable(
        category_id=category,
        image_ids=tuple(kept),
        file_names=tuple(
            _text(images[n], "file_name", at) for n, at in zip(kept, where, strict=True)
        ),
        sizes=sizes,
        crowd_indices={
            n: _number(images[n], "crowdIndex", at)
            for n, at in zip(kept, where, strict=True)
            if "crowdIndex" in images[n]
        },
        keypoints=np.array([p["keypoints"] for p in rows], np.float32).reshape(
            -1, len(skeleton), 3
        ),
        areas=np.array([_area(person, path) for person in rows], np.float32),
        starts=np.cumsum([0, *(len(labelled[number]) for number in kept)]),
        ignored=ignored,
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
    if len(names) != len(skeleton):
        raise ValueError(
            f"{path}: categories: {len(names)} keypoints, but skeleton {skeleton.name!r} has "
            f"{len(skeleton)}"
        )
    if names != skeleton.keypoints:
        raise ValueError(
            f"{path}: categories: keypoints are {names}, but skeleton {skeleton.name!r} expects "
            f"{skeleton.keypoints}"
        )
    return _integer(category, "id", f"{path}: categories")


def _by_image(
    people: list[Entry], images: dict[int, Entry], keypoints: int, path: Path
) -> tuple[dict[int, list[Entry]], dict[int, list[Entry]]]:
    """Check people and split them by image into labelled ones and those to ignore."""
    labelled: dict[int, list[Entry]] = {number: [] for number in images}
    unlabelled: dict[int, list[Entry]] = {number: [] for number in images}
    seen: set[int] = set()
    for person in people:
        number = _integer(person, "id", f"{path}: annotations")
        where = f"{path}: annotations: id {number}"
        if number in seen:
            raise ValueError(f"{where}: used twice")
        seen.add(number)
        image = _integer(person, "image_id", where)
        if image not in images:
            raise ValueError(f"{where}: image_id {image} is not among images")
        points = _keypoints(person, keypoints, where)
        visible = any(points[2::3]) and not person.get("iscrowd", 0)
        (labelled if visible else unlabelled)[image].append(person)
    return labelled, unlabelled


def _keypoints(person: Entry, keypoints: int, where: str) -> list[float]:
    points = person.get("keypoints")
    if not isinstance(points, list) or len(points) != 3 * keypoints:
        found = f"{len(points)}" if isinstance(points, list) else f"{points!r}"
        raise ValueError(
            f"{where}: keypoints: expected 3 x {keypoints} = {3 * keypoints} numbers, found {found}"
        )
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in points):
        raise ValueError(f"{where}: keypoints: expected finite numbers, found {points}")
    if not all(value in (0, 1, 2) for value in points[2::3]):
        raise ValueError(f"{where}: keypoints: visibility must be 0, 1 or 2, found {points[2::3]}")
    return points


def _area(person: Entry, path: Path) -> float:
    where = f"{path}: annotations: id {person['id']}"
    if person.get("area") is None:
        _, _, width, height = _box(person, where)
        return AREA_OF_BOX * width * height
    area = _number(person, "area", where)
    if area < 0:
        raise ValueError(f"{where}: area: expected px², found {area}")
    return area


def _box(person: Entry, where: str) -> tuple[float, float, float, float]:
    box = person.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"{where}: bbox: expected [x, y, width, height], found {box!r}")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in box):
        raise ValueError(f"{where}: bbox: expected finite numbers, found {box}")
    return box[0], box[1], box[2], box[3]


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
    return rle.frPyObjects(np.array([_box(person, where)], np.float64), *size)


def _size(image: Entry, where: str) -> Size:
    size = _integer(image, "height", where), _integer(image, "width", where)
    if min(size) < 1:
        raise ValueError(f"{where}: height and width must be positive, found {size}")
    return size


def _integer(entry: Entry, field: str, where: str) -> int:
    value = entry.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}: {field}: expected a whole number, found {value!r}")
    return value


def _number(entry: Entry, field: str, where: str) -> float:
    value = entry.get(field)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {field}: expected a finite number, found {value!r}")
    return float(value)


def _text(entry: Entry, field: str, where: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {field}: expected text, found {value!r}")
    return value
