"""Gaussian heatmaps against loops over cells, the official targets and simple geometry."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.ops.gaussians import Overlap, Window, gaussian_heatmaps, keypoint_cells

torch.set_num_threads(1)

SUBPIXEL = pytest.mark.parametrize("subpixel", [True, False])


def keypoints_of(*points: tuple[float, float], visibility: float = 2.0) -> Tensor:
    """(1, N, 1, 3): one keypoint type of N people."""
    return torch.tensor([[[[x, y, visibility]] for x, y in points]])


def random_keypoints(seed: int, size: tuple[int, int], people: int = 4, kinds: int = 3) -> Tensor:
    """(2, N, K, 3) float64, a fifth of them unlabeled and some beyond the border."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-0.15, 1.15, (2, people, kinds, 2)) * (size[1], size[0])
    visibility = rng.choice([0, 1, 2], (2, people, kinds), p=[0.2, 0.3, 0.5])
    return torch.tensor(np.concatenate([xy, visibility[..., None]], axis=-1))


def slow_heatmaps(
    keypoints: Tensor,
    image_size: tuple[int, int],
    size: tuple[int, int],
    sigma: float,
    subpixel: bool,
    overlap: str,
) -> np.ndarray:
    """Evaluate every keypoint at every cell of every map; cells outside its window stay 0."""
    batch, people, kinds, _ = keypoints.shape
    height, width = size
    maps = np.zeros((batch, kinds, height, width))
    reach = math.floor(3 * sigma + 1)
    for b, n, k in np.ndindex(batch, people, kinds):
        x, y, visibility = keypoints[b, n, k].tolist()
        if not visibility > 0 or not 0 <= x < image_size[1] or not 0 <= y < image_size[0]:
            continue
        u, v = x * width / image_size[1], y * height / image_size[0]
        column, row = math.floor(u), math.floor(v)
        if not subpixel:
            u, v = column + 0.5, row + 0.5
        for i, j in np.ndindex(height, width):
            if abs(i - row) <= reach and abs(j - column) <= reach:
                square = (j + 0.5 - u) ** 2 + (i + 0.5 - v) ** 2
                value = math.exp(-square / (2 * sigma**2))
                before = maps[b, k, i, j]
                maps[b, k, i, j] = max(before, value) if overlap == "max" else before + value
    return maps


@SUBPIXEL
@pytest.mark.parametrize("overlap", ["max", "sum"])
@pytest.mark.parametrize(
    ("image_size", "size", "sigma"),
    [((32, 48), (8, 12), 1.0), ((32, 32), (16, 16), 2.0), ((24, 40), (12, 10), 0.6)],
)
def test_gaussians_equal_loops_over_cells(
    image_size: tuple[int, int],
    size: tuple[int, int],
    sigma: float,
    overlap: Overlap,
    subpixel: bool,
) -> None:
    keypoints = random_keypoints(1, image_size)
    fast = gaussian_heatmaps(keypoints, image_size, size, sigma, subpixel, overlap)
    slow = slow_heatmaps(keypoints, image_size, size, sigma, subpixel, overlap)
    assert fast.dtype == torch.float32 and slow.max() > 0.5
    np.testing.assert_allclose(fast, slow, atol=1e-6)
    single = gaussian_heatmaps(keypoints.float(), image_size, size, sigma, subpixel, overlap)
    np.testing.assert_allclose(single, slow, atol=1e-5)


@SUBPIXEL
@pytest.mark.parametrize("sigma", [0.6, 1.0, 1.5])
def test_window_around_the_keypoint(sigma: float, subpixel: bool) -> None:
    """Cells nearer than three sigmas and two cells along both axes hold the whole of Eq. (4)."""
    keypoints = random_keypoints(5, (32, 48), people=1)
    maps = gaussian_heatmaps(keypoints, (32, 48), (16, 24), sigma, subpixel, window="point")
    rendered = 0
    for b, k in np.ndindex(2, 3):
        x, y, visibility = (keypoints[b, 0, k] / torch.tensor([2, 2, 1])).tolist()
        if not (visibility > 0 and 0 <= x < 24 and 0 <= y < 16):
            assert not maps[b, k].any()
            continue
        center = (x, y) if subpixel else (math.floor(x) + 0.5, math.floor(y) + 0.5)
        along = [np.arange(n) + 0.5 - c for n, c in zip((24, 16), center, strict=True)]
        whole = np.exp(-(along[0] ** 2 + along[1][:, None] ** 2) / (2 * sigma**2))
        near = [np.abs(each) < 3 * sigma + 2 for each in along]
        np.testing.assert_allclose(maps[b, k], whole * near[0] * near[1][:, None], atol=1e-6)
        assert np.array_equal(maps[b, k] > 0, near[0] & near[1][:, None])
        rendered += 1
    assert rendered >= 3


