"""Cell coordinates and bilinear sampling in both frames, against upsampled maps."""

from __future__ import annotations

import math

import pytest
import torch

from poselib.ops.map_coordinates import (
    FRAMES,
    Frame,
    average_heatmaps,
    cell_to_px,
    half_pixel,
    sample_heatmaps,
)
from tests.ops.factories import upsampled


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_cell_to_px_by_hand() -> None:
    cells = torch.tensor([[0, 0], [3, 2]])
    assert cell_to_px(cells, (32, 40), (8, 10), "center").tolist() == [[2, 2], [14, 10]]
    assert cell_to_px(cells, (32, 40), (8, 10), "index").tolist() == [[0, 0], [12, 8]]
    assert cell_to_px(cells + 0.25, (16, 20), (8, 5), "center").tolist() == [[3, 1.5], [15, 5.5]]
    # A pixel of index 12 has its center at 12.5 px.
    assert half_pixel("index") == 0.5 and half_pixel("center") == 0


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("size", [(6, 9), (12, 18), (3, 9), (7, 11), (1, 1), (24, 36)])
def test_sample_heatmaps_equals_upsampled_maps(frame: Frame, size: tuple[int, int]) -> None:
    image_size = (24, 36)
    maps = noise(3, 2, *size)
    large = upsampled(maps, image_size, frame)
    # Every pixel, and points up to two images away, which are at the border.
    y, x = torch.meshgrid(torch.arange(-48, 72), torch.arange(-72, 108), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(-1, 1, 2).expand(-1, 2, -1)
    inside = pixels.clamp(torch.tensor([0, 0]), torch.tensor([35, 23]))
    images = torch.arange(len(pixels)) % 3
    within = noise(*pixels.shape) if frame == "index" else 0.5  # of a pixel: read as it is
    read = sample_heatmaps(maps, images, pixels + within, image_size, frame)
    kinds = torch.arange(2)
    expected = large[images[:, None], kinds, inside[..., 1], inside[..., 0]]
    torch.testing.assert_close(read, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("frame", FRAMES)
def test_sample_heatmaps_at_cells(frame: Frame) -> None:
    maps = noise(1, 1, 5, 7)
    y, x = torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij")
    cells = torch.stack([x, y], dim=-1).view(-1, 1, 2)
    points = cell_to_px(cells, (20, 28), (5, 7), frame)
    read = sample_heatmaps(maps, torch.zeros(35, dtype=torch.long), points, (20, 28), frame)
    torch.testing.assert_close(read.view(5, 7), maps[0, 0])


def test_sample_heatmaps_frames_differ_between_pixels() -> None:
    """Read at 5.9 px of cells of 4 px: in the middle frame there, in the other at pixel 5."""
    row = torch.tensor([0.0, 1.0, 0.0]).view(1, 1, 1, 3)
    point, image = torch.tensor([[[5.9, 0.0]]]), torch.zeros(1, dtype=torch.long)
    assert sample_heatmaps(row, image, point, (4, 12), "center").item() == pytest.approx(0.975)
    assert sample_heatmaps(row, image, point, (4, 12), "index").item() == pytest.approx(0.75)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_sample_heatmaps_nonfinite_counts_as_zero(frame: Frame, bad: float) -> None:
    maps = noise(1, 1, 4, 4)
    zeroed, broken = maps.clone(), maps.clone()
    zeroed[0, 0, 1:3, 2], broken[0, 0, 1:3, 2] = 0.0, bad
    points, images = 16 * noise(50, 1, 2), torch.zeros(50, dtype=torch.long)
    expected = sample_heatmaps(zeroed, images, points, (16, 16), frame)
    assert torch.equal(sample_heatmaps(broken, images, points, (16, 16), frame), expected)
    assert torch.equal(
        average_heatmaps([broken, maps], (16, 16), frame),
        average_heatmaps([zeroed, maps], (16, 16), frame),
    )


def test_sample_heatmaps_of_no_points() -> None:
    points, images = torch.zeros(0, 2, 2), torch.zeros(0, dtype=torch.long)
    assert sample_heatmaps(noise(1, 2, 4, 4), images, points, (16, 16), "center").shape == (0, 2)


@pytest.mark.parametrize("frame", FRAMES)
def test_average_heatmaps_equals_mean_of_upsampled_maps(frame: Frame) -> None:
    """Where the finest cells lie at pixels, which those of an odd number of px do."""
    image_size = (36, 54)
    stride = 3 if frame == "center" else 2
    sizes = [(36 // (stride * n), 54 // (stride * n)) for n in (3, 1, 9)]
    maps = [noise(2, 3, *size, seed=n) for n, size in enumerate(sizes)]
    mean = average_heatmaps(maps, image_size, frame)
    large = torch.stack([upsampled(m, image_size, frame) for m in maps]).mean(dim=0)
    first = 1 if frame == "center" else 0
    expected = large[..., first::stride, first::stride]
    assert mean.shape == (2, 3, *sizes[1])
    torch.testing.assert_close(mean, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("frame", FRAMES)
def test_average_heatmaps_of_one_map(frame: Frame) -> None:
    maps = noise(1, 2, 5, 6)
    assert torch.equal(average_heatmaps([maps], (20, 24), frame), maps)


@pytest.mark.parametrize("frame", FRAMES)
def test_sample_heatmaps_half_precision(frame: Frame) -> None:
    maps = noise(1, 2, 6, 6).half()
    points, images = 24 * noise(9, 2, 2), torch.zeros(9, dtype=torch.long)
    read = sample_heatmaps(maps, images, points, (24, 24), frame)
    assert read.dtype == torch.float32
    assert torch.equal(read, sample_heatmaps(maps.float(), images, points, (24, 24), frame))
