"""Images and people of a dataset as one table, whatever the format of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from poselib.structures import Size


@dataclass(frozen=True)
class PeopleTable:
    """What annotation files say, in arrays that are cheap to send to another process.

    Every coordinate is in px of the image file, pixel centers at integer + 0.5.

    Attributes:
        source: the file or folder that says it, named by error messages.
        image_ids: M different numbers.
        file_names: M names, relative to the folder of images.
        sizes: M (height, width), px; None if the format does not state them.
        keypoints: (N, K, 3) float32 of labeled people: x, y and visibility (0 not labeled, 1
            hidden, 2 visible); x and y are 0 where not labeled.
        areas: (N,) float32, px²; the ``s²`` of OKS.
        starts: (M + 1,) int64; people ``starts[i]:starts[i + 1]`` are in image i.
        boxes: (N, 4) float32, left, top, right, bottom; None for the extent of the keypoints.
        ignored: compressed run-length code of the pixels to ignore, by position of the image.
        ignored_boxes: (R, 4) float32 boxes to ignore, by position of the image.
        crowd_indices: CrowdPose's crowd index by image id, where given.
        category_id: the number that results must carry.
    """

    source: Path
    image_ids: tuple[int, ...]
    file_names: tuple[str, ...]
    sizes: tuple[Size, ...] | None
    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float32] | None = None
    ignored: Mapping[int, bytes] = field(default_factory=dict)
    ignored_boxes: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    crowd_indices: Mapping[int, float] = field(default_factory=dict)
    category_id: int = 1

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with everyone in it, as a reader finds them.

    Attributes:
        file_name: relative to the folder of images.
        keypoints: (n, K, 3), px and visibility; whoever has no labeled keypoint is ignored.
        boxes: (n, 4) left, top, right, bottom, px.
        areas: (n,) px².
        ignored: (R, 4) further boxes to ignore, px.
        image_id: the dataset's number; the position in the list, from 1, if it has none.
        size: (height, width), px; None if the format does not state it.
    """

    file_name: str
    keypoints: NDArray[np.floating]
    boxes: NDArray[np.floating]
    areas: NDArray[np.floating]
    ignored: NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 4)))
    image_id: int | None = None
    size: Size | None = None

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """(n,) who has a labeled keypoint."""
        return np.any(self.keypoints[..., 2] > 0, axis=1)


def gather(
    source: Path, images: Sequence[AnnotatedImage], keypoints: int, keep_empty: bool = True
) -> PeopleTable:
    """Return the table of some images.

    Args:
        source: the file or folder that they come from.
        images: in the order of the table.
        keypoints: K.
        keep_empty: keep images without labeled people, as evaluation must.

    Raises:
        ValueError: no image or no labeled keypoint is given, or an image's id is used twice.
    """
    if not images:
        raise ValueError(f"{source}: empty dataset: it lists no images")
    ids = [n if i.image_id is None else i.image_id for n, i in enumerate(images, start=1)]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{source}: images: an id is used twice")
    if not any(image.labeled.any() for image in images):
        raise ValueError(f"{source}: empty dataset: nobody has a labeled keypoint")
    kept = [n for n, image in enumerate(images) if keep_empty or image.labeled.any()]
    rows = [images[n] for n in kept]
    ignored = [np.concatenate([i.ignored, i.boxes[~i.labeled]]) for i in rows]
    points = np.concatenate([i.keypoints[i.labeled].reshape(-1, keypoints, 3) for i in rows])
    sizes = tuple(image.size for image in rows if image.size is not None)
    return PeopleTable(
        source=source,
        image_ids=tuple(ids[n] for n in kept),
        file_names=tuple(image.file_name for image in rows),
        sizes=sizes if len(sizes) == len(rows) else None,
        keypoints=np.where(points[..., 2:] > 0, points, 0).astype(np.float32),
        areas=np.concatenate([i.areas[i.labeled] for i in rows]).astype(np.float32),
        starts=np.cumsum([0, *(int(i.labeled.sum()) for i in rows)]),
        boxes=np.concatenate([i.boxes[i.labeled] for i in rows]).astype(np.float32),
        ignored_boxes={n: b.astype(np.float32) for n, b in enumerate(ignored) if len(b)},
    )
