"""Building of an ``AnnotationTable`` from annotated images, whatever the format of their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.typing import BoolArray, FloatArray

if TYPE_CHECKING:  # Processes that render scenes would wait for torch.
    from poselib.structures import Size


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
    """

    file_name: str
    keypoints: NDArray[np.floating]
    boxes: NDArray[np.floating]
    areas: NDArray[np.floating]
    ignored: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 4)))
    image_id: int | None = None
    size: Size | None = None
    crowd_index: float | None = None

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
        ValueError: no image or no labeled keypoint is given, or an image's id is used twice.
    """
    if need_people and not images:
        raise ValueError(f"{source}: empty dataset: it lists no images")
    ids = [n if i.image_id is None else i.image_id for n, i in enumerate(images, start=1)]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{source}: images: an id is used twice")
    if need_people and not any(image.labeled.any() for image in images):
        raise ValueError(f"{source}: empty dataset: no person has a labeled keypoint")
    kept = [n for n, image in enumerate(images) if keep_empty or image.labeled.any()]
    rows = [images[n] for n in kept]
    parts = [_columns(image, keypoints, decimals) for image in rows]
    none = np.zeros((0, keypoints, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros(0, bool)
    points, boxes, areas, ignored = (
        np.concatenate(column) for column in zip(none, *parts, strict=True)
    )
    sizes = tuple(image.size for image in rows if image.size is not None)
    return AnnotationTable(
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
    )


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
