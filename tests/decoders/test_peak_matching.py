"""Matching of keypoints to heatmap peaks, against upsampled maps, a fit and goldens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from torch.nn import functional as F

from poselib.decoders.peak_matching import snap_to_peaks
from poselib.decoders.regression import RegressionOptions
from poselib.ops.map_coordinates import FRAMES, Frame, half_pixel
from tests.decoders.factories import golden_outputs, heats_for_scoring, ideal_outputs
from tests.ops.factories import upsampled

HERE = torch.zeros(1, dtype=torch.long)


def one_peak(column: int, row: int, value: float = 0.5) -> torch.Tensor:
    maps = torch.zeros(1, 1, 40, 40)
    maps[0, 0, row, column] = value
    return maps


def absorbed(points: list[list[float]], maps: torch.Tensor, **options: object) -> list[list[float]]:
    """Move people of a single keypoint over maps of 4 px a cell."""
    images = torch.zeros(len(points), dtype=torch.long)
    size = 4 * maps.shape[-2], 4 * maps.shape[-1]
    given = torch.tensor(points)[:, None]
    moved = snap_to_peaks(given, images, [maps], size, "center", **options)  # type: ignore[arg-type]
    return moved[:, 0].tolist()


def test_keypoint_moves_to_the_nearest_peak() -> None:
    maps = one_peak(10, 20) + one_peak(14, 20, value=0.9)
    first, second = [42.0, 82.0], [58.0, 82.0]
    assert absorbed([[49.0, 82.0], [51.0, 90.0], [10.0, 82.0]], maps) == [first, second, first]


def test_peaks_of_other_types_are_ignored() -> None:
    maps = torch.cat([one_peak(10, 10), one_peak(12, 10), torch.zeros(1, 1, 40, 40)], dim=1)
    points = torch.full((1, 3, 2), 43.0)
    moved = snap_to_peaks(points, HERE, [maps], (160, 160), "center")
    assert moved.tolist() == [[[42, 42], [50, 42], [43, 43]]]


def test_peaks_of_other_images_are_ignored() -> None:
    maps = torch.cat([one_peak(10, 10), one_peak(12, 10), torch.zeros(1, 1, 40, 40)])
    points, images = torch.full((4, 1, 2), 43.0), torch.tensor([1, 0, 2, 1])
    moved = snap_to_peaks(points, images, [maps], (160, 160), "center")
    assert moved[:, 0].tolist() == [[50, 42], [42, 42], [43, 43], [50, 42]]


@pytest.mark.parametrize(("away", "taken"), [(74.9, True), (75.0, False), (75.1, False)])
def test_distant_peaks_are_ignored(away: float, taken: bool) -> None:
    start = [42.0, 42.0 + away]
    assert absorbed([start], one_peak(10, 10)) == [[42.0, 42.0] if taken else pytest.approx(start)]


def test_max_distance_and_max_peaks() -> None:
    maps = one_peak(10, 10, value=0.2) + one_peak(20, 10)
    assert absorbed([[45.0, 42.0]], maps, max_peaks=1) == [[82.0, 42.0]]
    assert absorbed([[45.0, 42.0]], maps, max_peaks=1, max_distance=10.0) == [[45.0, 42.0]]
    with pytest.raises(ValueError, match="subpixel"):
        absorbed([[45.0, 42.0]], maps, subpixel="newton")


def test_maps_without_peaks_move_nothing() -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        assert absorbed([[45.0, 42.0]], torch.full((1, 1, 40, 40), value)) == [[45.0, 42.0]]
    empty = torch.zeros(0, 1, 2), torch.zeros(0, dtype=torch.long)
    assert snap_to_peaks(*empty, [one_peak(1, 1)], (160, 160), "center").shape == (0, 1, 2)


@pytest.mark.parametrize(
    ("frame", "strides"),
    [("index", (4,)), ("index", (2,)), ("index", (2, 4, 8)), ("index", (8, 2)), ("center", (3,))],
)
def test_peaks_equal_those_of_upsampled_maps(frame: Frame, strides: tuple[int, ...]) -> None:
    """Each is the pixel that is the highest as far as the next cells, 2 px away as published.

    In the middle frame pixels lie at the middles of cells if these have an odd number of px.
    """
    image_size = (96, 144)
    maps = [smooth(96 // s, 144 // s, seed) for seed, s in enumerate(strides)]
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.uniform(10, 86, (60, 2, 2)), dtype=torch.float32)
    images = torch.arange(60) % 2
    moved = snap_to_peaks(
        points, images, maps, image_size, frame, max_distance=40.0, max_peaks=400, subpixel="none"
    )
    large = torch.stack([upsampled(m, image_size, frame) for m in maps]).mean(dim=0)
    for n in range(60):
        for k in range(2):
            peaks = highest_pixels(large[images[n], k], min(strides)) + 0.5 - half_pixel(frame)
            apart = np.linalg.norm(peaks - points[n, k].numpy(), axis=-1)
            expected = peaks[apart.argmin()] if apart.min() < 40 else points[n, k]
            np.testing.assert_allclose(moved[n, k], expected, atol=1e-4)


def smooth(height: int, width: int, seed: int) -> torch.Tensor:
    """(2, 2, h, w) of a few large hills, well inside."""
    nodes = torch.rand(2, 2, 4, 6, generator=torch.Generator().manual_seed(seed))
    nodes = F.pad(nodes, (1, 1, 1, 1))
    return F.interpolate(nodes, (height, width), mode="bicubic", align_corners=True)


def highest_pixels(heatmap: torch.Tensor, reach: int) -> np.ndarray:
    """(m, 2) indices of the pixels that nothing exceeds."""
    top = F.max_pool2d(heatmap[None], 2 * reach + 1, 1, reach)[0] == heatmap
    rows, columns = np.nonzero((top & (heatmap > 0)).numpy())
    return np.stack([columns, rows], axis=-1).astype(np.float32)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_isolated_gaussian_is_placed_exactly(frame: Frame, stride: int) -> None:
    size = (32 * stride, 40 * stride)
    truth = np.random.default_rng(1).uniform(10 * stride, 20 * stride, (1, 1, 9, 2))
    maps = ideal_outputs(truth, size, stride, frame).heatmaps
    given = torch.tensor(truth[0], dtype=torch.float32) - half_pixel(frame)
    moved = snap_to_peaks(given + stride * 1.4, HERE, [maps], size, frame)
    torch.testing.assert_close(moved, given, rtol=0, atol=1e-3 * stride)


def test_as_exact_as_a_least_squares_fit() -> None:
    """The published fit, of a Gaussian to 13 x 13 px of the upsampled map, and a parabola here."""
    truth = np.random.default_rng(2).uniform(40, 80, (1, 1, 6, 2))
    maps = ideal_outputs(truth, (128, 128), 4, "index").heatmaps
    given = torch.tensor(truth[0], dtype=torch.float32) - half_pixel("index")
    moved = snap_to_peaks(given + 5, HERE, [maps], (128, 128), "index")
    fitted = [
        fit_of_gaussian(m.numpy(), np.rint(xy.numpy() / 4).astype(int) * 4)
        for m, xy in zip(upsampled(maps, (128, 128), "index")[0], given[0], strict=True)
    ]
    by_fit = np.linalg.norm(np.array(fitted) - given[0].numpy(), axis=-1)
    assert (moved - given).norm(dim=-1).max() < by_fit.max() < 0.03


def fit_of_gaussian(heatmap: np.ndarray, start: np.ndarray) -> np.ndarray:
    x, y = (c[:, None] + np.arange(-6, 7) for c in start[:, None])
    columns, rows = (grid.ravel() for grid in np.meshgrid(x, y))

    def gaussian(places: np.ndarray, height: float, cx: float, cy: float, sigma: float) -> object:
        squares = (places[0] - cx) ** 2 + (places[1] - cy) ** 2
        return height * np.exp(-squares / (2 * sigma**2))

    values = heatmap[rows, columns]
    initial = (values.max(), *start, 2.0)
    found, _ = curve_fit(gaussian, np.stack([columns, rows]), values, p0=initial, maxfev=300)
    return np.asarray(found[1:3])


@pytest.mark.golden
@pytest.mark.parametrize("case", [1, 2])
def test_close_to_official_code(golden_dir: Path, case: int) -> None:
    """Wherever the map is one Gaussian, as far as the official fit reads it.

    Where Gaussians overlap or the border cuts them, fits of them wander, and may end where there is
    one Gaussian again.
    """
    outputs = golden_outputs(golden_dir, f"c{case}", (96, 144))
    (poses,), heats = heats_for_scoring(outputs, RegressionOptions(frame="index", match=True))
    with np.load(golden_dir / "dekr_decode.npz") as golden:
        expected = golden[f"c{case}_match_hmp_poses"]
    np.testing.assert_allclose(heats, expected[..., 2], atol=1e-6)
    errors = np.linalg.norm(poses.keypoints - 0.5 - expected[..., :2], axis=-1)
    maps = outputs.heatmaps[0].numpy()
    ours, theirs = (
        np.array([[is_one_gaussian(*each) for each in zip(maps, p, strict=True)] for p in found])
        for found in (poses.keypoints - 0.5, expected)
    )
    assert (ours & theirs).any()
    assert errors[ours & theirs].max() < 0.04


def is_one_gaussian(heatmap: np.ndarray, point: np.ndarray) -> bool:
    """Say whether the logarithm is a parabola two cells around (x, y, ...), px by index."""
    column, row = np.rint(point[:2] / 4).astype(int)
    height, width = heatmap.shape
    if not (2 <= row < height - 2 and 2 <= column < width - 2):
        return False
    values = np.log(heatmap[row - 2 : row + 3, column - 2 : column + 3].clip(min=1e-9))
    curvatures = [np.diff(values, 2, axis=axis).ravel() for axis in (0, 1)]
    return bool(np.ptp(curvatures) < 0.02)
