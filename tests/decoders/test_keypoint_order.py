"""Fixed orders of keypoint types (HAE, Table IX) and grouping by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.decoders.grouping import Candidates, GroupingOptions
from poselib.decoders.keypoint_order import (
    ORDERS,
    fixed_order_steps,
    group_fixed_order,
    keypoint_order,
)
from poselib.skeletons import COCO, CROWDPOSE, SKELETONS


def chain(tags: list[float]) -> Candidates:
    """One candidate a keypoint type, with the given tags."""
    count = len(tags)
    return Candidates(
        np.zeros((count, 1, 2), np.int64),
        np.ones((count, 1), np.float32),
        np.array(tags, np.float32)[:, None, None],
    )


def test_orders_of_crowdpose_are_those_of_the_paper() -> None:
    assert keypoint_order(CROWDPOSE, "dataset") == tuple(range(14))
    assert keypoint_order(CROWDPOSE, "top_down") == (12, 13, *range(12))
    assert keypoint_order(CROWDPOSE, "bottom_up") == (*range(11, -1, -1), 13, 12)


def test_orders_of_coco() -> None:
    assert keypoint_order(COCO, "top_down") == tuple(range(17))
    # The 1-based list of the published COCO configuration.
    published = [1, 2, 3, 4, 5, 6, 7, 12, 13, 8, 9, 10, 11, 14, 15, 16, 17]
    assert keypoint_order(COCO, "torso_first") == tuple(i - 1 for i in published)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_orders_hold_every_keypoint_once(skeleton, name) -> None:
    assert sorted(keypoint_order(skeleton, name)) == list(range(len(skeleton)))


def test_unknown_orders_and_keypoints_are_refused() -> None:
    with pytest.raises(ValueError, match="sideways"):
        keypoint_order(COCO, "sideways")  # type: ignore[arg-type]
    tailed = replace(
        COCO, keypoints=("tail", *COCO.keypoints[1:]), limbs=(), flip_pairs=(), groups={}
    )
    with pytest.raises(ValueError, match="tail"):
        keypoint_order(tailed, "top_down")


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (1, 2, 3)])
def test_order_must_be_a_permutation(order: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="3 keypoint types once"):
        group_fixed_order(chain([0, 0, 0]), order, GroupingOptions())


def test_types_without_candidates_are_skipped() -> None:
    candidates = chain([0, 0, 0, 0])
    candidates.values[1] = 0
    steps = fixed_order_steps(candidates, (3, 1, 0, 2), GroupingOptions())
    assert [step.keypoint for step in steps] == [3, 0, 2]
    assert all(np.isnan(step.distances).all() for step in steps)


def test_order_determines_the_groups() -> None:
    # The mean tag drifts: 0, 0.4, 0.7 stay together going up; starting from 1.4, 0 is too far.
    candidates = chain([0.0, 0.9, 1.4])
    assert len(group_fixed_order(candidates, (0, 1, 2), GroupingOptions()).members) == 1
    assert len(group_fixed_order(candidates, (0, 2, 1), GroupingOptions()).members) == 2
