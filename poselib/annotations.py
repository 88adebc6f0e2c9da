"""The people of a dataset and the people detected in it, as tables that every metric takes.

Coordinates are pixel indices, as COCO's files state them: the center of the first pixel is (0, 0).
In a ``Sample`` and in ``Poses`` it is (0.5, 0.5); ``AnnotationTable.people`` and
``DetectionTable.of_poses`` convert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from poselib.poses import PIXEL_CENTER as PIXEL_CENTER
from poselib.poses import Poses
from poselib.typing import BoolArray, Float32Array, FloatArray, IntArray
from poselib.wording import counted, people_label

if TYPE_CHECKING:  # Processes that render scenes would wait for torch.
    from poselib.structures import Size


@dataclass(frozen=True)
class AnnotationTable:
    """N annotated people in M images, in the order of their images.

    Attributes:
        image_ids: M different ids.
        keypoints: (N, K, 3) float64, pixel indices and visibility (0 not labeled, 1 hidden, 2
            visible).
        boxes: (N, 4) float64, left, top, width, height, px.
        areas: (N,) float64, px²; the ``s²`` of OKS.
        images: (N,) int64, the position of each person's image, in ascending order.
        crowds: (N,) bool, true for a region of several people, which any number of detections may
            match.
        ignored: (N,) bool, true for people who neither help nor hurt: crowds, and those without
            keypoints.
        categories: (N,) int64, the position of each person's category.
        category_ids: the ids of the categories; detections carry one of them.
        file_names: M names relative to the folder of images; empty if not known.
        sizes: M (height, width), px; None if not known.
        crowd_indices: CrowdPose's crowd index by image id, where given.
        regions: run-length code of the pixels whose people are not labeled, by the position of the
            image; where there is none, these are the boxes of ``ignored`` people.
        source: the file or folder that was read; error messages name it.
        tracks: (N,) int64, the number that a person keeps throughout a video; -1 if not known.
        head_boxes: (N, 4) float64, as ``boxes``, of the heads; NaN if not known.
        videos: M names, of the video of each image; empty in a dataset of photographs.
        times: M seconds from the start of the video; empty in a dataset of photographs.
        polygons: outlines (P, 2), pixel indices, of areas whose people are not labeled, by the
            position of the image; they add to the boxes of ``ignored`` people.
    """

    image_ids: tuple[Any, ...]
    keypoints: FloatArray
    boxes: FloatArray
    areas: FloatArray
    images: IntArray
    crowds: BoolArray
    ignored: BoolArray
    categories: IntArray
    category_ids: tuple[Any, ...] = (1,)
    file_names: tuple[str, ...] = ()
    sizes: tuple[Size, ...] | None = None
    crowd_indices: Mapping[Any, float] = field(default_factory=dict)
    regions: Mapping[int, bytes] = field(default_factory=dict)
    source: Path | None = None
    tracks: IntArray | None = None
    head_boxes: FloatArray | None = None
    videos: tuple[str, ...] = ()
    times: tuple[float, ...] = ()
    polygons: Mapping[int, tuple[FloatArray, ...]] = field(default_factory=dict)

    @classmethod
    def empty(cls, image_ids: Sequence[Any], keypoints: int) -> AnnotationTable:
        """Return a table of images without people."""
        return cls(
            image_ids=tuple(image_ids),
            keypoints=np.zeros((0, keypoints, 3)),
            boxes=np.zeros((0, 4)),
            areas=np.zeros(0),
            images=np.zeros(0, np.int64),
            crowds=np.zeros(0, bool),
            ignored=np.zeros(0, bool),
            categories=np.zeros(0, np.int64),
        )

    def __repr__(self) -> str:
        return (
            f"AnnotationTable of {people_label(len(self))} with "
            f"{counted(self.keypoints.shape[1], 'keypoint')} in "
            f"{counted(len(self.image_ids), 'image')} of {self.source or 'no file'}"
        )

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def labeled(self) -> BoolArray:
        """(N, K) true for keypoints that are labeled."""
        return self.keypoints[..., 2] > 0

    @property
    def has_people(self) -> BoolArray:
        """(M,) true for images in which a person has a labeled keypoint."""
        counted = self.images[self.labeled.any(axis=1)]
        return np.bincount(counted, minlength=len(self.image_ids)) > 0

    def rows(self, image: int) -> IntArray:
        """Return the rows of the people of one image, given by its position."""
        first, last = np.searchsorted(self.images, (image, image + 1))
        return np.arange(first, last)

    def masked(self, rows: IntArray | slice = slice(None)) -> BoolArray:
        """Tell which rows are crowds or people without a labeled keypoint: training masks them."""
        return self.crowds[rows] | ~(self.keypoints[rows, :, 2] > 0).any(axis=1)

    def labeled_rows(self, image: int) -> IntArray:
        """Return the rows of the people of one image that a ``Sample`` holds: the labeled ones."""
        rows = self.rows(image)
        return rows[~self.masked(rows)]

    def people(self, image: int) -> tuple[Float32Array, Float32Array]:
        """Return the labeled people of one image as a ``Sample`` holds them.

        Args:
            image: its position.

        Returns:
            (n, K, 3) float32 px with pixel centers at integer + 0.5 and visibility, zeros where not
            labeled; and (n,) float32 areas, px².
        """
        rows = self.labeled_rows(image)
        points = self.keypoints[rows].astype(np.float32)
        points[..., :2] += np.float32(PIXEL_CENTER)
        return np.where(points[..., 2:] > 0, points, 0), self.areas[rows].astype(np.float32)

    def only(self, rows: BoolArray) -> AnnotationTable:
        """Return the table with some of the people, (N,) bool, in all images."""
        return self if rows.all() else _take(self, np.flatnonzero(rows))

    def at(self, positions: IntArray) -> AnnotationTable:
        """Return the table of the images at some positions, in that order."""
        place = np.full(len(self.image_ids), -1)
        place[positions] = np.arange(len(positions))
        images = place[self.images]
        order = np.argsort(images, kind="stable")
        order = order[images[order] >= 0]
        some = _take(self, order)
        ids = tuple(self.image_ids[n] for n in positions)
        codes = {int(place[n]): code for n, code in self.regions.items() if place[n] >= 0}
        outlines = {int(place[n]): some for n, some in self.polygons.items() if place[n] >= 0}
        return replace(
            some,
            images=images[order],
            image_ids=ids,
            file_names=tuple(self.file_names[n] for n in positions if self.file_names),
            sizes=None if self.sizes is None else tuple(self.sizes[n] for n in positions),
            crowd_indices={i: self.crowd_indices[i] for i in ids if i in self.crowd_indices},
            regions=codes,
            videos=tuple(self.videos[n] for n in positions if self.videos),
            times=tuple(self.times[n] for n in positions if self.times),
            polygons=outlines,
        )


@dataclass(frozen=True)
class DetectionTable:
    """P people detected in the images of an ``AnnotationTable``.

    Attributes:
        keypoints: (P, K, 3) float64, pixel indices and a score; zeros for a keypoint that was not
            found.
        scores: (P,) float64, of whole people.
        images, categories: (P,) int64, positions in the table's ``image_ids``, ``category_ids``.
    """

    keypoints: FloatArray
    scores: FloatArray
    images: IntArray
    categories: IntArray

    @classmethod
    def of_poses(cls, poses: Sequence[Poses], keypoints: int) -> DetectionTable:
        """Return the detections of all images as one table, in the first category.

        Args:
            poses: one for each image, px with pixel centers at integer + 0.5.
            keypoints: K.
        """
        counts = np.array([len(each) for each in poses], dtype=np.int64)
        people = Poses.join([Poses.empty(keypoints), *poses])
        return cls(
            keypoints=people.pixel_indices,
            scores=people.person_scores.astype(np.float64),
            images=np.repeat(np.arange(len(poses)), counts),
            categories=np.zeros(counts.sum(), np.int64),
        )

    def __repr__(self) -> str:
        keypoints = counted(self.keypoints.shape[1], "keypoint")
        return f"DetectionTable of {people_label(len(self))} with {keypoints}"

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def areas(self) -> FloatArray:
        """(P,) px², the extent of the keypoints, as pycocotools takes it for a person's size."""
        # By coordinate, so that a few long rows are compared instead of many short ones.
        extent = np.ptp(np.ascontiguousarray(self.keypoints[..., :2].T), axis=1)
        return extent[0] * extent[1]

    @property
    def present(self) -> BoolArray:
        """(P, K) false for a keypoint that is written as 0, 0, 0: it was not found."""
        return (self.keypoints != 0).any(axis=-1)

    def only(self, rows: BoolArray) -> DetectionTable:
        """Return some of the detections, (P,) bool."""
        return self if rows.all() else _take(self, np.flatnonzero(rows))


_Table = TypeVar("_Table", AnnotationTable, DetectionTable)


def _take(table: _Table, rows: IntArray) -> _Table:
    columns: dict[str, Any] = {
        n: v[rows] for n, v in vars(table).items() if isinstance(v, np.ndarray)
    }
    return replace(table, **columns)
