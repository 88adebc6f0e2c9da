"""A table of people as a COCO-format document, which the evaluation reads.

Here and in the reader poselib's coordinates, with pixel centers at integer + 0.5, meet COCO's,
which are pixel indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from poselib.data.boxes import extents
from poselib.data.readers.json_fields import Entry
from poselib.skeletons import Skeleton

if TYPE_CHECKING:  # Processes that draw scenes would wait for torch.
    from poselib.data.annotation_table import PeopleTable
    from poselib.structures import Size

# Added to what COCO writes; taken off what is written for COCO.
PIXEL_CENTER = 0.5


def coco_document(table: PeopleTable, sizes: Sequence[Size], skeleton: Skeleton) -> Entry:
    """Describe images and people in COCO's format.

    Regions to ignore become annotations with ``iscrowd`` 1 and no labeled keypoint.

    Args:
        table: who is where, pixel centers at integer + 0.5.
        sizes: (height, width) of each image, px.
        skeleton: names the keypoints.

    Returns:
        Lists of images, annotations and categories; keypoints are pixel indices.
    """
    images: list[Entry] = []
    for number, name, size in zip(table.image_ids, table.file_names, sizes, strict=True):
        image = {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        if number in table.crowd_indices:
            image["crowdIndex"] = table.crowd_indices[number]
        images.append(image)
    annotations = [*_people(table), *_ignored(table, sizes, len(skeleton))]
    return {
        "images": images,
        # The evaluation takes an id of 0 for no match, so ids start at 1.
        "annotations": [
            {"id": number, "category_id": table.category_id, **annotation}
            for number, annotation in enumerate(annotations, start=1)
        ],
        "categories": [coco_category(skeleton, table.category_id)],
    }


def coco_category(skeleton: Skeleton, category_id: int = 1) -> Entry:
    """Describe a skeleton as COCO's category of people, which counts keypoints from 1."""
    return {
        "id": category_id,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": (skeleton.limb_indices + 1).tolist(),
    }


def coco_people(
    keypoints: NDArray[np.float32], boxes: NDArray[np.float32], areas: NDArray[np.float32]
) -> list[Entry]:
    """Describe people in COCO's format, without numbers of their own, image and category.

    Args:
        keypoints: (N, K, 3), px with centers at integer + 0.5, and visibility.
        boxes: (N, 4) left, top, right, bottom, px.
        areas: (N,) px².
    """
    labeled = keypoints[..., 2] > 0
    points = keypoints.astype(np.float64)
    points[..., :2] = np.where(labeled[..., None], points[..., :2] - PIXEL_CENTER, 0)
    # float32 has no more than three places to give: more would be noise.
    rows = np.round(points, 3).reshape(len(points), 3 * points.shape[1]).tolist()
    return [
        {
            "keypoints": row,
            "num_keypoints": int(mine.sum()),
            "bbox": _box(box),
            "area": float(area),
            "iscrowd": 0,
        }
        for row, mine, box, area in zip(rows, labeled, boxes, areas, strict=True)
    ]


def _people(table: PeopleTable) -> Iterator[Entry]:
    boxes = extents(table.keypoints) if table.boxes is None else table.boxes
    people = coco_people(table.keypoints, boxes, table.areas)
    image_ids = np.repeat(np.array(table.image_ids), np.diff(table.starts)).tolist()
    for image_id, person in zip(image_ids, people, strict=True):
        yield {"image_id": image_id, **person}


def _ignored(table: PeopleTable, sizes: Sequence[Size], keypoints: int) -> Iterator[Entry]:
    nobody = {"keypoints": [0] * 3 * keypoints, "num_keypoints": 0, "iscrowd": 1}
    for i, counts in table.ignored.items():
        code = {"size": list(sizes[i]), "counts": counts}
        yield {
            **nobody,
            "image_id": table.image_ids[i],
            "segmentation": {"size": list(sizes[i]), "counts": counts.decode("ascii")},
            "bbox": rle.toBbox(code).tolist(),
            "area": float(rle.area(code)),
        }
    for i, boxes in table.ignored_boxes.items():
        for box in map(_box, boxes):
            area = box[2] * box[3]
            yield {**nobody, "image_id": table.image_ids[i], "bbox": box, "area": area}


def _box(corners: NDArray[np.float32]) -> list[float]:
    """Corners as COCO's [x, y, width, height]."""
    left, top, right, bottom = np.round(corners.astype(np.float64), 3).tolist()
    return [left, top, round(right - left, 3), round(bottom - top, 3)]
