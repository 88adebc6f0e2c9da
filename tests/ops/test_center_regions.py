"""Center regions, and to whom their cells belong: by hand, and against loops over cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.ops.center_regions import (
    Region,
    assign_to_nearest,
    assign_to_smallest,
    center_regions,
)
from tests.references.plain_regression import official_owners

torch.set_num_threads(1)


def assigned(
    centers: Tensor,
    image_size: tuple[int, int],
    size: tuple[int, int],
    radius: float = 4.0,
    region: Region = "disc",
) -> Tensor:
    regions = center_regions(centers, image_size, size, radius, region)
    return assign_to_nearest(regions, len(centers), size)


def test_center_regions_by_hand() -> None:
    center = torch.tensor([[[18.0, 18.0, 1.0]]])  # the middle of a cell of 4 px
    disc = assigned(center, (36, 36), (9, 9), 2.0) >= 0
    square = assigned(center, (36, 36), (9, 9), 2.0, "square") >= 0
    assert disc[0, 2:7, 2:7].int().tolist() == [
        *([0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0])
    ]
    assert int(disc.sum()) == 13 and int(square.sum()) == 25
    assert bool(square[0, 2:7, 2:7].all())


@pytest.mark.parametrize("region", ["disc", "square"])
@pytest.mark.parametrize("radius", [0.7, 1.0, 3.5, 4.0])
def test_center_regions_are_symmetric(region: Region, radius: float) -> None:
    """Wherever in its cell the center lies, and also beyond the border."""
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0, 64, (30, 2)):
        center = torch.tensor([[[x, y, 1.0]]], dtype=torch.float64)
        owners = assigned(center, (64, 64), (16, 16), radius, region)[0]
        grid = np.arange(16) + 0.5
        apart = np.abs(np.stack(np.meshgrid(grid, grid)) - np.reshape([x / 4, y / 4], (2, 1, 1)))
        reach = np.hypot(*apart) if region == "disc" else apart.max(axis=0)
        np.testing.assert_array_equal(owners >= 0, reach <= radius)


def test_assignment_to_the_nearest_center() -> None:
    centers = torch.tensor([[[10.0, 18.0, 1.0], [24.0, 18.0, 1.0], [24.0, 18.0, 0.0]]])
    owners = assigned(centers, (36, 36), (9, 9))[0]
    assert owners[4].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    swapped = assigned(centers[:, [1, 0, 2]], (36, 36), (9, 9))[0]
    assert torch.equal(torch.tensor([1, 0, -1])[owners], swapped)


def test_assignment_at_equal_distance_goes_to_the_later_person() -> None:
    centers = torch.tensor([[[18.0, 18.0, 1.0], [18.0, 18.0, 1.0]]])
    owners = assigned(centers, (36, 36), (9, 9))
    assert set(owners.unique().tolist()) == {-1, 1}


@pytest.mark.parametrize("frame", ["center", "index"])
def test_windows_begin_left_of_and_above_the_center(frame: str) -> None:
    """Whatever part of a cell the center lies behind a cell's middle; in pixels, by index."""
    for x in (16.0, 16.25, 19.9):  # by index: 4, or a little more, cells of 4 px
        middle = x + (2.0 if frame == "center" else 0.5)
        center = torch.tensor([[[middle, middle, 1.0]]], dtype=torch.float64)
        regions = center_regions(center, (64, 64), (16, 16), 2.0, "window", frame)  # type: ignore[arg-type]
        owners = assign_to_nearest(regions, 1, (16, 16))[0]
        rows, columns = (owners >= 0).nonzero(as_tuple=True)
        assert rows.unique().tolist() == columns.unique().tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_equal_loops_over_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, people, kinds = (12, 16), 6, 4
    places = rng.uniform(-0.5, 16.5, (people, kinds, 2))
    if seed % 2:
        places = places.round()  # offsets of zero
    labeled = rng.integers(0, 2, (people, kinds, 1))
    middles = rng.uniform(3, 11, (people, 2))
    squares = rng.uniform(20, 400, people)
    squares[1] = squares[0]

    people_of = np.concatenate([places, labeled], axis=-1)
    wanted = official_owners(people_of, middles, squares, size, radius=3)
    keypoints = torch.tensor(np.concatenate([4 * places + 0.5, labeled], axis=-1))[None]
    centers = torch.tensor(np.concatenate([4 * middles + 0.5, np.ones((people, 1))], axis=-1))[None]
    regions = center_regions(centers, (48, 64), size, 3.0, "window", "index")
    found = assign_to_smallest(
        regions, keypoints, torch.tensor(squares)[None], (48, 64), size, "index"
    )
    np.testing.assert_array_equal(found[0], wanted)
    assert len(np.unique(wanted)) > 3
