"""Boxes and areas from keypoints."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from poselib.data.boxes import box_areas, head_sizes, keypoint_boxes, match_boxes
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


def slow_match(boxes: np.ndarray, others: np.ndarray, least: float) -> float:
    """Return the best sum of overlaps of all ways to pair boxes with others."""
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = (sides - np.maximum(boxes[:, None, :2], others[None, :, :2])).clip(0)
    common = sides.prod(axis=2)
    one, other = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others))
    overlap = common / (one[:, None] + other - common)
    overlap[overlap < least] = 0
    few, many = sorted((overlap, overlap.T), key=len)[0], range(max(overlap.shape))
    ways = permutations(many, len(few))
    return max(sum(row[column] for row, column in zip(few, way, strict=True)) for way in ways)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_matched_one_to_one_with_the_largest_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, sides = rng.uniform(0, 40, (2, 4, 2)), rng.uniform(20, 40, (2, 4, 2))
    boxes, others = np.concatenate([low, low + sides], axis=2)
    others = others[: rng.integers(1, 5)]
    for least in (0.1, 0.3):
        found = match_boxes(boxes, others, least)
        pairs = [(row, column) for row, column in enumerate(found.tolist()) if column >= 0]
        assert len({column for _, column in pairs}) == len(pairs)
        single = [slow_match(boxes[[r]], others[[c]], least) for r, c in pairs]
        assert min(single, default=1) >= least
        assert sum(single) == pytest.approx(slow_match(boxes, others, least))


def test_boxes_that_nothing_matches() -> None:
    box, none = np.array([[0.0, 0, 4, 4]]), np.zeros((0, 4))
    assert match_boxes(box, box + 10).tolist() == [-1] and match_boxes(box, box).tolist() == [0]
    assert match_boxes(box, none).tolist() == [-1] and match_boxes(none, box).shape == (0,)
    flat = np.zeros((1, 4))  # of a person whose place is not known
    assert match_boxes(flat, flat).tolist() == [-1]
    assert match_boxes(np.concatenate([flat, box]), np.concatenate([box, flat])).tolist() == [-1, 0]
