"""The poses at the centers of people, in both frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poselib.decoders.pose_nms import MIN_SCORE, batched_pose_nms, to_poses
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.outputs import RegressionOutputs
from tests.decoders.dense_poses import dense_outputs, scattered

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
def test_a_pose_begins_at_its_cell_less_the_offset(frame: Frame, place: float) -> None:
    outputs = maps()
    outputs.centers[0, 0, 1, 3], outputs.offsets[0, 0, :, 1, 3] = 0.7, torch.tensor([0.5, -1.0])
    people = found(outputs, frame=frame)
    assert people.images.tolist() == [0] and people.centers.tolist() == [pytest.approx(0.7)]
    assert people.points.tolist() == [[[12 + place - 2, 4 + place + 4]]]


def test_in_enlarged_maps_a_pose_begins_at_the_pixel_of_its_center() -> None:
    """Heat of two cells is highest between their middles; the offset is that of the cell."""
    outputs = maps()
    outputs.centers[0, 0, 1, 2], outputs.centers[0, 0, 1, 3] = 0.8, 0.6
    outputs.offsets[0, 0, 0, 1] = torch.arange(5.0)
    people = found(outputs, frame="index", enlarge=True, max_people=1)
    # Pixels 9 and 10, in the third cell, lie at equal distances from its middle.
    assert people.points[0, 0].tolist() in ([9 - 8, 5], [9 - 8, 6], [10 - 8, 5], [10 - 8, 6])


def test_thresholds_and_numbers() -> None:
    outputs = maps()
    for column, height in ((0, 0.9), (2, 0.5), (4, 0.125)):
        outputs.centers[0, 0, 0, column] = height
    assert len(found(outputs, center_threshold=0.125)) == 2
    assert len(found(outputs, center_threshold=0.05)) == 3
    assert found(outputs, center_threshold=0.05, max_people=1).centers.tolist() == [
        pytest.approx(0.9)
    ]
    assert len(found(outputs, nms_kernel=lambda _: 5)) == 1
    nobody = found(outputs, center_threshold=1.0)
    assert len(nobody) == 0 and nobody.points.shape == (0, 1, 2)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("enlarge", [True, False])
def test_people_come_image_after_image(frame: Frame, enlarge: bool) -> None:
    points = scattered(3, 4)
    outputs = dense_outputs(points, (256, 320), frame=frame)
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
def test_what_is_not_finite_is_nobody(bad: float, enlarge: bool) -> None:
    outputs = maps()
    outputs.centers[0, 0, 0, 0], outputs.centers[0, 0, 3, 4] = 0.9, 0.8
    outputs.offsets[0, 0, 1, 0, 0] = bad
    people = found(outputs, enlarge=enlarge, max_people=1 if not enlarge else 5)
    assert (people.centers < 0.85).all() or len(people) == 0
    outputs = replace(maps(), centers=torch.full((1, 1, 4, 5), bad))
    assert len(found(outputs, enlarge=enlarge)) == 0


def test_rows_and_masks_choose_people() -> None:
    people = CenterPoses(torch.arange(3), torch.rand(3), torch.rand(3, 2, 2))
    for rows in (torch.tensor([2, 0]), torch.tensor([True, False, True])):
        some = people[rows]
        assert len(some) == 2 and torch.equal(some.points, people.points[rows])
    assert len(people[torch.zeros(0, dtype=torch.int64)]) == 0


# And on to people


def test_the_best_of_each_image_is_kept() -> None:
    square = torch.tensor([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    points = torch.stack([square, square + 0.1, square + 50, square])
    people = CenterPoses(torch.tensor([0, 0, 0, 2]), torch.ones(4), points)
    scores = torch.tensor([0.5, 0.7, 0.2, 0.1])
    options: dict[str, Any] = {"distance": 0.05, "fraction": 0.5}
    assert batched_pose_nms(people, scores, **options, max_people=30).tolist() == [1, 2, 3]
    assert batched_pose_nms(people, scores, **options, max_people=1).tolist() == [1, 3]
    none = people[torch.zeros(0, dtype=torch.int64)]
    assert batched_pose_nms(none, scores[:0], **options, max_people=5).tolist() == []


def test_people_go_to_their_images() -> None:
    people = CenterPoses(torch.tensor([0, 0, 2]), torch.ones(3), torch.rand(3, 2, 2))
    scores = torch.tensor([[0.5, -1.0], [0.0, 0.25], [0.5, 0.5]])
    poses = to_poses(people, scores, torch.tensor([0.3, 0.2, 0.1]), 4)
    assert [len(p) for p in poses] == [2, 0, 1, 0]
    np.testing.assert_array_equal(poses[2].keypoints[0], people.points[2])
    least = np.float32(MIN_SCORE)
    assert poses[0].scores.tolist() == [[0.5, least], [least, 0.25]] and poses[0].found.all()
    np.testing.assert_allclose(poses[0].person_scores, [0.3, 0.2])
    assert poses[1].keypoints.shape == (0, 2, 2)
