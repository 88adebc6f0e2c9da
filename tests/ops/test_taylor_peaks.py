"""Subpixel peaks by a Taylor expansion."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.ops.peaks import subpixel_shift
from poselib.ops.taylor_peaks import peak_shift, smoothed, taylor_shift


def gaussians(points: np.ndarray, sigma: float = 2.0, size: int = 32) -> Tensor:
    """Maps of Gaussians whose centers (n, 2) are relative to the centers of the cells."""
    at = np.arange(size)
    x = np.exp(-((at - points[:, :1]) ** 2) / (2 * sigma**2))
    y = np.exp(-((at - points[:, 1:]) ** 2) / (2 * sigma**2))
    return torch.from_numpy(y[:, :, None] * x[:, None, :]).float()


def one_by_one(heatmap: np.ndarray, cell: tuple[int, int], kernel: int) -> tuple[float, float]:
    """The equations for one map, with OpenCV's blur and NumPy's inverse."""
    sigma = (
        0.0 if kernel == 11 else 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    )  # OpenCV rounds small ones
    padded = np.pad(heatmap.astype(np.float64), kernel)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), sigma)[kernel:-kernel, kernel:-kernel]
    log = np.log(np.maximum(blurred, 1e-10))
    x, y = cell
    height, width = log.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return 0.0, 0.0
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
    yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
    both = log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]
    hessian = np.array([[xx, both / 4], [both / 4, yy]])
    if not (np.linalg.eigvalsh(hessian) < 0).all():
        return 0.0, 0.0
    shift = np.clip(-np.linalg.inv(hessian) @ gradient, -1, 1)
    return float(shift[0]), float(shift[1])


def near_one_by_one(heatmap: np.ndarray, cell: tuple[int, int], kernel: int) -> tuple[float, float]:
    """UDP's differences for one map: a quadratic through seven cells, its extremum by a solver."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    padded = np.pad(heatmap.astype(np.float64), kernel)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), sigma)[kernel:-kernel, kernel:-kernel]
    log, (x, y) = np.pad(np.log(np.maximum(blurred, 1e-3)), 1, mode="edge"), cell
    steps = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)]
    values = [log[y + 1 + dy, x + 1 + dx] for dx, dy in steps]
    terms = [[1, dx, dy, dx * dx / 2, dy * dy / 2, dx * dy] for dx, dy in steps]
    # Six numbers from seven cells: the two diagonal ones tell the mixed term by their mean.
    rows = [*terms[:5], list(np.mean(terms[5:], axis=0))]
    _, gx, gy, xx, yy, xy = np.linalg.solve(rows, [*values[:5], np.mean(values[5:])])
    hessian = np.array([[xx, xy], [xy, yy]])
    if not (np.linalg.eigvalsh(hessian) < 0).all():
        return 0.0, 0.0
    shift = np.clip(-np.linalg.solve(hessian, [gx, gy]), -1, 1)
    return float(shift[0]), float(shift[1])


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("kernel", [1, 5, 11])
def test_gaussians_are_placed_exactly(kernel: int, near: bool) -> None:
    points = np.random.default_rng(0).uniform(12, 20, (40, 2))
    cells = torch.from_numpy(points.round()).long()
    shift = taylor_shift(gaussians(points), cells, kernel, near=near)
    np.testing.assert_allclose(shift + cells, points, atol=2e-3)


@pytest.mark.parametrize("kernel", [3, 11])
def test_near_differences_equal_the_equations_one_by_one(kernel: int) -> None:
    rng = np.random.default_rng(kernel)
    maps = gaussians(rng.uniform(0, 31, (60, 2)), 3.0).numpy()
    maps = maps + 0.02 * rng.random(maps.shape, dtype=np.float32)
    cells = [np.unravel_index(each.argmax(), each.shape)[::-1] for each in maps]
    cells[:3] = [(0, 0), (31, 4), (7, 31)]
    got = taylor_shift(torch.from_numpy(maps), torch.tensor(np.array(cells)), kernel, near=True)
    expected = [
        near_one_by_one(m, (int(x), int(y)), kernel) for m, (x, y) in zip(maps, cells, strict=True)
    ]
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert (got != 0).any(dim=1).sum() > 40