@SUBPIXEL
@pytest.mark.parametrize("window", ["cell", "point"])
def test_sigma_of_each_type(window: Window, subpixel: bool) -> None:
    keypoints = random_keypoints(7, (32, 48))
    sizes, options = ((32, 48), (8, 12)), {"subpixel": subpixel, "window": window}
    maps = gaussian_heatmaps(keypoints, *sizes, (1.0, 2.5, 1.0), **options)
    narrow, wide = (gaussian_heatmaps(keypoints, *sizes, each, **options) for each in (1.0, 2.5))
    assert torch.equal(maps[:, ::2], narrow[:, ::2]) and torch.equal(maps[:, 1], wide[:, 1])
    assert not torch.equal(narrow[:, 1], wide[:, 1])


@SUBPIXEL
def test_images_of_a_batch_are_independent(subpixel: bool) -> None:
    keypoints = random_keypoints(6, (32, 48), people=5)
    keypoints[0, 2:, :, 2] = 0  # padding
    both = gaussian_heatmaps(keypoints, (32, 48), (8, 12), 1.0, subpixel)
    alone = [gaussian_heatmaps(k[None], (32, 48), (8, 12), 1.0, subpixel) for k in keypoints]
    assert both[0].any() and torch.equal(both, torch.cat(alone))


def test_window_omits_only_small_values() -> None:
    """Eq. (4) has no window: what is cut is below exp(-3.0²/2) of the peak, in any case."""
    keypoints = keypoints_of((33.9, 32.1))
    cut = gaussian_heatmaps(keypoints, (64, 64), (64, 64), 2.0)[0, 0]
    grid = torch.arange(64) + 0.5
    whole = torch.exp(-((grid - 33.9) ** 2 + (grid[:, None] - 32.1) ** 2) / 8)
    assert (cut[(whole > math.exp(-4.5)) & (whole <= 1)] > 0).all()
    torch.testing.assert_close(cut, whole, atol=math.exp(-4.5), rtol=0)


