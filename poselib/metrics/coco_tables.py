"""COCO-format ground truth and results, checked and turned into arrays."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from poselib.metrics.validation import numbers, numbers_or
from poselib.ops.oks import AREA_OF_BOX
from poselib.typing import BoolArray, FloatArray, IntArray

Entry = dict[str, Any]

# Lists of a COCO file, with the fields that the evaluation cannot do without.
_FIELDS = {
    "images": ("id",),
    "annotations": ("id", "image_id", "category_id"),
    "categories": ("id",),
}
_RESULT_FIELDS = ("image_id", "category_id", "keypoints", "score")


@dataclass(frozen=True)
class GroundTruth:
    """Annotated people, in the order of the file.

    Attributes:
        keypoints: (N, K, 3) px and visibility.
        boxes: (N, 4) left, top, width, height, px.
        areas: (N,) px².
        crowds: (N,) true for a crowd, which any number of results may match.
        ignored: (N,) true for who neither helps nor hurts: crowds and people without keypoints.
        images, categories: (N,) positions among those that are evaluated.
    """

    keypoints: FloatArray
    boxes: FloatArray
    areas: FloatArray
    crowds: BoolArray
    ignored: BoolArray
    images: IntArray
    categories: IntArray

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def labeled(self) -> BoolArray:
        """(N, K) true for keypoints that count."""
        return self.keypoints[..., 2] > 0

    def only(self, rows: BoolArray) -> GroundTruth:
        return _only(self, rows)


@dataclass(frozen=True)
class Detections:
    """People found, in the order of the results.

    Attributes:
        keypoints: (P, K, 3) px and what the results give as third number.
        scores: (P,).
        images, categories: (P,) positions among those that are evaluated.
    """

    keypoints: FloatArray
    scores: FloatArray
    images: IntArray
    categories: IntArray

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def areas(self) -> FloatArray:
        """(P,) px², the extent of the keypoints, as pycocotools takes it for a person's size."""
        extent = np.ptp(self.keypoints[..., :2], axis=1)
        return extent[:, 0] * extent[:, 1]

    @property
    def present(self) -> BoolArray:
        """(P, K) false for a keypoint that is written as 0, 0, 0: it was not found."""
        return (self.keypoints != 0).any(axis=-1)

    def only(self, rows: BoolArray) -> Detections:
        return _only(self, rows)


_Rows = TypeVar("_Rows", GroundTruth, Detections)


@dataclass(frozen=True)
class Comparison:
    """What is compared with what.

    Attributes:
        truth, found: in images and categories that are evaluated, and in no others.
        images: M image ids, in ascending order: what positions refer to.
        categories: C category ids, likewise.
    """

    truth: GroundTruth
    found: Detections
    images: tuple[Any, ...]
    categories: tuple[Any, ...]

    def of_images(self, ids: Collection[Any]) -> Comparison:
        """Return the same comparison in some of the images alone."""
        kept = np.array([image in ids for image in self.images], dtype=bool)
        position = np.cumsum(kept) - 1
        truth = self.truth.only(kept[self.truth.images])
        found = self.found.only(kept[self.found.images])
        return replace(
            self,
            truth=replace(truth, images=position[truth.images]),
            found=replace(found, images=position[found.images]),
            images=tuple(image for image, keep in zip(self.images, kept, strict=True) if keep),
        )


def read_truth(ground_truth: Entry | Path) -> Entry:
    """Return the ground truth, read from its file if need be, after a look at its lists.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not JSON or not COCO.
    """
    content: Any = ground_truth
    name = "ground truth"
    if isinstance(ground_truth, str | Path):
        path, name = Path(ground_truth), str(ground_truth)
        if not path.is_file():
            raise FileNotFoundError(f"ground truth file {path} does not exist")
        try:
            content = json.loads(path.read_bytes())
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not JSON: {error}") from error
    for field, needed in _FIELDS.items():
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise ValueError(f"{name}: not COCO: expected a list named {field!r}")
        for entry in content[field]:
            if lacking := [key for key in needed if key not in entry]:
                raise ValueError(f"{name}: {field}: an entry lacks {lacking}")
    return content


