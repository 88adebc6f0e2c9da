"""Readers of COCO-format files and the writer of results in COCO format."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselib.annotations import PIXEL_CENTER, AnnotationTable, DetectionTable
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.coco_json import read_annotations, read_images, read_people
from poselib.data.readers.json_fields import Entry, entries, load_json, number, number_rows, shown
from poselib.ops.io import atomic_write
from poselib.skeletons import Skeleton

__all__ = [
    "PIXEL_CENTER",
    "CocoImages",
    "CocoKeypoints",
    "read_annotations",
    "read_results",
    "upload_path",
    "write_results",
]

# Detections may lie anywhere: that they are wrong is for the evaluation to say, which squares them.
_LARGEST_DETECTED = 1e100
_RESULT_FIELDS = ("image_id", "category_id", "keypoints", "score")


class CocoKeypoints(KeypointImages):
    """Images and people of a COCO-format keypoint file: COCO, CrowdPose, OCHuman or the like.

    Crowds and people without a labeled keypoint become ``Sample.ignore_mask``, from their outline
    where the file gives one and from their box where not. All others are rows of
    ``Sample.keypoints``, with the file's area or 0.53 of the box where it gives none.

    Args:
        annotations: the JSON file.
        images: the folder that its file names are relative to.
        skeleton: which keypoints it annotates, in which order; by default the known skeleton
            whose names its categories have, or else their own, see ``Skeleton.from_coco``.
        keep_empty: keep images without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not COCO, does not fit the skeleton, has a bad or missing field,
            or has no labeled keypoint.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path,
        skeleton: Skeleton | None = None,
        keep_empty: bool = True,
    ) -> None:
        self.annotation_file = Path(annotations)
        table, skeleton = read_people(self.annotation_file, skeleton, keep_empty)
        super().__init__(table, images, skeleton)


class CocoImages(KeypointImages):
    """Images of a COCO-format file without annotations, such as test-dev's.

    They are there to be predicted: ``Poses.to_coco`` and ``write_results`` make the file that
    the evaluation server takes, ``upload_path`` gives its name.

    Args:
        image_info: the JSON file, such as ``image_info_test-dev2017.json``.
        images: the folder that its file names are relative to.
        skeleton: which keypoints are predicted.

    Raises:
        FileNotFoundError: the file, the folder or an image is missing.
        ValueError: the file is not COCO, or has a bad or missing field.
    """

    def __init__(self, image_info: Path, images: Path, skeleton: Skeleton) -> None:
        super().__init__(read_images(Path(image_info), skeleton), images, skeleton)

    def annotations(self) -> AnnotationTable:
        """Raise ValueError: there are none."""
        raise ValueError(
            f"{self.table.source} has no annotations, so there is nothing to compare with: predict "
            "its images and upload the results to the evaluation server"
        )


def read_results(results: Path | Sequence[Entry], annotations: AnnotationTable) -> DetectionTable:
    """Read COCO results of images that a table lists.

    Args:
        results: the JSON file, or the list of it: objects with image_id, category_id, keypoints
            (3K) and score.
        annotations: of the same images.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a field is missing, of the wrong length or not finite, or an image or category
            is not in the table.
    """
    name, listed = "results", results
    if isinstance(results, str | Path):
        name, listed = str(results), load_json(Path(results), "results")
    rows = entries(list(listed) if isinstance(listed, tuple) else listed, name)
    place = {image: n for n, image in enumerate(annotations.image_ids)}
    kind = {category: n for n, category in enumerate(annotations.category_ids)}
    try:
        images = [place[row["image_id"]] for row in rows]
        categories = [kind[row["category_id"]] for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(_fault(rows, annotations, name)) from error
    if not all("keypoints" in row and "score" in row for row in rows):
        raise ValueError(_fault(rows, annotations, name))
    keypoints = annotations.keypoints.shape[1]

    def where(row: int) -> str:
        return f"{name}[{row}]"

    points = number_rows(rows, "keypoints", 3 * keypoints, where, _LARGEST_DETECTED)
    scores = [row["score"] for row in rows]
    if not all(type(score) is float and abs(score) <= _LARGEST_DETECTED for score in scores):
        scores = [number(row, "score", where(n), _LARGEST_DETECTED) for n, row in enumerate(rows)]
    return DetectionTable(
        keypoints=points.reshape(-1, keypoints, 3),
        scores=np.array(scores, np.float64),
        images=np.array(images, np.int64),
        categories=np.array(categories, np.int64),
    )


def write_results(results: list[dict[str, Any]], path: Path) -> None:
    """Write COCO results as JSON; the file appears whole or not at all.

    Raises:
        ValueError: a number is not finite.
    """
    try:
        text = json.dumps(results, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: results must be finite numbers: {error}") from error
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def upload_path(folder: Path, algorithm: str, part: str = "test-dev2017") -> Path:
    """Return where COCO's server wants results of a part: the name states part and algorithm.

    Raises:
        ValueError: the algorithm's name is empty, or has anything but letters, digits, - and _.
    """
    if not re.fullmatch(r"[\w-]+", algorithm, re.ASCII):
        raise ValueError(f"algorithm must be letters, digits, - or _, not {algorithm!r}")
    return Path(folder) / f"person_keypoints_{part}_{algorithm}_results.json"


def _fault(results: Sequence[Entry], annotations: AnnotationTable, name: str) -> str:
    """Describe the first result that lacks a field or names an unknown image or category."""
    known = {"image_id": annotations.image_ids, "category_id": annotations.category_ids}
    for row, result in enumerate(results):
        for field in _RESULT_FIELDS:
            if field not in result:
                return f"{name}[{row}]: lacks {field}"
            # Membership of a tuple needs no hash, which a wrong type may lack.
            if field in known and result[field] not in known[field]:
                here = f"{name}[{row}]: {field} {shown(result[field])}"
                if isinstance(result[field], str) and str not in set(map(type, known[field])):
                    return f"{here}: a whole number is wanted, as in the ground truth"
                return f"{here} is not in the ground truth"
    return f"{name}: expected dictionaries"
