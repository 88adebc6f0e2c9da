"""Faults of a COCO-format dataset: which, where and how often, all of them before any training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poselib.data.annotation_table import FARTHEST, LARGEST, MAX_PIXELS
from poselib.data.coco_folder import CocoPart
from poselib.data.image_io import image_size
from poselib.data.readers.coco_categories import keypoint_categories
from poselib.data.readers.json_fields import Entry, shown
from poselib.data.side_check import swapped_sides
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import BoolArray, FloatArray
from poselib.wording import counted, people_label

_HEADERS = 5000  # image files that are opened at most
_SHOWN = 3  # places of a fault in its sentence
_FAR = 1.0  # px beyond the image's border: annotation programs round


@dataclass(frozen=True)
class Finding:
    """One kind of fault of a dataset.

    Attributes:
        problem: what is wrong, after "3 of 120 images:".
        where: the places in the file, all of them.
        of: how many records were looked at.
        kind: of the records, ``"images"``, ``"annotations"`` or ``"people"``.
        fatal: whether the dataset cannot be trained on until it is mended.
    """

    problem: str
    where: tuple[str, ...]
    of: int
    kind: str
    fatal: bool

    def __str__(self) -> str:
        places = ", ".join(self.where[:_SHOWN]) + (", ..." if len(self.where) > _SHOWN else "")
        return f"{len(self.where)} of {self.of} {self.kind}: {self.problem}: {places}"


@dataclass(frozen=True)
class DatasetReport:
    """What a check of a dataset found.

    Attributes:
        source: the annotation file.
        images, people: how many it lists; people with a labeled keypoint.
        keypoints: K names.
        findings: the faults that prevent a training first.
    """

    source: str
    images: int
    people: int
    keypoints: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def fatal(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.fatal)

    def __str__(self) -> str:
        names = ", ".join(self.keypoints[:6]) + (", ..." if len(self.keypoints) > 6 else "")
        head = (
            f"{self.source}: {counted(self.images, 'image')}, {people_label(self.people)} with "
            f"labeled keypoints of {len(self.keypoints)} ({names})"
        )
        words = {True: "must be mended", False: "please look at"}
        lines = [f"  {words[each.fatal]}: {each}" for each in self.findings]
        return "\n".join([head, *(lines or ["  no fault found"])])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it, with every place of every fault."""
        return {
            **{name: getattr(self, name) for name in ("source", "images", "people")},
            "keypoints": list(self.keypoints),
            "findings": [
                {**vars(each), "where": list(each.where), "count": len(each.where)}
                for each in self.findings
            ],
        }


def check_dataset(part: CocoPart, skeleton: Skeleton) -> DatasetReport:
    """Look for faults of an annotation file and of its images, without reading pixels.

    What a reader refuses is fatal: missing or unreadable images, sizes that are not those of the
    files, ids that are used twice or of no image, keypoints that are not numbers or too few,
    negative boxes. Other findings are likely mistakes that a training survives: keypoints outside
    of the image, people without keypoints, images listed twice or without people, left and right
    that seem exchanged.

    Raises:
        ValueError: no category has the skeleton's keypoints.
    """
    chosen = keypoint_categories(part.content["categories"], skeleton, part.annotations)
    images: list[Entry] = part.content["images"]
    listed: list[Entry] = part.content["annotations"]
    people = [person for person in listed if person.get("category_id", chosen[0]) in chosen]
    kinds = [each.get("id") for each in part.content["categories"]]
    foreign = tuple(_name(p) for p in listed if p.get("category_id") not in kinds)
    problem = "category_id is that of no listed category"
    sizes = {image["id"]: size for image in images if (size := _stated_size(image)) is not None
             and isinstance(image.get("id"), int)}  # fmt: skip
    points, wrong = _keypoints(people, skeleton)
    usable = np.array([not each for each in wrong], bool)
    labeled = (points[..., 2] > 0).any(axis=1)
    known = np.array([_is_id(p.get("image_id")) and p["image_id"] in sizes for p in people], bool)
    found = [
        Finding(problem, foreign, len(listed), "annotations", True),
        *_image_faults(images, part),
        *_record_faults(images, people, wrong, 3 * len(skeleton)),
        *_pose_faults(people, points, usable, known & usable & labeled, sizes),
        *_empty_images(images, people, np.asarray(labeled)),
    ]
    names = [_name(person) for person in people]
    for problem, rows in swapped_sides(points, skeleton, labeled & usable):
        found.append(Finding(problem, _at(names, rows), int(labeled.sum()), "people", False))
    return DatasetReport(
        source=str(part.annotations),
        images=len(images),
        people=int(labeled.sum()),
        keypoints=skeleton.keypoints,
        findings=tuple(sorted((f for f in found if f.where), key=lambda f: not f.fatal)),
    )


