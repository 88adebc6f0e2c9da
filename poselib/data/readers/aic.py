"""Reader of AI Challenger's own keypoint files.

A JSON list with one entry per image: ``image_id`` (the file's name without ``.jpg``),
``human_annotations`` (boxes by person) and ``keypoint_annotations`` (triples by person, whose
third number is 1 visible, 2 hidden, 3 not labeled).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from poselib.annotations import PIXEL_CENTER
from poselib.data.boxes import box_areas
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers.json_fields import (
    Entry,
    corners,
    entries,
    entry,
    load_json,
    numbers,
    text,
)
from poselib.skeletons import AIC

# The dataset's visibility to that of COCO.
_VISIBILITY = {1: 2, 2: 1, 3: 0}


class AicKeypoints(KeypointImages):
    """Images and people of AI Challenger's training or validation file.

    They are numbered from 1 in the file's order. People with only a box become part of
    ``Sample.ignore_mask``. The area of a person is that of the whole box, as in the dataset's own
    evaluation. Files in COCO's format are read by ``CocoKeypoints`` with the same skeleton.

    Args:
        annotations: the JSON file, such as ``keypoint_validation_annotations_20170911.json``.
        images: the folder of its images.
        keep_empty: keep images without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not of this format, or has a bad or missing field.
    """

    def __init__(self, annotations: Path, images: Path, keep_empty: bool = True) -> None:
        path = Path(annotations)
        rows = [_image(image, path) for image in entries(load_json(path), str(path))]
        super().__init__(gather(path, rows, len(AIC), keep_empty), images, AIC)


def _image(image: Entry, path: Path) -> AnnotatedImage:
    name = text(image, "image_id", str(path))
    where = f"{path}: image {name}"
    boxes = entry(image.get("human_annotations"), f"{where}: human_annotations")
    points = entry(image.get("keypoint_annotations"), f"{where}: keypoint_annotations")
    if odd := sorted(points.keys() - boxes.keys()):
        raise ValueError(f"{where}: {odd} have keypoints, but no box")
    corners_of = [corners(boxes, person, f"{where}: human_annotations") for person in boxes]
    rows = [_points(points, person, f"{where}: keypoint_annotations") for person in boxes]
    sides = np.array(corners_of, np.float64).reshape(-1, 4)
    return AnnotatedImage(
        file_name=f"{name}.jpg",
        keypoints=np.array(rows, np.float64).reshape(-1, len(AIC), 3),
        boxes=sides,
        areas=box_areas(sides, fraction=1),
    )


def _points(points: Entry, person: str, where: str) -> list[tuple[float, float, int]]:
    if points.get(person) in (None, []):
        return [(0, 0, 0)] * len(AIC)
    values = numbers(points, person, 3 * len(AIC), where)
    marks = values[2::3]
    if not all(mark in _VISIBILITY for mark in marks):
        raise ValueError(f"{where}: {person}: visibility must be 1, 2 or 3, found {marks}")
    return [
        (x + PIXEL_CENTER, y + PIXEL_CENTER, _VISIBILITY[int(mark)])
        for x, y, mark in zip(values[::3], values[1::3], marks, strict=True)
    ]
