"""Reader of OCHuman's own annotation file, ``ochuman.json``.

The file lists its keypoint names, more than COCO's 17, and marks each keypoint as 0 missing, 1
visible, 2 hidden by the person, or 3 hidden by others. The dataset's validation and test files are
in COCO's format and are read by ``CocoKeypoints``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER
from poselib.data.boxes import box_areas
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.json_fields import (
    Entry,
    corners,
    entries,
    entry,
    integer,
    letters,
    load_json,
    numbers,
    shown,
    text,
)
from poselib.skeletons import OCHUMAN

Subset = Literal["all", "val", "test"]

# As in the dataset's own conversion to COCO: hidden by the person itself counts as visible.
_VISIBILITY = np.array([0, 2, 2, 1])
_VALIDATION_IMAGES = 2500


class OcHumanKeypoints(KeypointImages):
    """Images and people of ``ochuman.json``, numbered from 1 in the order of the subset.

    People with only a box become part of ``Sample.ignore_mask``. The area of a person is that of
    the whole box, as in the dataset's own conversion to COCO's format.

    Args:
        annotations: the JSON file.
        images: the folder of its images.
        subset: ``"val"`` and ``"test"`` are the first 2500 and the remaining images among those
            with a person that has both keypoints and an outline; ``"all"`` is every image.
        keep_empty: keep images without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not of this format, has a bad or missing field, or the subset is
            unknown.
    """

    def __init__(
        self, annotations: Path, images: Path, subset: Subset = "all", keep_empty: bool = True
    ) -> None:
        if subset not in get_args(Subset):
            raise ValueError(f"subset must be one of {get_args(Subset)}, not {subset!r}")
        path = Path(annotations)
        content = entry(load_json(path), str(path))
        names = content.get("keypoint_names")
        plain = [letters(name) for name in names] if isinstance(names, list) else []
        wanted = [letters(name) for name in OCHUMAN.keypoints]
        if not set(wanted) <= set(plain):
            raise ValueError(
                f"{path}: keypoint_names: expected COCO's among others, found {shown(names)}"
            )
        columns = np.array([plain.index(name) for name in wanted])
        chosen = _subset(entries(content.get("images"), f"{path}: images"), subset, path)
        rows = [_image(image, len(plain), columns, path) for image in chosen]
        super().__init__(gather(path, rows, len(OCHUMAN), keep_empty), images, OCHUMAN)


def _subset(images: Sequence[Entry], subset: Subset, path: Path) -> Sequence[Entry]:
    if subset == "all":
        return images
    annotated = [
        image
        for image in images
        if any(person.get("keypoints") and person.get("segms") for person in _people(image, path))
    ]
    return annotated[:_VALIDATION_IMAGES] if subset == "val" else annotated[_VALIDATION_IMAGES:]


def _people(image: Entry, path: Path) -> list[Entry]:
    where = f"{path}: images: {text(image, 'file_name', f'{path}: images')}"
    return entries(image.get("annotations"), f"{where}: annotations")


def _image(image: Entry, named: int, columns: NDArray[np.intp], path: Path) -> AnnotatedImage:
    name = text(image, "file_name", f"{path}: images")
    where = f"{path}: images: {name}"
    people = [(p, f"{where}: annotations[{i}]") for i, p in enumerate(_people(image, path))]
    sides = np.array([corners(p, "bbox", at) for p, at in people], np.float64).reshape(-1, 4)
    points = [_points(p, named, at) for p, at in people]
    return AnnotatedImage(
        file_name=name,
        keypoints=np.array(points, np.float64).reshape(-1, named, 3)[:, columns],
        boxes=sides,
        areas=box_areas(sides, fraction=1),
        size=(integer(image, "height", where), integer(image, "width", where)),
    )


def _points(person: Entry, named: int, where: str) -> NDArray[np.float64]:
    """Return the keypoints (named, 3) of a person; zeros if only the box is annotated."""
    if person.get("keypoints") in (None, []):
        return np.zeros((named, 3))
    points = np.array(numbers(person, "keypoints", 3 * named, where)).reshape(named, 3)
    if not np.isin(points[:, 2], (0, 1, 2, 3)).all():
        raise ValueError(
            f"{where}: keypoints: visibility must be 0 to 3, found {points[:, 2].tolist()}"
        )
    visibility = _VISIBILITY[points[:, 2].astype(np.int64)]
    return np.column_stack([points[:, :2] + PIXEL_CENTER, visibility])
