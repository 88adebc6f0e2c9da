"""Left and right that are exchanged on purpose, in people who are made by hand."""

from __future__ import annotations

import numpy as np

from poselib.data.side_check import swapped_sides
from poselib.skeletons import COCO
from poselib.typing import FloatArray


def _people(count: int) -> FloatArray:
    """Return people seen from the front: every left keypoint at larger x."""
    points = np.zeros((count, len(COCO), 3))
    points[..., 2] = 2
    points[..., 1] = np.arange(len(COCO))
    points[..., 0] = 50
    for left, right in COCO.flip_pairs:
        points[:, COCO.index(left), 0], points[:, COCO.index(right), 0] = 60, 40
    return points


def _findings(points: FloatArray) -> dict[str, int]:
    rows = np.ones(len(points), bool)
    return {text: int(r.sum()) for text, r in swapped_sides(points, COCO, rows) if r.any()}


def test_sides_that_are_exchanged() -> None:
    points = _people(30)
    assert not _findings(points)
    one = points.copy()
    one[4] = one[4, COCO.flip_indices]
    ((text, count),) = _findings(one).items()
    assert "the face is visible" in text and count == 1
    hips = points.copy()
    hips[:27, [COCO.index("left_hip"), COCO.index("right_hip")], 0] = 40, 60
    ((text, count),) = _findings(hips).items()
    assert text.startswith("left_hip and right_hip seem exchanged") and count == 27


def test_people_seen_from_behind_are_not_suspected() -> None:
    points = _people(30)[:, COCO.flip_indices]
    points[:, COCO.index("nose"), 2] = 0
    assert not _findings(points)
    points[:, COCO.index("left_hip"), 2] = 0
    assert not _findings(points)
