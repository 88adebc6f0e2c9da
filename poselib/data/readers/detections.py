"""Reader of boxes of detected people in COCO's results format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.annotation_table import FARTHEST
from poselib.data.readers.json_fields import entries, integer, load_json, number, number_rows
from poselib.typing import Float32Array


@dataclass(frozen=True)
class Boxes:
    """Boxes of people in one image.

    Attributes:
        corners: (n, 4) float32, left, top, right, bottom, px.
        scores: (n,) float32.
    """

    corners: Float32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.corners)


def read_detections(
    path: Path, image_ids: Collection[Any], min_score: float = 0.0, category_id: int = 1
) -> Mapping[Any, Boxes]:
    """Return the detected people of each image, the best first.

    Args:
        path: a list of objects with ``image_id``, ``category_id``, ``bbox`` (left, top, width and
            height, px) and ``score``.
        image_ids: the images of the dataset.
        min_score: detections of lower scores are left out.
        category_id: of people; detections of other categories are left out.

    Returns:
        Boxes by image id, of all ``image_ids``.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is no such list, a field is missing or bad, a box has no area, or an image
            is not of the dataset.
    """
    listed, known = entries(load_json(path, "detection"), str(path)), set(image_ids)

    def where(row: int) -> str:
        return f"{path}: [{row}]"

    images = [integer(found, "image_id", where(row)) for row, found in enumerate(listed)]
    kinds = [integer(found, "category_id", where(row)) for row, found in enumerate(listed)]
    boxes = number_rows(listed, "bbox", 4, where)
    scores = np.array([number(found, "score", where(n)) for n, found in enumerate(listed)])
    for row, image in enumerate(images):
        if image not in known:
            raise ValueError(f"{where(row)}: image_id: the dataset has no image {image}")
    bad = ~((boxes[:, 2:] > 0).all(axis=1) & (np.abs(boxes) <= FARTHEST).all(axis=1))
    for row in np.flatnonzero(bad)[:1].tolist():
        found = boxes[row].tolist()
        raise ValueError(f"{where(row)}: bbox: expected a box with an area, found {found}")
    kept = (scores >= min_score) & (np.array(kinds, np.int64) == category_id)
    rows: dict[Any, list[int]] = {image: [] for image in image_ids}
    for row in np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")].tolist():
        rows[images[row]].append(row)
    boxes[:, 2:] += boxes[:, :2]
    return {
        image: Boxes(boxes[some].astype(np.float32), scores[some].astype(np.float32))
        for image, some in rows.items()
    }
