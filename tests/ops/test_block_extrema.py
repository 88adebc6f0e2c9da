"""Block extrema and the extraction of blocks, against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from poselib.ops.block_extrema import SIDE, BlockExtrema, block_extremes, maxima_in_blocks
from poselib.ops.peaks import local_maxima

SIZES = pytest.mark.parametrize(
    "size", [(1, 1), (3, 2), (8, 8), (16, 24), (9, 40), (40, 9), (7, 64), (61, 83)]
)


def layouts(size: tuple[int, int], seed: int = 0) -> list[torch.Tensor]:
    """(M, L, h, w) maps of equal values: channels before cells, after them, and in a larger map."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, 2, *size, generator=generator)
    after = maps.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    larger = torch.zeros(3, 2, size[0] + 1, size[1] + 3)
    larger[..., 1:, 2:-1] = maps
    return [maps, after, larger[..., 1:, 2:-1]]


@SIZES
@pytest.mark.parametrize("shape", [(8, 8), (2, 4), (16, 32), (1, 1)])
def test_block_extremes_equal_loops(size, shape) -> None:
    for maps in layouts(size):
        lowest, highest = (block_extremes(maps, e, shape) for e in ("min", "max"))
        rows, columns = -(-size[0] // shape[0]), -(-size[1] // shape[1])
        assert lowest.shape == highest.shape == (3, 2, rows, columns)
        for y, x in np.ndindex(rows, columns):
            corner = y * shape[0], x * shape[1]
            block = maps[..., corner[0] :, corner[1] :][..., : shape[0], : shape[1]]
            assert torch.equal(lowest[..., y, x], block.amin((-2, -1)))
            assert torch.equal(highest[..., y, x], block.amax((-2, -1)))


def test_block_extremes_of_nan() -> None:
    maps = torch.zeros(20, 20)
    maps[9, 17] = torch.nan
    for extreme in ("min", "max"):
        found = block_extremes(maps, extreme).isnan()
        assert found.nonzero().tolist() == [[1, 2]]


@SIZES
def test_cut_blocks_cover_the_map(size) -> None:
    rng = np.random.default_rng(0)
    for maps in layouts(size):
        blocks = BlockExtrema(maps.numpy())
        height, width = blocks.shape
        assert (height, width) == (min(SIDE, size[0]), min(SIDE, size[1]))
        covered = np.zeros(size, bool)
        count = len(blocks.rows)
        which, numbers = rng.integers(3, size=40), np.r_[np.arange(count), rng.integers(count)][:40]
        which = which[: len(numbers)]
        cut, single = (
            blocks.cut(which, numbers),
            BlockExtrema(maps[:, 0].numpy()).cut(which, numbers),
        )
        for each, plain, m, n in zip(cut, single, which, numbers, strict=True):
            y, x = blocks.rows[n], blocks.columns[n]
            wanted = maps[m, :, y : y + height, x : x + width].flatten(1).numpy()
            np.testing.assert_array_equal(each, wanted)
            np.testing.assert_array_equal(plain, wanted[0])
        for y, x in zip(blocks.rows, blocks.columns, strict=True):
            covered[y : y + height, x : x + width] = True
        assert covered.all()


def test_block_extremes_of_no_maps() -> None:
    for extreme in ("min", "max"):
        assert block_extremes(torch.zeros(0, 3, 9, 17), extreme).shape == (0, 3, 2, 3)


def test_cut_of_no_blocks() -> None:
    nothing = np.zeros(0, np.int64)
    for maps in layouts((16, 24)):
        assert BlockExtrema(maps.numpy()).cut(nothing, nothing).shape == (0, 2, 64)


@SIZES
@pytest.mark.parametrize("kernel", [3, 5, 7, 11])
@pytest.mark.parametrize("values", [2, 5, 1000])
def test_maxima_in_blocks_equal_local_maxima(size, kernel, values) -> None:
    # Few different values make plateaus, also over the borders of blocks.
    generator = torch.Generator().manual_seed(kernel)
    maps = torch.randint(-2, values, (4, *size), generator=generator).float()
    maps[0, maps[0] > values / 2] = -torch.inf
    every = np.arange(4 * len(BlockExtrema(maps.numpy()).rows))
    for level in (-torch.inf, 0.0, values / 2):
        wanted = (local_maxima(maps[None], kernel)[0] & (maps > level)).flatten().nonzero()[:, 0]
        found = maxima_in_blocks(maps.numpy(), every, kernel, level)
        np.testing.assert_array_equal(found, wanted)
        some = every[block_extremes(maps, "max").flatten().numpy() > level]
        np.testing.assert_array_equal(maxima_in_blocks(maps.numpy(), some, kernel, level), wanted)
