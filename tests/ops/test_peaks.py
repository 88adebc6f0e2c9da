"""Peaks and subpixel shifts, against pooling, exhaustive search and goldens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from poselib.ops import peaks as peaks_module
from poselib.ops.peaks import (
    SUBPIXEL,
    find_peaks,
    finite_maps,
    local_maxima,
    sample_cells,
    subpixel_shift,
)


def blob(x: float, y: float, size: tuple[int, int] = (12, 15), sigma: float = 1.7) -> torch.Tensor:
    """(1, h, w) Gaussian with its center at the continuous point (x, y)."""
    rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    return torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))[None]


def shift_at(heat: torch.Tensor, cell: tuple[int, int], method: str) -> list[float]:
    channel, cells = torch.zeros(1, dtype=torch.int64), torch.tensor([cell])
    return subpixel_shift(heat, channel, cells, method)[0].tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 13])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 11)])
def test_local_maxima_equal_a_pooled_comparison(kernel: int, size: tuple[int, int]) -> None:
    heat = torch.randint(-3, 6, (2, 3, *size), generator=torch.Generator().manual_seed(kernel))
    pooled = F.max_pool2d(heat.float(), kernel, stride=1, padding=kernel // 2)
    assert torch.equal(local_maxima(heat, kernel), pooled == heat)


@pytest.mark.parametrize("kernel", [0, -3, 4])
def test_even_kernels_are_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match=f"odd positive number of cells, not {kernel}"):
        local_maxima(torch.zeros(1, 1, 4, 4), kernel)


def test_peaks_are_sorted_by_value() -> None:
    heat = torch.zeros(1, 2, 8, 9)
    heat[0, 0, 1, 2], heat[0, 0, 1, 3], heat[0, 0, 6, 7], heat[0, 0, 4, 0] = 0.9, 0.8, 0.4, 0.6
    peaks = find_peaks(heat, count=4, kernel=3)
    assert peaks.cells[0, 0, :3].tolist() == [[2, 1], [0, 4], [7, 6]]
    torch.testing.assert_close(peaks.values[0, 0], torch.tensor([0.9, 0.6, 0.4, 0]))
    assert (peaks.values[0, 1] == 0).all()


def test_no_more_peaks_than_cells() -> None:
    peaks = find_peaks(torch.rand(2, 3, 2, 4), count=30, kernel=1)
    assert peaks.cells.shape == (2, 3, 8, 2)
    assert peaks.values.diff().le(0).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nonfinite_values_are_no_peaks_and_suppress_none(bad: float) -> None:
    heat = blob(7.5, 5.5)[None]
    heat[0, 0, 5, 9] = bad
    heat[0, 0, 0, 0] = bad
    peaks = find_peaks(heat, count=3)
    assert peaks.cells[0, 0, 0].tolist() == [7, 5]
    assert peaks.values.isfinite().all()
    assert (find_peaks(torch.full((1, 1, 4, 4), bad)).values == 0).all()


def slow_peaks(heat: np.ndarray, count: int, kernel: int, threshold: float) -> list[tuple]:
    """(height, row, column) of one map's peaks, found cell by cell."""
    heat = np.where(np.isfinite(heat), heat, -np.inf)
    reach, found = kernel // 2, []
    for y, x in np.ndindex(heat.shape):
        window = heat[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if float(heat[y, x]) > threshold and heat[y, x] == window.max():
            found.append((-float(heat[y, x]), y, x))
    return [(-value, y, x) for value, y, x in sorted(found)[:count]]


def random_heat(seed: int) -> torch.Tensor:
    """(2, 3, h, w) of odd and even sizes: noise, plateaus, blobs and what is not finite."""
    rng = np.random.default_rng(seed)
    size = tuple(rng.choice([1, 2, 3, 8, 11, 16, 31], 2))
    heat = rng.normal(0, 0.2, (2, 3, *size)).astype(np.float32)
    heat[0, 1] = rng.integers(-1, 3, size) / 4
    heat[1, 0] = 0.1
    heat[1, 1] = 0.05 * heat[1, 1]
    heat[1, 1, size[0] // 2, size[1] // 3] = 0.8
    for bad in (np.nan, np.inf, -np.inf):
        heat[1, 2][rng.random(size) < 0.1] = bad
    return torch.from_numpy(heat)


@pytest.mark.parametrize("few", [-1, 0.3, 1])  # whole maps, whichever is quicker, block by block
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
def test_peaks_equal_a_search_cell_by_cell(monkeypatch, few, kernel, threshold) -> None:
    monkeypatch.setattr(peaks_module, "_SPARSE", few)
    for seed in range(12):
        heat = random_heat(seed)
        peaks = find_peaks(heat, 7, kernel, threshold)
        assert peaks.values.shape == (2, 3, min(7, heat[0, 0].numel()))
        for b, k in np.ndindex(2, 3):
            wanted = slow_peaks(heat[b, k].numpy(), 7, kernel, threshold)
            n = len(wanted)
            rows = zip(peaks.values[b, k], peaks.cells[b, k], strict=True)
            assert [(v.item(), c[1].item(), c[0].item()) for v, c in rows][:n] == wanted
            assert (peaks.values[b, k, n:] == 0).all() and (peaks.cells[b, k, n:] == 0).all()


def test_given_block_maxima_change_nothing() -> None:
    for seed in range(4):
        heat = random_heat(seed)
        maps, highest = finite_maps(heat)
        one, other = find_peaks(heat, 5, 3, 0.1), find_peaks(maps, 5, 3, 0.1, highest)
        assert torch.equal(one.cells, other.cells) and torch.equal(one.values, other.values)


def test_finite_maps_copies_only_nonfinite_maps() -> None:
    heat = torch.rand(1, 2, 10, 12)
    maps, highest = finite_maps(heat)
    assert maps.data_ptr() == heat.data_ptr() and highest.shape == (1, 2, 2, 2)
    heat[0, 0, 3, 3], heat[0, 1, 9, 11] = torch.nan, torch.inf
    maps, highest = finite_maps(heat)
    assert maps[0, 0, 3, 3] == maps[0, 1, 9, 11] == -torch.inf
    assert highest.isfinite().all() and heat[0, 1, 9, 11] == torch.inf


@pytest.mark.parametrize("few", [-1, 1])
def test_threshold_of_float32_rounding(monkeypatch, few) -> None:
    monkeypatch.setattr(peaks_module, "_SPARSE", few)
    heat = torch.zeros(1, 1, 9, 9)
    heat[0, 0, 4, 4] = 0.1  # 0.100000001...
    assert (find_peaks(heat, threshold=0.1).values > 0).sum() == 1
    assert (find_peaks(heat, threshold=0.10000001).values > 0).sum() == 0


@pytest.mark.parametrize("threshold", [-0.1, float("nan")])
def test_negative_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must not be negative"):
        find_peaks(torch.zeros(1, 1, 4, 4), threshold=threshold)


def test_sample_cells_reads_the_cell() -> None:
    maps = torch.arange(2 * 3 * 2 * 4 * 5).float().reshape(2, 3, 2, 4, 5)
    cells = torch.stack([torch.randint(5, (2, 3, 7)), torch.randint(4, (2, 3, 7))], dim=-1)
    read = sample_cells(maps, cells)
    for b, k, m in np.ndindex(2, 3, 7):
        x, y = cells[b, k, m]
        assert torch.equal(read[b, k, m], maps[b, k, :, y, x])


def test_subpixel_quarter_towards_the_higher_neighbor() -> None:
    heat = torch.zeros(1, 5, 5)
    heat[0, 2, 2], heat[0, 2, 3], heat[0, 2, 1], heat[0, 1, 2] = 1, 0.5, 0.4, 0.3
    assert shift_at(heat, (2, 2), "quarter") == [0.25, -0.25]
    assert shift_at(torch.ones(1, 5, 5), (2, 2), "quarter") == [-0.25, -0.25]


def test_subpixel_quarter_outwards_at_borders() -> None:
    heat = torch.zeros(1, 4, 6)
    heat[0, 0, 0] = heat[0, 3, 5] = 1
    assert shift_at(heat, (0, 0), "quarter") == [-0.25, -0.25]
    assert shift_at(heat, (5, 3), "quarter") == [0.25, 0.25]


def test_subpixel_neighbor_towards_the_highest_of_eight() -> None:
    heat = torch.zeros(1, 5, 5)
    heat[0, 2, 2], heat[0, 1, 3], heat[0, 2, 3] = 1, 0.7, 0.6
    diagonal = 0.25 / 2**0.5
    assert shift_at(heat, (2, 2), "neighbor") == pytest.approx([diagonal, -diagonal])
    heat[0, 2, 1] = 0.8
    assert shift_at(heat, (2, 2), "neighbor") == pytest.approx([-0.25, 0])


@pytest.mark.parametrize("sigma", [0.8, 2.0, 4.0])
def test_subpixel_parabola_is_exact_for_gaussians(sigma: float) -> None:
    for x, y in ((7.1, 5.9), (6.75, 5.5), (7.49, 5.02)):
        heat = blob(x, y, sigma=sigma)
        cell = (int(x), int(y))
        dx, dy = shift_at(heat, cell, "parabola")
        assert (cell[0] + 0.5 + dx, cell[1] + 0.5 + dy) == pytest.approx((x, y), abs=1e-3)


def test_subpixel_parabola_of_nonpositive_values() -> None:
    heat = torch.zeros(1, 3, 3)
    heat[0, 1] = torch.tensor([-1.0, 2.0, 1.0])  # vertex of the parabola through the three
    assert shift_at(heat, (1, 1), "parabola") == pytest.approx([0.25, 0])


@pytest.mark.parametrize("method", SUBPIXEL)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (4, 4)])
@pytest.mark.parametrize("fill", [0.0, 1.0, -2.0, torch.nan, torch.inf, -torch.inf])
def test_subpixel_shifts_are_bounded_and_finite(
    method: str, size: tuple[int, int], fill: float
) -> None:
    noise = torch.randn(1, *size, generator=torch.Generator().manual_seed(0))
    for heat in (torch.full((1, *size), fill), torch.where(noise > 0, noise, fill)):
        for y, x in np.ndindex(size):
            assert all(abs(d) <= 0.5 for d in shift_at(heat, (x, y), method))


