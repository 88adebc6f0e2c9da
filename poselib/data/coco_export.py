"""Description of people and skeletons as COCO's annotation files write them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER
from poselib.data.boxes import box_areas
from poselib.data.readers.json_fields import Entry
from poselib.poses import Poses
from poselib.skeletons import SKELETONS, Skeleton


def coco_category(skeleton: Skeleton, category_id: int = 1) -> Entry:
    """Describe a skeleton as a category of COCO's, which counts keypoints from 1.

    Its name is that of a skeleton of one's own, and that of people for the others.
    """
    name = "person" if skeleton.name in SKELETONS else skeleton.name
    return {
        "id": category_id,
        "name": name,
        "supercategory": name,
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


def coco_poses(poses: Poses) -> list[Entry]:
    """Describe detected people as annotations, so that annotation tools can import them.

    Keypoints that were found have visibility 2, and boxes are those of the keypoints. Numbers of
    the annotation, the image and the category are left out.
    """
    points = np.concatenate([poses.keypoints, 2 * poses.found[..., None]], axis=-1)
    corners = np.nan_to_num(poses.boxes).astype(np.float32)
    corners[:, 2:] += corners[:, :2]
    people = coco_people(points.astype(np.float32), corners, box_areas(corners))
    for person, score in zip(people, poses.person_scores.tolist(), strict=True):
        person.update(segmentation=[], score=round(score, 6))  # importers want both
    return people


def _box(corners: NDArray[np.float32]) -> list[float]:
    """Corners as COCO's [x, y, width, height]."""
    left, top, right, bottom = np.round(corners.astype(np.float64), 3).tolist()
    return [left, top, round(right - left, 3), round(bottom - top, 3)]
