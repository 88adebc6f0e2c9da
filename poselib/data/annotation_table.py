"""Building of an ``AnnotationTable`` from annotated images, whatever the format of their files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.typing import BoolArray, FloatArray

if TYPE_CHECKING:  # Processes that render scenes would wait for torch.
    from poselib.structures import Size

# The largest number of an annotation file, an area in px²: its square still fits into float32.
LARGEST = 1e12
# How far from the image's corner a coordinate may lie, px: native code counts in 32 bits.
FARTHEST = 1e6
# Pixels of the largest image that is read: Pillow's limit, so that a small file fills no memory.
MAX_PIXELS = 178_956_970


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its annotated people, as a reader finds them.

    Every coordinate is in px of the image file, pixel centers at integer + 0.5.

    Attributes:
        file_name: relative to the folder of images.
        keypoints: (n, K, 3), px and visibility; people without labeled keypoints are ignored.
        boxes: (n, 4) left, top, right, bottom, px.
        areas: (n,) px².
        ignored: (R, 4) further boxes to ignore, px.
        image_id: the dataset's number; the position in the list, from 1, if it has none.
        size: (height, width), px; None if the format does not state it.
        crowd_index: as CrowdPose defines it; None if not known.
        tracks: (n,) numbers that people keep throughout a video; None in photographs.
        head_boxes: (n, 4) as ``boxes``, of the heads; None if not known.
        video: name of the video; empty for photographs.
        time: seconds from the start of the video.
        polygons: outlines (P, 2) of areas to ignore, px.
    """

    file_name: str
    keypoints: NDArray[np.floating]
    boxes: NDArray[np.floating]
    areas: NDArray[np.floating]
    ignored: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 4)))
    image_id: int | None = None
    size: Size | None = None
    crowd_index: float | None = None
    tracks: NDArray[np.integer] | None = None
    head_boxes: NDArray[np.floating] | None = None
    video: str = ""
    time: float = 0.0
    polygons: tuple[NDArray[np.floating], ...] = ()

    @property
    def labeled(self) -> BoolArray:
        """(n,) true for people with a labeled keypoint."""
        return np.any(self.keypoints[..., 2] > 0, axis=1)


