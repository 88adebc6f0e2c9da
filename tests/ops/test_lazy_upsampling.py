"""Lazy upsampling against upsampled maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poselib.ops.block_extrema import BlockExtrema
from poselib.ops.lazy_upsampling import LazyUpsampled
from poselib.ops.peaks import sample_cells
from poselib.structures import Size

STEPS = pytest.mark.parametrize(
    ("small", "sizes"),
    [
        ((16, 24), [(32, 48), (64, 96)]),  # a network's: strides 4, 2 and 1
        ((16, 24), [(32, 48)]),
        ((5, 7), [(11, 13), (61, 83)]),
        ((5, 7), [(40, 9)]),
        ((1, 1), [(2, 3), (16, 24)]),
        ((1, 9), [(1, 9), (3, 40)]),
        ((6, 8), [(6, 8)]),
        ((20, 30), [(9, 11)]),  # smaller
    ],
)


ALIGNED = pytest.mark.parametrize("aligned", [False, True])


def maps_of(small: Size, sizes: list[Size], aligned: bool = False) -> tuple[Tensor, Tensor]:
    """(2, 3, L, h, w) maps, and the same enlarged step by step."""
    maps = 4 * torch.randn(2, 3, 2, *small, generator=torch.Generator().manual_seed(small[1]))
    large = maps.flatten(1, 2)
    for size in sizes:
        large = F.interpolate(large, size, mode="bilinear", align_corners=aligned)
    return maps, large.unflatten(1, (3, 2))


@STEPS
@ALIGNED
def test_sample_equals_upsampled_maps(small: Size, sizes: list[Size], aligned: bool) -> None:
    maps, large = maps_of(small, sizes, aligned)
    y, x = (torch.arange(n) for n in sizes[-1])
    cells = torch.cartesian_prod(x, y).expand(2, 3, -1, 2)
    read = LazyUpsampled(maps.flatten(0, 1), sizes, aligned).sample(cells)
    scale = float(large.abs().max())
    torch.testing.assert_close(read, sample_cells(large, cells), rtol=0, atol=1e-6 * scale)


@STEPS
def test_cut_equals_upsampled_maps(small: Size, sizes: list[Size]) -> None:
    maps, large = maps_of(small, sizes)
    whole = BlockExtrema(large.flatten(0, 1).numpy())
    which, blocks = (a.ravel() for a in np.indices((6, len(whole.rows))))
    found, wanted = (
        LazyUpsampled(maps.flatten(0, 1), sizes).cut(which, blocks),
        whole.cut(which, blocks),
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@STEPS
@ALIGNED
@pytest.mark.parametrize("side", [1, 4, 16])
def test_bounds_hold_and_are_tight(
    small: Size, sizes: list[Size], aligned: bool, side: int
) -> None:
    maps, large = maps_of(small, sizes, aligned)
    which = np.array([4, 1])
    low, high = LazyUpsampled(maps.flatten(0, 1), sizes, aligned).bounds(which, side)
    lowest, highest = BlockExtrema(large.flatten(0, 1).numpy()).bounds(which, side)
    assert low.shape == high.shape == lowest.shape
    assert (low <= lowest).all() and (high >= highest).all()
    if side == 1:  # a run of one row is bounded by the neighbors that it lies between
        rows = maps.flatten(0, 1)[which]
        assert (low >= rows.amin((-2, -1), keepdim=True) - 1e-4).all()
        assert (high <= rows.amax((-2, -1), keepdim=True) + 1e-4).all()


def test_bounds_of_a_slope_are_tight() -> None:
    rows = torch.linspace(0, 1, 16)[:, None].expand(16, 24)
    low, high = LazyUpsampled(rows[None, None].contiguous(), [(64, 96)]).bounds(np.array([0]), 16)
    assert float((high - low).max()) < 0.4  # of a run of 16 rows in 64, and a neighbor each side


def test_maps_of_any_strides_are_not_modified() -> None:
    maps, _ = maps_of((8, 12), [(16, 24)])
    plain = maps.flatten(0, 1)
    other = plain.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).requires_grad_()
    cells = torch.randint(16, (2, 3, 9, 2), generator=torch.Generator().manual_seed(0))
    one, two = (LazyUpsampled(m, [(16, 24)]).sample(cells) for m in (plain, other))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    assert not two.requires_grad
    assert torch.equal(plain, maps_of((8, 12), [(16, 24)])[0].flatten(0, 1))