def compare(
    content: Entry,
    results: Sequence[Entry],
    keypoints: int,
    image_ids: Collection[Any] | None = None,
) -> Comparison:
    """Check ground truth and results and turn them into arrays.

    Args:
        content: what ``read_truth`` returned.
        results: COCO results.
        keypoints: K.
        image_ids: images to evaluate; all by default.

    Raises:
        ValueError: a field is missing, of the wrong length or not finite, or a result or
            ``image_ids`` names an image that the ground truth lacks.
    """
    known = {image["id"] for image in content["images"]}
    images = tuple(sorted(known if image_ids is None else set(image_ids)))
    if not known.issuperset(images):
        raise ValueError(f"image_ids: the ground truth lacks {sorted(set(images) - known)[:5]}")
    categories = tuple(sorted({category["id"] for category in content["categories"]}))
    place = {**dict.fromkeys(known, -1), **{image: n for n, image in enumerate(images)}}
    kind = {category: n for n, category in enumerate(categories)}
    truth = _truth(content["annotations"], keypoints, place, kind)
    found = _found(results, keypoints, place, kind)
    return Comparison(
        truth=truth.only((truth.images >= 0) & (truth.categories >= 0)),
        found=found.only(found.images >= 0),
        images=images,
        categories=categories,
    )


def _truth(
    annotations: list[Entry], keypoints: int, place: dict[Any, int], kind: dict[Any, int]
) -> GroundTruth:
    people = [a for a in annotations if "keypoints" in a]

    def name(row: int) -> str:
        return f"ground truth: annotation {people[row]['id']}"

    points = numbers([a["keypoints"] for a in people], 3 * keypoints, name, "keypoints")
    points = points.reshape(-1, keypoints, 3)
    labeled = (points[..., 2] > 0).sum(axis=1)
    boxes, no_box = numbers_or([a.get("bbox") for a in people], [0, 0, 0, 0], name, "bbox")
    areas, no_area = numbers_or([a.get("area") for a in people], None, name, "area")
    for row in np.flatnonzero(no_box & (no_area | (labeled == 0)))[:1]:
        raise ValueError(f"{name(row)}: bbox: expected [x, y, width, height]")
    size = np.where(no_area, AREA_OF_BOX * boxes[:, 2] * boxes[:, 3], areas[:, 0])
    for row in np.flatnonzero(size < 0)[:1]:
        raise ValueError(f"{name(row)}: area: expected px², found {size[row]}")
    counts = [a.get("num_keypoints", n) for a, n in zip(people, labeled.tolist(), strict=True)]
    crowds = np.array([bool(a.get("iscrowd", 0)) for a in people], dtype=bool)
    return GroundTruth(
        keypoints=points,
        boxes=boxes,
        areas=size,
        crowds=crowds,
        ignored=crowds | np.array([count == 0 for count in counts], dtype=bool),
        images=np.array([place.get(a["image_id"], -1) for a in people], dtype=np.int64),
        categories=np.array([kind.get(a["category_id"], -1) for a in people], dtype=np.int64),
    )


def _found(
    results: Sequence[Entry], keypoints: int, place: dict[Any, int], kind: dict[Any, int]
) -> Detections:
    def name(row: int) -> str:
        return f"results[{row}]"

    try:
        images = [place[result["image_id"]] for result in results]
        categories = [kind[result["category_id"]] for result in results]
        points = [result["keypoints"] for result in results]
        scores = [[result["score"]] for result in results]
    except (KeyError, TypeError) as error:
        raise ValueError(_fault(results, place, kind)) from error
    return Detections(
        keypoints=numbers(points, 3 * keypoints, name, "keypoints").reshape(-1, keypoints, 3),
        scores=numbers(scores, 1, name, "score")[:, 0],
        images=np.array(images, dtype=np.int64),
        categories=np.array(categories, dtype=np.int64),
    )


def _fault(results: Sequence[Entry], place: dict[Any, int], kind: dict[Any, int]) -> str:
    """Say which result lacks a field or is of an image or a category that is not there."""
    known = {"image_id": tuple(place), "category_id": tuple(kind)}
    for row, result in enumerate(results):
        for field in _RESULT_FIELDS:
            if field not in result:
                return f"results[{row}]: lacks {field}"
            # Membership of a tuple needs no hash, which a wrong type may lack.
            if field in known and result[field] not in known[field]:
                return f"results[{row}]: {field} {result[field]} is not in the ground truth"
    return "results: expected dictionaries"


def _only(rows: _Rows, kept: BoolArray) -> _Rows:
    if kept.all():
        return rows
    return replace(rows, **{name: value[kept] for name, value in vars(rows).items()})
