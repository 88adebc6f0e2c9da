"""Parsing of COCO-format files of videos: tracks, head boxes, ignore regions, unlabeled frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poselib.annotations import PIXEL_CENTER
from poselib.data.annotation_table import check_unique
from poselib.data.boxes import box_areas, keypoint_boxes
from poselib.data.image_io import image_size
from poselib.data.keypoint_dataset import AnnotatedImage
from poselib.data.readers.coco_json import FIELDS
from poselib.data.readers.json_fields import (
    Entry,
    entries,
    entry,
    integer,
    letters,
    load_json,
    number,
    number_column,
    number_rows,
    numbers,
    shown,
    text,
)
from poselib.data.readers.videos import FPS, check_one_size, frame_time, unlabel_outside
from poselib.data.regions import polygon_corners
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import FloatArray, IntArray


def read_video_json(
    path: Path, folder: Path, skeleton: Skeleton, aliases: Mapping[str, str] | None = None
) -> tuple[list[AnnotatedImage], int]:
    """Return the labeled frames of a file, and how many keypoints outside of them are dropped.

    The file is a video, whose frames are of one size. Times follow from the names of the frames,
    where these are numbers, at 25 frames a second or ``info.fps``.

    Args:
        path: the file.
        folder: the folder that names of frames are relative to.
        skeleton: the keypoints to read, by their names; the file may have more.
        aliases: other names of keypoints in the file.

    Raises:
        FileNotFoundError: the file, or a frame whose size is not stated, is missing.
        ValueError: a field is missing or bad; the message names the file, the entry and the field.
    """
    content = entry(load_json(path), str(path))
    lists = {field: entries(content.get(field), f"{path}: {field}") for field in FIELDS}
    frames = {integer(image, "id", f"{path}: images"): image for image in lists["images"]}
    check_unique([image["id"] for image in lists["images"]], f"{path}: images")
    people = _people(
        lists["annotations"], _columns(lists["categories"], path, skeleton, aliases or {}), path
    )
    for row, n in enumerate(people.images):
        if n not in frames:
            raise ValueError(f"{people.where(row)}: image_id {n} is not among images")
    fps = _frame_rate(content, path)
    labeled = {n: image for n, image in frames.items() if image.get("is_labeled", True)}
    size = _size(labeled, path, folder)
    images, outside = [], 0
    for place, (n, image) in enumerate(labeled.items()):
        where, rows = f"{path}: images: id {n}", np.flatnonzero(np.array(people.images) == n)
        name = text(image, "file_name", where)
        check_unique(people.tracks[rows].tolist(), f"{where}: annotations: track_id")
        keypoints, dropped = unlabel_outside(people.keypoints[rows], size)
        outside += dropped
        found = AnnotatedImage(
            file_name=name,
            keypoints=keypoints,
            boxes=people.boxes[rows],
            areas=people.areas[rows],
            image_id=n,
            size=size,
            tracks=people.tracks[rows],
            head_boxes=people.head_boxes[rows],
            video=path.stem,
            time=frame_time(name, place, fps),
            polygons=_polygons(image, where),
        )
        images.append(found)
    return images, outside


def _frame_rate(content: Entry, path: Path) -> float:
    info = content.get("info")
    if not isinstance(info, dict) or "fps" not in info:
        return FPS
    fps = number(info, "fps", f"{path}: info")
    if not fps > 0:
        raise ValueError(f"{path}: info: fps: expected a number above 0, found {fps:g}")
    return fps


def _columns(
    categories: Sequence[Entry], path: Path, skeleton: Skeleton, aliases: Mapping[str, str]
) -> tuple[list[int], int]:
    """Return where the keypoints of the skeleton are among the file's, and how many it has."""
    listed: Any = categories[0].get("keypoints") if categories else None
    names = [letters(name) for name in listed] if isinstance(listed, list) else []
    other = {letters(name): letters(alias) for name, alias in aliases.items()}
    wanted = [letters(name) for name in skeleton.keypoints]
    wanted = [name if name in names else other.get(name, name) for name in wanted]
    missing = [k for k, n in zip(skeleton.keypoints, wanted, strict=True) if n not in names]
    if missing:
        found = f"of {skeleton.name}'s {len(skeleton)} keypoints are missing: {', '.join(missing)}"
        raise ValueError(f"{path}: categories: keypoints: {found}")
    return [names.index(name) for name in wanted], len(names)


