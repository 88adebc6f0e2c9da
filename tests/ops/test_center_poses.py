"""Poses at the peaks of center maps, in both frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import RegressionOutputs
from tests.decoders.factories import ideal_outputs, scattered

SIZE = (16, 20)
WINDOW: Callable[[tuple[int, int]], int] = lambda _: 3  # noqa: E731


def maps() -> RegressionOutputs:
    return RegressionOutputs(
        torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 2, 4, 5), SIZE
    )


def found(*scales: RegressionOutputs, **options: Any) -> CenterPoses:
    given = {"max_people": 5, "nms_kernel": WINDOW, "center_threshold": 0.1, **options}
    return poses_at_centers(scales, scales[0].image_size, **given)


@pytest.mark.parametrize(("frame", "place"), [("center", 2.0), ("index", 0.0)])
def test_pose_is_center_cell_minus_offset(frame: Frame, place: float) -> None:
    outputs = maps()
    outputs.centers[0, 0, 1, 3], outputs.offsets[0, 0, :, 1, 3] = 0.7, torch.tensor([0.5, -1.0])
    people = found(outputs, frame=frame)
    assert people.images.tolist() == [0] and people.centers.tolist() == [pytest.approx(0.7)]
    assert people.points.tolist() == [[[12 + place - 2, 4 + place + 4]]]


def test_pose_is_center_pixel_minus_offset_in_enlarged_maps() -> None:
    """Heat of two cells is highest between their middles; the offset is that of the cell."""
    outputs = maps()
    outputs.centers[0, 0, 1, 2], outputs.centers[0, 0, 1, 3] = 0.8, 0.6
    outputs.offsets[0, 0, 0, 1] = torch.arange(5.0)
    people = found(outputs, frame="index", enlarge=True, max_people=1)
    # Pixels 9 and 10, in the third cell, lie at equal distances from its middle.
    assert people.points[0, 0].tolist() in ([9 - 8, 5], [9 - 8, 6], [10 - 8, 5], [10 - 8, 6])


def test_center_threshold_kernel_and_max_people() -> None:
    outputs = maps()
    for column, height in ((0, 0.9), (2, 0.5), (4, 0.125)):
        outputs.centers[0, 0, 0, column] = height
    assert len(found(outputs, center_threshold=0.125)) == 2
    assert len(found(outputs, center_threshold=0.05)) == 3
    assert found(outputs, center_threshold=0.05, max_people=1).centers.tolist() == [
        pytest.approx(0.9)
    ]
    assert len(found(outputs, nms_kernel=lambda _: 5)) == 1
    empty = found(outputs, center_threshold=1.0)
    assert len(empty) == 0 and empty.points.shape == (0, 1, 2)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("enlarge", [True, False])
def test_poses_are_ordered_by_image(frame: Frame, enlarge: bool) -> None:
    points = scattered(3, 4)
    outputs = ideal_outputs(points, (256, 320), frame=frame)
    people = found(outputs, frame=frame, enlarge=enlarge, max_people=20, center_threshold=0.9)
    assert people.images.tolist() == sorted(people.images.tolist())
    half = 0.5 * (frame == "index")
    for image in range(3):
        of = people[people.images == image]
        assert (of.centers.diff() <= 0).all()
        apart = (of.points[:, None] + half - torch.from_numpy(points[image])).abs().amax(dim=(2, 3))
        assert sorted(set(apart.argmin(dim=1).tolist())) == [0, 1, 2, 3]
        # In enlarged maps a pose begins up to three pixels beside what its cell stands for.
        assert apart.amin(dim=1).max() < (3.1 if enlarge else 1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("enlarge", [True, False])
def test_nonfinite_poses_are_dropped(bad: float, enlarge: bool) -> None:
    outputs = maps()
    outputs.centers[0, 0, 0, 0], outputs.centers[0, 0, 3, 4] = 0.9, 0.8
    outputs.offsets[0, 0, 1, 0, 0] = bad
    people = found(outputs, enlarge=enlarge, max_people=1 if not enlarge else 5)
    assert (people.centers < 0.85).all() or len(people) == 0
    outputs = replace(maps(), centers=torch.full((1, 1, 4, 5), bad))
    assert len(found(outputs, enlarge=enlarge)) == 0


def test_indexing_by_rows_and_masks() -> None:
    people = CenterPoses(torch.arange(3), torch.rand(3), torch.rand(3, 2, 2))
    for rows in (torch.tensor([2, 0]), torch.tensor([True, False, True])):
        some = people[rows]
        assert len(some) == 2 and torch.equal(some.points, people.points[rows])
    assert len(people[torch.zeros(0, dtype=torch.int64)]) == 0
