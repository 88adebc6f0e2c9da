"""A skeleton refuses facts that contradict each other, and gives by index what it has by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from poselib.skeletons import Skeleton

TOY = Skeleton(
    name="toy",
    keypoints=("head", "left_hand", "right_hand", "left_foot", "right_foot"),
    sigmas=(0.1, 0.2, 0.2, 0.3, 0.3),
    flip_pairs=(("left_hand", "right_hand"), ("left_foot", "right_foot")),
    limbs=(("head", "left_hand"), ("right_foot", "head")),
    groups={"halves": (("left_foot", "right_foot"), ("head", "left_hand", "right_hand"))},
)


def test_length_and_index() -> None:
    assert len(TOY) == 5
    assert [TOY.index(name) for name in TOY.keypoints] == [0, 1, 2, 3, 4]


def test_indices_of_limbs_and_mirror() -> None:
    assert TOY.flip_indices.tolist() == [0, 2, 1, 4, 3]
    assert TOY.limb_indices.tolist() == [[0, 1], [4, 0]]
    assert TOY.limb_indices.dtype == TOY.flip_indices.dtype == np.int64
    assert replace(TOY, limbs=()).limb_indices.shape == (0, 2)


def test_group_numbers_follow_the_order_of_the_groups() -> None:
    assert TOY.group_indices("halves").tolist() == [1, 1, 1, 0, 0]
    assert TOY.group_indices("none").tolist() == [0, 1, 2, 3, 4]
    assert TOY.group_indices("whole").tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": ("head", "head", "a", "b", "c")}, "'toy'.*repeat a name"),
        ({"sigmas": (0.1, 0.2)}, "'toy': 2 sigmas for 5 keypoints"),
        ({"sigmas": (0.1, 0.2, 0.0, 0.3, 0.3)}, "'toy': every sigma must be positive"),
        ({"sigmas": (0.1, 0.2, float("nan"), 0.3, 0.3)}, "every sigma must be positive"),
        ({"sigmas": (0.1, 0.2, -1.0, 0.3, 0.3)}, "every sigma must be positive"),
        ({"flip_pairs": (("left_hand", "tail"),)}, "'toy' has no keypoint 'tail'.*left_foot"),
        ({"limbs": (("tail", "head"),)}, "has no keypoint 'tail'"),
        (
            {"flip_pairs": (("left_hand", "right_hand"), ("right_hand", "left_foot"))},
            "'toy': flip_pairs name .*right_hand",
        ),
        ({"flip_pairs": (("head", "head"),)}, "flip_pairs name .*head"),
        ({"groups": {"h": (("head",),)}}, r"'toy': groups\['h'\] must name each keypoint once"),
        ({"groups": {"h": (TOY.keypoints, ("head",))}}, r"groups\['h'\]"),
        ({"groups": {"h": ((*TOY.keypoints[1:], "tail"),)}}, r"groups\['h'\]"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TOY, **changes)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no keypoint 'tail'; it has .*'head'"):
        TOY.index("tail")
    with pytest.raises(
        ValueError, match=r"no hierarchy 'quarters'.*'halves', 'limbs', 'none', 'whole'"
    ):
        TOY.group_indices("quarters")