@pytest.mark.parametrize("method", SUBPIXEL)
def test_subpixel_shifts_of_flipped_maps(method: str) -> None:
    heat = torch.rand(1, 9, 11, generator=torch.Generator().manual_seed(3))
    for y, x in np.ndindex(9, 11):
        dx, dy = shift_at(heat, (x, y), method)
        mirrored = shift_at(heat.flip(-1), (10 - x, y), method)
        assert mirrored == pytest.approx([-dx, dy], abs=1e-6)


def test_unknown_subpixel_methods_are_named() -> None:
    with pytest.raises(ValueError, match="spline"):
        shift_at(torch.zeros(1, 3, 3), (1, 1), "spline")


def rows_in_order(values: np.ndarray, cells: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """(K, M, 3 + L) heights, cells and tags, equally high ones in the order of their rows."""
    rows = np.concatenate([values[..., None], cells, tags], axis=-1)
    return np.stack([each[np.lexsort((each[:, 1], each[:, 2], -each[:, 0]))] for each in rows])


@pytest.mark.golden
def test_peaks_and_shifts_equal_the_goldens(arrays_dir: Path) -> None:
    with np.load(arrays_dir / "adjust_refine.npz") as golden:
        for case in range(10):
            heat = torch.tensor(golden[f"c{case}_heatmap_f16"].astype(np.float32))
            tags = torch.tensor(golden[f"c{case}_tagmap_f16"].astype(np.float32))
            peaks = find_peaks(heat[None], count=30, kernel=5)
            values = golden[f"c{case}_val_k"]
            np.testing.assert_array_equal(peaks.values[0], values)
            sampled = sample_cells(tags.permute(0, 3, 1, 2)[None], peaks.cells)[0].numpy()
            # Of zeros, and of the last height of which some may be left over, any cell will do.
            real = (values > 0) & (values > values[:, -1:])
            assert real.any()
            ours = rows_in_order(values, peaks.cells[0].numpy(), sampled)
            theirs = rows_in_order(values, golden[f"c{case}_loc_k"], golden[f"c{case}_tag_k"])
            np.testing.assert_array_equal(ours[real], theirs[real])
            for method in ("ae", "pad"):
                match, adjust = (golden[f"c{case}_{method}_{n}"] for n in ("match", "adjust"))
                rows, k = np.nonzero(match[..., 2] > 0)
                cells = torch.tensor(match[rows, k, :2]).long()
                xy = cells + 0.5 + subpixel_shift(heat, torch.tensor(k), cells, "quarter")
                np.testing.assert_array_equal(xy, adjust[rows, k, :2])