def gather(
    source: Path,
    images: Sequence[AnnotatedImage],
    keypoints: int,
    keep_empty: bool = True,
    *,
    need_people: bool = True,
    decimals: int | None = None,
) -> AnnotationTable:
    """Return the table of annotated images.

    Args:
        source: the file or folder that they come from.
        images: in the order of the table.
        keypoints: K.
        keep_empty: keep images without labeled people, as evaluation must.
        need_people: refuse images none of which has a labeled keypoint.
        decimals: round pixel indices and boxes to so many places, as a file would state them.

    Raises:
        ValueError: no image or no labeled keypoint is given, an image's id is used twice, or a
            number is not finite or out of range.
    """
    if need_people and not images:
        raise ValueError(f"{source}: empty dataset: it lists no images")
    ids = [n if i.image_id is None else i.image_id for n, i in enumerate(images, start=1)]
    check_unique(ids, f"{source}: images")
    if need_people and not any(image.labeled.any() for image in images):
        raise ValueError(f"{source}: empty dataset: no person has a labeled keypoint")
    kept = [n for n, image in enumerate(images) if keep_empty or image.labeled.any()]
    rows = [images[n] for n in kept]
    with np.errstate(over="ignore", invalid="ignore"):  # checked below, with the name of the image
        parts = [_columns(image, keypoints, decimals) for image in rows]
    none = np.zeros((0, keypoints, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool)
    points, boxes, areas, ignored = (
        np.concatenate(column) for column in zip(none, *parts, strict=True)
    )
    sizes = tuple(image.size for image in rows if image.size is not None)
    for image in rows:
        check_size(image.size, f"{source}: {image.file_name}")
    table = AnnotationTable(
        image_ids=tuple(ids[n] for n in kept),
        keypoints=points,
        boxes=boxes,
        areas=areas,
        images=np.repeat(np.arange(len(rows)), [len(part[0]) for part in parts]),
        crowds=ignored,
        ignored=ignored,
        categories=np.zeros(len(points), np.int64),
        file_names=tuple(image.file_name for image in rows),
        sizes=sizes if len(sizes) == len(rows) else None,
        crowd_indices={ids[n]: index for n in kept if (index := images[n].crowd_index) is not None},
        source=source,
        **_video_columns(rows),
    )
    check_people(table, lambda row: f"{source}: {table.file_names[table.images[row]]}", "box")
    return table


def _video_columns(rows: Sequence[AnnotatedImage]) -> dict[str, Any]:
    """Return the columns of a table that only videos have; none for photographs."""
    if not any(image.video for image in rows):
        return {}
    tracks, heads = [np.zeros(0, np.int64)], [np.zeros((0, 4))]
    for image in rows:
        labeled = image.labeled
        people, regions = int(labeled.sum()), len(image.ignored) + int((~labeled).sum())
        own = np.full(len(labeled), -1) if image.tracks is None else image.tracks
        head = np.full((len(labeled), 4), np.nan) if image.head_boxes is None else image.head_boxes
        sides = np.concatenate([head[:, :2], head[:, 2:] - head[:, :2]], axis=1)[labeled]
        tracks += [own[labeled].astype(np.int64), np.full(regions, -1)]
        heads += [sides.reshape(people, 4), np.full((regions, 4), np.nan)]
    return {
        "tracks": np.concatenate(tracks),
        "head_boxes": np.concatenate(heads),
        "videos": tuple(image.video for image in rows),
        "times": tuple(image.time for image in rows),
        "polygons": {
            n: tuple(outline - PIXEL_CENTER for outline in image.polygons)
            for n, image in enumerate(rows)
            if image.polygons
        },
    }


def check_people(table: AnnotationTable, where: Callable[[int], str], box: str) -> None:
    """Raise ValueError for the first person with a number that is not finite or out of range.

    Native code is given these numbers; it would crash, or read memory that is not its own.

    Args:
        table: the people; keypoints that are not labeled are zeros.
        where: gives the place of a person in the file from its row.
        box: the file's name of the field of boxes.
    """
    near = np.abs(table.keypoints[..., :2]) <= FARTHEST
    boxes = (np.abs(table.boxes) <= FARTHEST).all(axis=1)
    checks = (
        ("keypoints", near.all(axis=(1, 2)), table.keypoints[..., :2], f"px within ±{FARTHEST:g}"),
        (box, boxes, table.boxes, f"px within ±{FARTHEST:g}"),
        (box, (table.boxes[:, 2:] >= 0).all(axis=1), table.boxes, "a width and height from 0 on"),
        ("area", (table.areas >= 0) & (table.areas <= LARGEST), table.areas, "px²"),
    )
    for name, good, values, wanted in checks:
        for row in np.flatnonzero(~good)[:1].tolist():
            found = values[row]
            if name == "keypoints":
                found = found.flat[np.abs(found).argmax()]
            raise ValueError(f"{where(row)}: {name}: expected {wanted}, found {found.tolist()}")


def check_size(size: Size | None, where: str) -> None:
    """Raise ValueError for a (height, width) that no image that is read can have."""
    if size is not None and min(size) < 1:
        raise ValueError(f"{where}: height and width must be positive, found {size}")
    if size is not None and math.prod(size) > MAX_PIXELS:
        found = f"{size[1]} x {size[0]} px"
        raise ValueError(f"{where}: width and height: {found} are more than {MAX_PIXELS} in all")


def check_unique(ids: Sequence[object], where: str) -> None:
    """Raise ValueError that names the first id that is used twice."""
    if len(set(ids)) < len(ids):
        twice = next(number for number, times in Counter(ids).items() if times > 1)
        raise ValueError(f"{where}: an id is used twice: {twice}")


def _columns(
    image: AnnotatedImage, keypoints: int, decimals: int | None
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return keypoints, boxes and areas of labeled people and of regions, and which are regions."""
    labeled = image.labeled
    regions = np.concatenate([image.ignored, image.boxes[~labeled]])
    # Samples hold float32: what is evaluated must be the same people.
    points = image.keypoints[labeled].reshape(-1, keypoints, 3).astype(np.float32).astype(float)
    points[..., :2] -= PIXEL_CENTER
    corners = np.concatenate([image.boxes[labeled], regions]).astype(np.float32).astype(float)
    if decimals is not None:
        points, corners = np.round(points, decimals), np.round(corners, decimals)
    sides = corners[:, 2:] - corners[:, :2]
    if decimals is not None:
        sides = np.round(sides, decimals)
    areas = image.areas[labeled].astype(np.float32).astype(float)
    return (
        np.concatenate(
            [np.where(points[..., 2:] > 0, points, 0), np.zeros((len(regions), keypoints, 3))]
        ),
        np.concatenate([corners[:, :2], sides], axis=1),
        np.concatenate([areas, sides[len(points) :].prod(axis=1)]),
        np.arange(len(corners)) >= len(points),
    )
