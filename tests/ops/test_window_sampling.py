"""Sampling of windows, against bilinear interpolation cell by cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.benchmarks.references.plain_adaptation import bilinear
from poselib.ops.map_coordinates import FRAMES, Frame
from poselib.ops.window_sampling import chunks, sample_features, sample_windows
from tests.references.plain_local_global import read_at, read_between

SIZE = (20, 28)  # px, of maps of 5 x 7 cells: 4 px each
RATES = torch.tensor([1.0, 2.3, 1.7])


def maps(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inside_and_beyond(people: int, seed: int = 1) -> Tensor:
    """(people, 3, 2) px inside the image and up to half of it beyond each border."""
    spread = torch.rand(people, 3, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 0.5
    return spread * torch.tensor([28.0, 20.0])


@pytest.mark.golden
def test_official_sampling_except_its_slip(golden_dir: Path) -> None:
    """It reads places in the last column and row as 0 or in part; all others as here."""
    with np.load(golden_dir / "logocap_funcs.npz") as golden:
        features, x, y, out = (
            torch.from_numpy(golden[f"samp_{name}"]) for name in ("features", "px", "py", "out")
        )
    assert torch.equal(bilinear(features, x, y, slip=True).permute(1, 2, 3, 0), out)
    height, width = features.shape[1:]
    # Between the middle of the last cell and a whole cell further on.
    slips = ((x >= width - 1) & (x < width)) | ((y >= height - 1) & (y < height))
    ours = bilinear(features, x, y).permute(1, 2, 3, 0)
    torch.testing.assert_close(ours[~slips], out[~slips], rtol=0, atol=1e-6)
    assert not torch.isclose(ours[slips], out[slips]).all(dim=-1).any()
    tables = features.tolist()
    for place in np.ndindex(*x.shape):
        expected = [read_between(table, float(x[place]), float(y[place])) for table in tables]
        np.testing.assert_allclose(ours[place], expected, atol=1e-5)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("window", "step"), [(1, 1.0), (5, 1.0), (5, 2.75), (7, 0.3)])
def test_sample_windows_cell_by_cell(frame: Frame, window: int, step: float) -> None:
    heat, points = maps(2, 3, 5, 7), inside_and_beyond(6)
    images = torch.tensor([0, 1, 1, 0, 1, 0])
    found = sample_windows(heat, images, points, window, SIZE, step=step, frame=frame)
    assert found.shape == (6, 3, window, window) and found.dtype == torch.float32
    tables, reach = heat.tolist(), window // 2
    for n, k, row, column in np.ndindex(*found.shape):
        x, y = points[n, k].tolist()
        place = x + (column - reach) * step, y + (row - reach) * step
        expected = read_at(tables[images[n]][k], *place, SIZE, frame, enlarged=True)
        assert found[n, k, row, column].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("window", "step"), [(1, 1.0), (3, 1.0), (5, 2.75)])
def test_sample_features_cell_by_cell(frame: Frame, window: int, step: float) -> None:
    embedding, points = maps(2, 4, 5, 7), inside_and_beyond(5)
    images = torch.tensor([1, 0, 1, 0, 0])
    found = sample_features(embedding, images, points, RATES, window, SIZE, step=step, frame=frame)
    assert found.shape == (5, 12, window, window) and found.dtype == torch.float32
    tables, reach = embedding.tolist(), window // 2
    for n, k, d, row, column in np.ndindex(5, 3, 4, window, window):
        (x, y), apart = points[n, k].tolist(), step * RATES[k].item()
        place = x + (column - reach) * apart, y + (row - reach) * apart
        expected = read_at(tables[images[n]][d], *place, SIZE, frame, enlarged=False)
        assert found[n, 4 * k + d, row, column].item() == pytest.approx(expected, abs=1e-5)


def test_sample_windows_gaussian_weights() -> None:
    heat, points = maps(1, 3, 5, 7), inside_and_beyond(2)
    images = torch.zeros(2, dtype=torch.int64)
    plain = sample_windows(heat, images, points, 5, SIZE, step=2.0)
    weighed = sample_windows(heat, images, points, 5, SIZE, step=2.0, sigma=3.0)
    for row, column in np.ndindex(5, 5):
        away = 4 * ((row - 2) ** 2 + (column - 2) ** 2)
        expected = plain[..., row, column] * math.exp(-away / 18)
        torch.testing.assert_close(weighed[..., row, column], expected)


def test_sample_windows_at_cell_centers() -> None:
    """In poselib's frame the middle of cell (2, 1) is at (10, 6) px; in the other one at (8, 4)."""
    heat = maps(1, 3, 5, 7)
    images = torch.zeros(1, dtype=torch.int64)
    middle = torch.tensor([10.0, 6.0]).expand(1, 3, 2)
    found = sample_windows(heat, images, middle, 1, SIZE)
    torch.testing.assert_close(found.flatten(), heat[0, :, 1, 2])
    found = sample_features(heat, images, middle - 2, RATES, 1, SIZE, frame="index")
    torch.testing.assert_close(found.view(3, 3), heat[0, :, 1, 2].expand(3, 3))


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "windows": lambda given, *rest, **more: sample_windows(given, *rest, 5, SIZE, **more),
    "features": lambda given, *rest, **more: sample_features(given, *rest, RATES, 5, SIZE, **more),
}
SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("people", [16, 17, 53])
def test_chunks_equal_single_poses(people: int, frame: Frame) -> None:
    embedding, points = maps(2, 4, 5, 7).requires_grad_(), inside_and_beyond(people)
    images = torch.arange(people) % 2

    def read(rows: slice) -> Tensor:
        return sample_features(embedding, images[rows], points[rows], RATES, 5, SIZE, frame=frame)

    alone = torch.cat([read(slice(n, n + 1)) for n in range(people)])
    torch.testing.assert_close(read(slice(None)), alone)
    with torch.no_grad():
        torch.testing.assert_close(read(slice(None)), alone)