def test_several_peaks_of_a_map() -> None:
    points = np.array([[6.2, 7.9], [24.7, 20.4], [9.1, 25.3]])
    maps = torch.stack([gaussians(points[:2]).amax(dim=0), gaussians(points[2:])[0]])
    cells, channels = torch.from_numpy(points.round()).long(), torch.tensor([0, 0, 1])
    for method in ("taylor", "newton"):
        shift = peak_shift(maps, channels, cells, method, 3)
        np.testing.assert_allclose(shift + cells, points, atol=2e-3)
    maps[0, 0, 0] = torch.inf
    assert peak_shift(maps, channels, cells, "newton", 3).isfinite().all()
    quarter = peak_shift(maps, channels, cells, "quarter", 3)
    assert torch.equal(quarter, subpixel_shift(maps, channels, cells, "quarter"))


@pytest.mark.parametrize("kernel", [3, 11])
def test_equals_the_equations_one_by_one(kernel: int) -> None:
    rng = np.random.default_rng(kernel)
    maps = gaussians(rng.uniform(0, 31, (60, 2)), 3.0).numpy()
    maps = maps + 0.02 * rng.random(maps.shape, dtype=np.float32)
    cells = [np.unravel_index(each.argmax(), each.shape)[::-1] for each in maps]
    got = taylor_shift(torch.from_numpy(maps), torch.tensor(np.array(cells)), kernel)
    expected = [
        one_by_one(m, (int(x), int(y)), kernel) for m, (x, y) in zip(maps, cells, strict=True)
    ]
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert (got == 0).all(dim=1).any() and (got != 0).any(dim=1).sum() > 40


@pytest.mark.parametrize("size", [(9, 31), (2, 5), (1, 40)])
@pytest.mark.parametrize("reflect", [False, True])
def test_smoothing_is_that_of_opencv(size: tuple[int, int], reflect: bool) -> None:
    maps = np.random.default_rng(0).random((3, *size), np.float32)
    border = cv2.BORDER_REFLECT_101 if reflect else cv2.BORDER_CONSTANT
    got = smoothed(torch.from_numpy(maps), 23, reflect)
    for one, expected in zip(got, maps, strict=True):
        blurred = cv2.GaussianBlur(expected, (23, 23), 3.8, borderType=border)
        np.testing.assert_allclose(one, blurred, atol=1e-5)


def test_smoothing_finds_the_peak_under_noise() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(12, 20, (200, 2))
    noisy = gaussians(points) + 0.05 * torch.from_numpy(rng.standard_normal((200, 32, 32))).float()
    cells = torch.stack([torch.tensor(divmod(int(m.argmax()), 32))[[1, 0]] for m in noisy])
    errors = [
        float((taylor_shift(noisy, cells, kernel) + cells - torch.from_numpy(points)).norm(dim=1)
              .median())
        for kernel in (1, 11)
    ]  # fmt: skip
    assert errors[1] < 0.2 < 0.5 * errors[0] + 0.2 and errors[1] < errors[0]


def test_flat_maps_and_valleys_do_not_move() -> None:
    flat, valley = torch.ones(1, 9, 9), 1 - gaussians(np.array([[4.0, 4.3]]), size=9)
    for maps in (flat, valley, torch.zeros(1, 9, 9)):
        assert taylor_shift(maps, torch.tensor([[4, 4]]), 1).tolist() == [[0.0, 0.0]]
    assert taylor_shift(torch.ones(1, 2, 1), torch.tensor([[0, 1]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("kernel", [0, 4, -3])
def test_even_kernels_are_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match="odd positive number of cells"):
        taylor_shift(torch.zeros(1, 4, 4), torch.zeros(1, 2, dtype=torch.int64), kernel)
    assert math.isclose(0.3 * ((11 - 1) * 0.5 - 1) + 0.8, 2.0)