def _name(record: Mapping[str, Any]) -> str:
    name = record.get("file_name")
    return f"id {shown(record.get('id'))}" + (f" ({name})" if isinstance(name, str) else "")


def _at(names: Sequence[str], rows: BoolArray) -> tuple[str, ...]:
    return tuple(names[row] for row in np.flatnonzero(rows).tolist())


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _stated_size(image: Entry) -> Size | None:
    height, width = image.get("height"), image.get("width")
    if not isinstance(height, int) or not isinstance(width, int):
        return None
    return (height, width) if min(height, width) > 0 and height * width <= MAX_PIXELS else None


def _image_faults(images: Sequence[Entry], part: CocoPart) -> Iterator[Finding]:
    """Yield what is wrong with files and sizes; of many images, some at even steps are opened."""
    missing, broken, differing, sizeless = [], [], [], []
    there: list[tuple[Entry, Any]] = []
    for image in images:
        name = image.get("file_name")
        path = part.images / str(name).replace("\\", "/")
        if not isinstance(name, str) or not name or len(name) > 4096 or not path.is_file():
            missing.append(_name(image))
            continue
        there.append((image, path))
        if _stated_size(image) is None:
            sizeless.append(_name(image))
    opened = there[:: max(1, math.ceil(len(there) / _HEADERS))]
    for image, path in opened:
        stated = _stated_size(image)
        try:
            height, width = image_size(path)
            if stated in (None, (height, width)):
                continue
            if stated != image_size(path, upright=True):  # some tools state that of the picture
                wanted = f"{stated[1]}x{stated[0]}" if stated else ""
                differing.append(f"{_name(image)} is {width}x{height}, stated {wanted}")
        except (OSError, ValueError):
            broken.append(_name(image))
    names = Counter(str(image.get("file_name")) for image in images)
    twice = tuple(_name(i) for i in images if names[str(i.get("file_name"))] > 1)
    total = len(images)
    yield Finding(f"there is no such file in {part.images}", (*missing,), total, "images", True)
    yield Finding("the file is no image", (*broken,), len(opened), "images", True)
    problem = "width and height are not those of the file"
    yield Finding(problem, (*differing,), len(opened), "images", True)
    yield Finding("width and height are wanted, px", (*sizeless,), total, "images", True)
    yield Finding("the file is listed more than once", twice, total, "images", False)


def _record_faults(
    images: Sequence[Entry], people: Sequence[Entry], wrong: Sequence[str], numbers: int
) -> Iterator[Finding]:
    """Yield what is wrong with ids, boxes and the form of keypoints."""
    for kind, records in (("images", images), ("annotations", people)):
        ids = Counter(str(record.get("id")) for record in records)
        twice = tuple(_name(r) for r in records if ids[str(r.get("id"))] > 1)
        yield Finding("the id is used more than once", twice, len(records), kind, True)
        odd = tuple(_name(r) for r in records if not _is_id(r.get("id")))
        yield Finding("the id must be a whole number", odd, len(records), kind, True)
    known = {image["id"] for image in images if _is_id(image.get("id"))}

    def fault(field: str, problem: str, bad: Callable[[Entry], bool]) -> Finding:
        where = tuple(f"{_name(p)} has {shown(p.get(field))}" for p in people if bad(p))
        return Finding(f"{field} {problem}", where, len(people), "annotations", True)

    form = "must be left, top, width and height, px"
    lost = "is that of no listed image"
    yield fault("image_id", lost, lambda p: not _is_id(n := p.get("image_id")) or n not in known)
    yield fault("bbox", form, lambda p: _bad_box(p, form=True))
    yield fault("bbox", "has a negative width or height", lambda p: _bad_box(p, form=False))
    yield fault("area", "must be px², from 0 on", lambda p: not _is_area(p.get("area")))
    odd = tuple(f"{_name(p)} has {w}" for p, w in zip(people, wrong, strict=True) if w)
    problem = f"keypoints must be {numbers} numbers, x, y and visibility 0, 1 or 2 of each"
    yield Finding(problem, odd, len(people), "annotations", True)