@pytest.mark.parametrize("people", [0, 1, 16, 17, 30, 53])
def test_chunks_have_about_equal_size(people: int) -> None:
    parts = chunks(torch.zeros(people, 3, 2))
    rows = [torch.arange(people)[part] for part in parts]
    assert torch.equal(torch.cat(rows), torch.arange(people))
    sizes = [len(each) for each in rows]
    assert max(sizes) <= 16 and max(sizes) - min(sizes) < len(sizes)


@pytest.mark.slow
@SAMPLER
@pytest.mark.parametrize("frame", FRAMES)
def test_gradients_of_maps_and_points(sampler: Callable[..., Tensor], frame: Frame) -> None:
    given = maps(2, 3, 5, 7, dtype=torch.float64).requires_grad_()
    images, points = torch.tensor([1, 0, 1]), inside_and_beyond(3)
    found = sampler(given, images, points, frame=frame)
    assert found.dtype == torch.float64
    assert torch.autograd.gradcheck(lambda m: sampler(m, images, points, frame=frame), given)
    moved = points.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: sampler(given.detach(), images, p, frame=frame), moved, atol=1e-4
    )
    single = sampler(given.detach().float(), images, points, frame=frame)
    torch.testing.assert_close(single.double(), found.detach(), rtol=1e-4, atol=1e-5)


@SAMPLER
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_values_count_as_zero(
    sampler: Callable[..., Tensor], frame: Frame, bad: float
) -> None:
    given, images, points = maps(2, 3, 5, 7), torch.tensor([1, 0, 1]), inside_and_beyond(3)
    hole = torch.rand(given.shape, generator=torch.Generator().manual_seed(2)) < 0.2
    broken = sampler(given.masked_fill(hole, bad), images, points, frame=frame)
    assert torch.equal(broken, sampler(given.masked_fill(hole, 0.0), images, points, frame=frame))


@SAMPLER
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("far", [1e4, 1e30])
def test_border_is_repeated_outside_the_image(
    sampler: Callable[..., Tensor], frame: Frame, far: float
) -> None:
    given, images = maps(1, 3, 5, 7), torch.zeros(1, dtype=torch.int64)
    for x, y, corner in ((far, far, (4, 6)), (-far, far, (4, 0)), (far, -far, (0, 6))):
        points = torch.tensor([x, y]).expand(1, 3, 2)
        found = sampler(given, images, points, frame=frame)
        expected = given[0, :, corner[0], corner[1]]
        if found.shape[1] == 9:
            expected = expected.repeat(3)
        torch.testing.assert_close(found, expected[None, :, None, None].expand_as(found))


@SAMPLER
def test_order_and_number_of_poses_do_not_matter(sampler: Callable[..., Tensor]) -> None:
    given, points = maps(3, 3, 5, 7), inside_and_beyond(8)
    images = torch.tensor([0, 2, 1, 1, 0, 2, 2, 0])
    found = sampler(given, images, points)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(sampler(given, images[order], points[order]), found[order])
    assert sampler(given, images[:0], points[:0]).shape == (0, *found.shape[1:])
    for n in range(8):
        alone = sampler(given[images[n], None], torch.tensor([0]), points[n, None])
        torch.testing.assert_close(alone[0], found[n])


@SAMPLER
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
@pytest.mark.parametrize("frame", FRAMES)
def test_maps_of_few_cells(
    sampler: Callable[..., Tensor], frame: Frame, size: tuple[int, int]
) -> None:
    given, points = maps(1, 3, *size), inside_and_beyond(2)
    found = sampler(given, torch.zeros(2, dtype=torch.int64), points, frame=frame)
    assert found.isfinite().all()
    if size == (1, 1):
        assert len(found.unique()) == 3


@SAMPLER
def test_half_precision_maps(sampler: Callable[..., Tensor]) -> None:
    given, points = maps(1, 3, 5, 7).bfloat16(), inside_and_beyond(2)
    images = torch.zeros(2, dtype=torch.int64)
    assert torch.equal(sampler(given, images, points), sampler(given.float(), images, points))


def test_window_must_be_odd() -> None:
    images, points = torch.zeros(1, dtype=torch.int64), torch.zeros(1, 3, 2)
    with pytest.raises(ValueError, match="odd positive side"):
        sample_windows(maps(1, 3, 5, 7), images, points, 4, SIZE)
    with pytest.raises(ValueError, match="odd positive side"):
        sample_features(maps(1, 3, 5, 7), images, points, RATES, 0, SIZE)