@SUBPIXEL
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_peak_is_the_cell_that_contains_the_keypoint(stride: int, subpixel: bool) -> None:
    rng = np.random.default_rng(stride)
    for x, y in rng.uniform(0, 64, (20, 2)):
        size = (64 // stride, 64 // stride)
        maps = gaussian_heatmaps(keypoints_of((x, y)), (64, 64), size, 1.5, subpixel)
        peak = np.unravel_index(int(maps.argmax()), size)
        assert peak == (int(y // stride), int(x // stride))
        assert float(maps.max()) == 1 if not subpixel else float(maps.max()) > 0.8


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_subpixel_gaussians_are_centered_on_the_keypoint(stride: int) -> None:
    """The center of mass, in px, is the keypoint at every stride; quantized, the cell's middle."""
    cells = 128 // stride
    x, y = 65.3, 62.9
    centers = (torch.arange(cells) + 0.5) * stride
    for subpixel, expected in (
        (True, (x, y)),
        (False, ((x // stride + 0.5) * stride, (y // stride + 0.5) * stride)),
    ):
        maps = gaussian_heatmaps(keypoints_of((x, y)), (128, 128), (cells, cells), 2.0, subpixel)[
            0, 0
        ]
        mass = maps / maps.sum()
        found = (float((mass.sum(0) * centers).sum()), float((mass.sum(1) * centers).sum()))
        # The window is cut around the cell, which pulls the center of mass by a trifle.
        assert found == pytest.approx(expected, abs=0.01 * stride)


def test_subpixel_has_no_effect_at_cell_centers() -> None:
    keypoints = keypoints_of((18.0, 10.0), (6.0, 30.0))  # middles of cells of 4 px
    a, b = (
        gaussian_heatmaps(keypoints, (40, 40), (10, 10), 2.0, subpixel=s) for s in (True, False)
    )
    torch.testing.assert_close(a, b)


@SUBPIXEL
def test_heatmaps_depend_on_position_in_cells(subpixel: bool) -> None:
    keypoints = random_keypoints(2, (64, 96))
    whole = gaussian_heatmaps(keypoints, (64, 96), (16, 24), 1.5, subpixel)
    half = keypoints * torch.tensor([0.5, 0.5, 1.0])
    assert torch.equal(whole, gaussian_heatmaps(half, (32, 48), (16, 24), 1.5, subpixel))


@SUBPIXEL
@pytest.mark.parametrize("overlap", ["max", "sum"])
def test_flipped_keypoints_give_flipped_heatmaps(overlap: Overlap, subpixel: bool) -> None:
    keypoints = random_keypoints(3, (32, 48), people=6)
    mirrored = keypoints.clone()
    mirrored[..., 0] = 48 - keypoints[..., 0]
    maps, other = (
        gaussian_heatmaps(k, (32, 48), (8, 12), 1.0, subpixel, overlap)
        for k in (keypoints, mirrored)
    )
    torch.testing.assert_close(maps.flip(-1), other)


def test_overlap_by_hand() -> None:
    keypoints = keypoints_of((2.5, 0.5), (4.5, 0.5))  # middles of two cells, two cells apart
    near, far = math.exp(-1 / 2), math.exp(-4 / 2)
    highest = gaussian_heatmaps(keypoints, (1, 7), (1, 7), 1.0, overlap="max")[0, 0, 0]
    added = gaussian_heatmaps(keypoints, (1, 7), (1, 7), 1.0, overlap="sum")[0, 0, 0]
    assert highest[2:5].tolist() == pytest.approx([1, near, 1])
    assert added[2:5].tolist() == pytest.approx([1 + far, 2 * near, 1 + far])
    assert added[3] > added[2], "the sum peaks between the two"


@SUBPIXEL
def test_order_of_people_and_padding_do_not_matter(subpixel: bool) -> None:
    keypoints = random_keypoints(4, (32, 32), people=5)
    maps = gaussian_heatmaps(keypoints, (32, 32), (8, 8), 1.0, subpixel)
    padding = torch.full((2, 3, 3, 3), 7.0)
    padding[..., 2] = 0
    shuffled = torch.cat([padding, keypoints[:, torch.randperm(5)]], dim=1)
    assert torch.equal(maps, gaussian_heatmaps(shuffled, (32, 32), (8, 8), 1.0, subpixel))


@pytest.mark.parametrize(
    ("x", "y", "visibility"),
    [
        *((-0.001, 5, 2), (5, -0.001, 2), (16, 5, 2), (5, 12, 2), (1e30, 5, 2), (-1e30, 5, 2)),
        *((math.nan, 5, 2), (5, math.nan, 2), (math.inf, 5, 2), (5, -math.inf, 2)),
        *((5, 5, 0), (5, 5, -1), (5, 5, math.nan)),
    ],
)
def test_unlabeled_outside_and_nonfinite_keypoints_are_omitted(
    x: float, y: float, visibility: float
) -> None:
    keypoints = keypoints_of((x, y), visibility=visibility)
    for subpixel in (True, False):
        assert not gaussian_heatmaps(keypoints, (12, 16), (3, 4), 2.0, subpixel).any()
    assert not keypoint_cells(keypoints, (4, 4), (3, 4))[1].any()


@pytest.mark.parametrize(
    ("x", "y", "cell"),
    [(0, 0, (0, 0)), (15.99, 11.99, (3, 2)), (15.99, 0, (3, 0)), (4, 3.99, (1, 0))],
)
def test_keypoints_at_the_border(x: float, y: float, cell: tuple[int, int]) -> None:
    for visibility in (1, 2):
        keypoints = keypoints_of((x, y), visibility=visibility)
        maps = gaussian_heatmaps(keypoints, (12, 16), (3, 4), 2.0, subpixel=False)
        assert float(maps[0, 0, cell[1], cell[0]]) == 1
        found, inside = keypoint_cells(keypoints, (4, 4), (3, 4))
        assert tuple(found[0, 0, 0].tolist()) == cell and bool(inside.all())


def test_keypoint_cells_take_stride_as_y_and_x_and_are_clamped() -> None:
    points = torch.tensor([[9.0, 9.0, 2], [-5.0, 99.0, 2], [math.nan, 1.0, 2]])
    cells, inside = keypoint_cells(points, (2, 4), (6, 3))
    assert cells.dtype == torch.int64
    assert cells.tolist() == [[2, 4], [0, 5], [0, 0]]
    assert inside.tolist() == [True, False, False]


def test_no_people() -> None:
    maps = gaussian_heatmaps(torch.zeros(2, 0, 17, 3), (32, 64), (8, 16), 2.0)
    assert maps.shape == (2, 17, 8, 16) and not maps.any()


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma must be a positive number of cells"):
        gaussian_heatmaps(keypoints_of((1, 1)), (8, 8), (8, 8), sigma)


@pytest.mark.parametrize("sigmas", [(), (1.0, 2.0, 3.0)])
def test_sigmas_must_be_one_or_one_per_type(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=f"sigma must be one number or 1, not {len(sigmas)}"):
        gaussian_heatmaps(keypoints_of((1, 1)), (8, 8), (8, 8), sigmas)
    with pytest.raises(ValueError, match="positive number of cells, not 0"):
        gaussian_heatmaps(keypoints_of((1, 1)), (8, 8), (8, 8), (0.0,))


def test_unknown_overlap_and_window_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap must be 'max' or 'sum', not 'mean'"):
        gaussian_heatmaps(keypoints_of((1, 1)), (8, 8), (8, 8), 1.0, overlap="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window must be 'cell' or 'point', not 'map'"):
        gaussian_heatmaps(keypoints_of((1, 1)), (8, 8), (8, 8), 1.0, window="map")  # type: ignore[arg-type]


# The official targets. Their keypoints are in cells (a map of stride 1), their deviation too; -1
# stands for a 64th of the map. Two faults are left out here:
# - the official code rounds coordinates towards zero, so keypoints less than a cell left of or
#   above the image are rendered at its border (one keypoint, in case 0);
# - its kernel is sampled off its own center unless 3 sigma is whole (case 3, sigma 0.75: by a
#   quarter of a cell).


def official(golden_dir: Path, case: int) -> tuple[Tensor, int, float, np.ndarray, np.ndarray]:
    data = np.load(golden_dir / "hh_targets.npz")
    size, sigma = int(data[f"c{case}_res"]), float(data[f"c{case}_sigma"])
    keypoints = torch.tensor(data[f"c{case}_joints"])[None]
    maps, encoded = data[f"c{case}_heatmap"], data[f"c{case}_encoded"]
    return keypoints, size, sigma if sigma > 0 else size / 64, maps, encoded


def rounded_towards_zero(keypoints: Tensor) -> Tensor:
    moved = keypoints.clone()
    moved[..., :2] = keypoints[..., :2].trunc() + 0.5
    moved[..., 2] *= (keypoints[..., :2] > -1).all(dim=-1)
    return moved


@pytest.mark.golden
@pytest.mark.parametrize("case", [0, 1, 2])
def test_official_heatmaps(golden_dir: Path, case: int) -> None:
    keypoints, size, sigma, maps, _ = official(golden_dir, case)
    rendered = gaussian_heatmaps(
        rounded_towards_zero(keypoints), (size, size), (size, size), sigma, subpixel=False
    )
    np.testing.assert_allclose(rendered[0], maps, atol=1e-7)
    # The official code rounds towards zero: what lies less than a cell left of or above the map is
    # in its first cell. Nothing else differs.
    ours = gaussian_heatmaps(keypoints, (size, size), (size, size), sigma, subpixel=False)
    moved = (keypoints[0, ..., :2] < 0).any(dim=-1) & (keypoints[0, ..., 2] > 0)
    moved &= ((keypoints[0, ..., :2] > -1) & (keypoints[0, ..., :2] < size)).all(dim=-1)
    differing = (ours[0] != rendered[0]).flatten(1).any(dim=1)
    assert not (differing & ~moved.any(dim=0)).any()
    for person, kind in moved.nonzero().tolist():
        column, row = keypoints[0, person, kind, :2].clamp(min=0).long().tolist()
        assert rendered[0, kind, row, column] == 1


@pytest.mark.golden
def test_official_heatmaps_of_an_off_center_kernel(golden_dir: Path) -> None:
    keypoints, size, sigma, maps, _ = official(golden_dir, 3)
    assert sigma == 0.75
    off_center = keypoints.clone()
    off_center[..., :2] = keypoints[..., :2].floor() + 0.5 + 0.25
    rendered = gaussian_heatmaps(off_center, (size, size), (size, size), sigma)
    np.testing.assert_allclose(rendered[0], maps, atol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize("case", [0, 1, 2, 3])
def test_official_keypoint_indices(golden_dir: Path, case: int) -> None:
    """The official encoder packs each person's visible keypoints to the left."""
    keypoints, size, _, _, encoded = official(golden_dir, case)
    cells, inside = keypoint_cells(rounded_towards_zero(keypoints), (1, 1), (size, size))
    kind = torch.arange(keypoints.shape[2])
    flat = (kind * size + cells[0, ..., 1]) * size + cells[0, ..., 0]
    packed = np.zeros_like(encoded)
    for person, (indices, seen) in enumerate(zip(flat, inside[0], strict=True)):
        visible = indices[seen].numpy()
        packed[person, : len(visible), 0] = visible
        packed[person, : len(visible), 1] = 1
    assert np.array_equal(packed, encoded) and encoded[..., 1].any()