def _size(frames: dict[int, Entry], path: Path, folder: Path) -> Size:
    """Return the (height, width) of the frames, from the file of the first if not stated.

    Raises:
        ValueError: they differ.
    """
    sizes: dict[Size, str] = {}
    for n, image in frames.items():
        where = f"{path}: images: id {n}"
        name = text(image, "file_name", where)
        if "width" in image:
            size = integer(image, "height", where), integer(image, "width", where)
            sizes.setdefault(size, name)
        elif not sizes:
            sizes[image_size(folder / name)] = name
    check_one_size(sizes, f"{path}: images: width and height")
    return next(iter(sizes), (0, 0))


@dataclass(frozen=True)
class _People:
    """The people of a video as arrays of N rows, as in an ``AnnotatedImage``."""

    keypoints: FloatArray
    boxes: FloatArray
    head_boxes: FloatArray
    areas: FloatArray
    tracks: IntArray
    images: list[int]
    where: Callable[[int], str]


def _people(people: list[Entry], columns: tuple[list[int], int], path: Path) -> _People:
    def where(row: int) -> str:
        return f"{path}: annotations: id {shown(people[row].get('id'))}"

    places, listed = columns
    points = number_rows(people, "keypoints", 3 * listed, where).reshape(-1, listed, 3)
    points, marks = points[:, places], points[:, places, 2]
    for row in np.flatnonzero(~np.isin(marks, (0, 1, 2)).all(axis=1))[:1].tolist():
        found = marks[row].tolist()
        raise ValueError(f"{where(row)}: keypoints: visibility must be 0, 1 or 2, found {found}")
    points[..., :2] += PIXEL_CENTER
    if not (marks == 2).any():
        points[..., 2] *= 2
    points = np.where(marks[..., None] > 0, points, 0)
    boxes, heads = (_boxes(people, field, where) for field in ("bbox", "bbox_head"))
    absent = ~(boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # without an area, or not stated
    boxes[absent] = keypoint_boxes(points[absent])
    areas = number_column(people, "area", where)
    return _People(
        keypoints=points,
        boxes=boxes,
        head_boxes=heads,
        areas=np.where(np.isnan(areas), box_areas(boxes), areas),
        tracks=np.array([integer(p, "track_id", where(n)) for n, p in enumerate(people)], np.int64),
        images=[integer(person, "image_id", where(n)) for n, person in enumerate(people)],
        where=where,
    )


def _boxes(people: list[Entry], field: str, where: Callable[[int], str]) -> FloatArray:
    """Return left, top, right, bottom (N, 4) of a field; NaN where it is absent."""
    boxes = np.full((len(people), 4), np.nan)
    given = [row for row, person in enumerate(people) if person.get(field) not in (None, [])]
    holders = [people[row] for row in given]
    boxes[given] = number_rows(holders, field, 4, lambda n: where(given[n]))
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _polygons(image: Entry, where: str) -> tuple[FloatArray, ...]:
    """Return the outlines (P, 2), px, of areas whose people are not labeled."""
    sides = []
    for field in ("ignore_regions_x", "ignore_regions_y"):
        listed = image.get(field) or []
        if not isinstance(listed, list) or not all(isinstance(some, list) for some in listed):
            raise ValueError(f"{where}: {field}: expected lists of numbers, found {shown(listed)}")
        sides.append([numbers({field: some}, field, len(some), where) for some in listed])
    lengths = [[len(outline) for outline in side] for side in sides]
    if lengths[0] != lengths[1]:
        found = f"{shown(lengths[0])} and {shown(lengths[1])} numbers"
        raise ValueError(f"{where}: ignore_regions: expected as many x as y, found {found}")
    # Fewer than three corners enclose nothing.
    pairs = [np.array(pair, float).T for pair in zip(*sides, strict=True) if len(pair[0]) > 2]
    for outline in pairs:
        try:
            polygon_corners(outline)
        except ValueError as error:
            raise ValueError(f"{where}: ignore_regions: {error}") from error
    return tuple(pair + PIXEL_CENTER for pair in pairs)