def _wrong(given: Any, skeleton: Skeleton) -> str:
    """Return why keypoints cannot be read: their number, or the first value that is wrong."""
    if not isinstance(given, list) or len(given) != 3 * len(skeleton):
        return counted(len(given), "value") if isinstance(given, list) else shown(given)
    for place, value in enumerate(given):
        if not (value in (0, 1, 2) if place % 3 == 2 else _is_number(value)):
            return f"{shown(value)} as {'xyv'[place % 3]} of {skeleton.keypoints[place // 3]}"
    return ""


def _bad_box(person: Entry, *, form: bool) -> bool:
    box: Any = person.get("bbox")
    right = isinstance(box, list) and len(box) == 4 and all(_is_number(value) for value in box)
    if form:  # a reader does without a box where there is an area
        return not right and not (box is None and _is_number(person.get("area")))
    return right and min(box[2:]) < 0


def _is_area(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value <= LARGEST)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= FARTHEST  # false for NaN


def _keypoints(people: Sequence[Entry], skeleton: Skeleton) -> tuple[FloatArray, list[str]]:
    """Return (N, K, 3) keypoints, and what is wrong with those that cannot be read: left zero."""
    points, wrong = np.zeros((len(people), len(skeleton), 3)), [""] * len(people)
    for row, person in enumerate(people):
        if (given := person.get("keypoints")) not in (None, []):
            wrong[row] = _wrong(given, skeleton)
            if not wrong[row]:
                points[row] = np.reshape(given, points.shape[1:])
    return points, wrong


def _pose_faults(
    people: Sequence[Entry],
    points: FloatArray,
    usable: BoolArray,
    placed: BoolArray,
    sizes: Mapping[int, Size],
) -> Iterator[Finding]:
    """Yield likely mistakes in the keypoints of people, those ``placed`` in a known image."""
    names, labeled = [_name(person) for person in people], points[..., 2] > 0
    total = int(labeled.any(axis=1).sum())
    given = np.array([person.get("keypoints") not in (None, []) for person in people], bool)
    crowd = np.array([bool(person.get("iscrowd")) for person in people], bool)
    problem = "no keypoints: ignored in training and evaluation"
    yield Finding(problem, _at(names, ~given & ~crowd), len(people), "annotations", False)
    empty = given & usable & ~labeled.any(axis=1) & ~crowd
    problem = "no keypoint is labeled (every visibility is 0): ignored"
    yield Finding(problem, _at(names, empty), len(people), "annotations", False)
    outside = np.zeros(len(people), bool)
    for row in np.flatnonzero(placed).tolist():
        height, width = sizes[people[row]["image_id"]]
        xy = points[row, labeled[row], :2]
        outside[row] = (xy < -_FAR).any() or (xy > np.array([width, height]) + _FAR - 1).any()
    problem = "a keypoint lies outside of the image"
    yield Finding(problem, _at(names, outside), total, "people", False)
    origin = labeled & (points[..., :2] == 0).all(axis=-1)
    problem = "a labeled keypoint is at 0, 0, where missing ones are written"
    yield Finding(problem, _at(names, origin.any(axis=1)), total, "people", False)
    zero = np.array([p.get("num_keypoints") == 0 for p in people], bool) & labeled.any(axis=1)
    problem = "num_keypoints says 0, so evaluation ignores them"
    yield Finding(problem, _at(names, zero), total, "people", False)


def _empty_images(
    images: Sequence[Entry], people: Sequence[Entry], labeled: BoolArray
) -> Iterator[Finding]:
    used = {str(p.get("image_id")) for p, some in zip(people, labeled, strict=True) if some}
    where = tuple(_name(image) for image in images if str(image.get("id")) not in used)
    fatal = len(where) == len(images)
    problem = "no person with a labeled keypoint" + ("" if fatal else ": not trained on")
    yield Finding(problem, where, len(images), "images", fatal)
