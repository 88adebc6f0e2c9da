"""Boxes and areas from keypoints."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.boxes import box_areas, head_sizes, keypoint_boxes
from poselib.skeletons import COCO, MPII


def test_boxes_of_labeled_keypoints() -> None:
    keypoints = np.array(
        [
            [[5, 9, 2], [1, 20, 1], [-99, 99, 0]],
            [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[3, 4, 2], [0, 0, 0], [0, 0, 0]],
        ],
        np.float32,
    )
    boxes = keypoint_boxes(keypoints)
    assert boxes.tolist() == [[1, 9, 5, 20], [0, 0, 0, 0], [3, 4, 3, 4]]
    assert box_areas(boxes) == pytest.approx([0.53 * 4 * 11, 0, 0])
    assert box_areas(boxes, fraction=1).tolist() == [44, 0, 0]
    assert boxes.dtype == box_areas(boxes).dtype == np.float32


def test_no_people() -> None:
    boxes = keypoint_boxes(np.zeros((0, 14, 3)))
    assert boxes.shape == (0, 4) and box_areas(boxes).shape == (0,)


def test_head_sizes_by_hand() -> None:
    """In MPII neck and top of the head are 0.8 of the diagonal apart, of which 0.6 count."""
    people = np.zeros((3, len(MPII), 3), np.float32)
    neck, top = MPII.index("upper_neck"), MPII.index("head_top")
    people[:, neck], people[:, top] = (10, 20, 2), (13, 16, 1)
    people[1, top, 2] = people[2, neck, 2] = 0
    np.testing.assert_allclose(head_sizes(people, MPII), [3.75, np.nan, np.nan])
    assert head_sizes(people[:0], MPII).shape == (0,)
    with pytest.raises(ValueError, match="upper_neck"):
        head_sizes(people[:, :17], COCO)
