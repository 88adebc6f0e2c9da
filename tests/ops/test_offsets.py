"""Target offsets of positive cells, and person sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.ops.offsets import person_diagonals, positive_cells, squared_sizes
from poselib.structures import AffineTransform, RegressionTargets
from tests.ops.factories import offset_maps


def targets_of(keypoints: Tensor, assignment: Tensor, stride: int = 4) -> RegressionTargets:
    """Targets of which only people and center regions matter."""
    height, width = assignment.shape[-2:]
    return RegressionTargets(
        heatmaps=(),
        masks=(),
        keypoints=keypoints,
        areas=torch.zeros(keypoints.shape[:2]),
        image_size=(stride * height, stride * width),
        centers=keypoints.mean(dim=2),
        center_assignment=assignment,
    )


def random_targets(seed: int = 0) -> RegressionTargets:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, (52, 36), (2, 3, 4, 2))
    seen = rng.integers(0, 3, (2, 3, 4, 1))
    keypoints = torch.tensor(np.concatenate([points, seen], -1), dtype=torch.float32)
    return targets_of(keypoints, torch.tensor(rng.integers(-1, 3, (2, 8, 12))))


def test_cell_minus_offset_is_the_keypoint() -> None:
    targets = random_targets()
    offsets, weights = offset_maps(targets)
    assert offsets.shape == (2, 4, 2, 8, 12) and weights.shape == (2, 4, 8, 12)
    counted = 0
    for b, row, column in np.ndindex(2, 8, 12):
        owner = int(targets.center_assignment[b, row, column])
        if owner < 0:
            assert not weights[b, :, row, column].any() and not offsets[b, ..., row, column].any()
            continue
        person = targets.keypoints[b, owner]
        inside = (person[:, 0] >= 0) & (person[:, 0] < 48) & (person[:, 1] >= 0)
        inside &= (person[:, 1] < 32) & (person[:, 2] > 0)
        assert torch.equal(weights[b, :, row, column] > 0, inside)
        here = 4 * (torch.tensor([column, row]) + 0.5 - offsets[b, :, :, row, column])
        torch.testing.assert_close(here[inside], person[inside, :2])
        assert not offsets[b, ~inside, :, row, column].any()
        counted += int(inside.sum())
    assert counted > 100


def test_positive_cells_are_those_with_a_center_assignment() -> None:
    targets = random_targets(1)
    owned = positive_cells(targets)
    count = int((targets.center_assignment >= 0).sum())
    assert owned.offsets.shape == (count, 4, 2) and owned.weights.shape == (count, 4)
    assert (targets.center_assignment[owned.images, owned.rows, owned.columns] >= 0).all()


def test_weight_is_one_over_person_size() -> None:
    keypoints = torch.tensor(
        [[[[1.0, 1, 2], [31, 41, 1], [0, 0, 0]], [[9.0, 9, 2]] + [[0.0] * 3] * 2]]
    )
    owners = torch.tensor([[[0, 1], [-1, 1]]]).repeat_interleave(8, 1).repeat_interleave(8, 2)
    _, weights = offset_maps(targets_of(keypoints, owners))
    assert weights[0, :, 0, 0].tolist() == pytest.approx([1 / 50, 1 / 50, 0])
    # One keypoint has no box: it counts as a cell.
    assert weights[0, :, 0, -1].tolist() == pytest.approx([1 / 4, 0, 0])


def test_person_size_area() -> None:
    areas = torch.tensor([[25.0, 100.0, 400.0], [30.0, 900.0, 64.0]])
    targets = replace(random_targets(2), areas=areas)
    owned = positive_cells(targets, "area")
    people = targets.center_assignment[owned.images, owned.rows, owned.columns]
    roots = areas[owned.images, people].sqrt()
    counted = positive_cells(targets).weights > 0
    torch.testing.assert_close(owned.weights, counted / roots[:, None])
    # Without an area a person counts as a cell.
    assert positive_cells(random_targets(2), "area").weights.max() == 1 / 4
    # LOGO-CAP, Eq. (5) as printed.
    times = positive_cells(targets, "times_area")
    torch.testing.assert_close(times.weights, counted * areas[owned.images, people][:, None])
    with pytest.raises(ValueError, match="person_size must be one of"):
        positive_cells(targets, "height")  # type: ignore[arg-type]


def test_size_with_the_corner_of_the_file() -> None:
    """DEKR's code: the box of the labeled keypoints reaches to (0, 0) of the image file."""
    points = torch.tensor([[[[10.0, 20.0, 2.0], [13.0, 24.0, 1.0], [99.0, 99.0, 0.0]]]])
    half = AffineTransform(np.array([[2.0, 0, 10], [0, 2.0, 20]]))  # file px of an input px
    areas = torch.tensor([[9.0]])
    for warp, size in ((AffineTransform.identity(), (13, 24)), (half, (36 / 2, 68 / 2))):
        found = squared_sizes(points, areas, "origin", (warp,))
        assert found.item() == pytest.approx(size[0] ** 2 + size[1] ** 2)
    with pytest.raises(ValueError, match="needs to_original"):
        squared_sizes(points, areas, "origin")


def test_person_diagonals_by_hand() -> None:
    nan = math.nan
    keypoints = torch.tensor(
        [
            [[10.0, 20, 2], [13, 24, 1], [900, 900, 0]],  # 3 by 4
            [[10.0, 20, 2], [nan, nan, 0], [0, 0, 0]],  # a single one
            [[0.0, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[10.0, 20, 2], [13, 24, 1], [11, 21, 2]],  # a large person, mostly cropped
        ]
    )[None]
    areas = torch.tensor([[24.0, 0, 0, 900]])
    assert person_diagonals(keypoints, areas)[0].tolist() == pytest.approx([5, 0, 0, 30])


def test_positive_cells_without_people() -> None:
    targets = targets_of(torch.zeros(2, 0, 4, 3), torch.full((2, 3, 5), -1))
    offsets, weights = offset_maps(targets)
    assert offsets.shape == (2, 4, 2, 3, 5) and not offsets.any() and not weights.any()
    assert len(positive_cells(targets).images) == 0
