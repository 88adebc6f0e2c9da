from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.decoders import refinement
from poselib.decoders.refinement import find_missing
from poselib.ops.peaks import subpixel_shift


def slow_missing(
    heatmap: np.ndarray, tags: np.ndarray, reference: np.ndarray
) -> tuple[tuple[int, int], float]:
    """Score every cell of one map, (h, w) and (L, h, w); the first best in row order."""
    best, where = -np.inf, (0, 0)
    for y in range(heatmap.shape[0]):
        for x in range(heatmap.shape[1]):
            distance = np.sqrt(((tags[:, y, x] - reference) ** 2).sum(dtype=np.float32))
            score = heatmap[y, x] - np.round(distance)
            if score > best:
                best, where = score, (x, y)
    return where, float(heatmap[where[1], where[0]])


def maps(seed: int, size: tuple[int, int] = (23, 31)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    heat = torch.randn(2, 3, *size, generator=generator) * 0.01
    heat[..., 4:9, 5:11] += torch.rand(2, 3, 5, 6, generator=generator)
    return heat, 2 * torch.randn(2, 3, seed % 3 + 1, *size, generator=generator)


@pytest.mark.parametrize("size", [(23, 31), (1, 1), (1, 40)])
def test_equals_a_search_of_every_cell(size: tuple[int, int]) -> None:
    for seed in range(8):
        heat, tags = maps(seed)
        heat, tags = heat[..., : size[0], : size[1]], tags[..., : size[0], : size[1]]
        rng = np.random.default_rng(seed)
        images, keypoints = rng.integers(2, size=20), rng.integers(3, size=20)
        references = rng.normal(scale=2, size=(20, tags.shape[2])).astype(np.float32)
        cells, values = find_missing(
            heat, tags, *(torch.tensor(a) for a in (references, images, keypoints))
        )
        for i, (b, k) in enumerate(zip(images, keypoints, strict=True)):
            wanted, heat_there = slow_missing(heat[b, k].numpy(), tags[b, k].numpy(), references[i])
            assert (tuple(cells[i].tolist()), values[i].item()) == (wanted, heat_there)


def test_pruning_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    heat, tags = maps(1, (90, 120))
    references = torch.randn(40, tags.shape[2]) * 3
    images, keypoints = torch.arange(40) % 2, torch.arange(40) % 3
    fast = find_missing(heat, tags, references, images, keypoints)
    monkeypatch.setattr(refinement, "_PARTS", (1.0,))
    monkeypatch.setattr(refinement, "_PAIRS", 1)
    slow = find_missing(heat, tags, references, images, keypoints)
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])


def test_first_of_equal_cells_wins_also_in_a_constant_map() -> None:
    heat, tags = torch.full((1, 1, 6, 7), 0.3), torch.zeros(1, 1, 1, 6, 7)
    zero = torch.zeros(1, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.zeros(1, 1), zero, zero)
    assert cells.tolist() == [[0, 0]]
    assert values.tolist() == pytest.approx([0.3])


def test_heat_alone_counts_within_half_a_unit_of_the_tag() -> None:
    heat, tags = torch.zeros(1, 1, 2, 3), torch.full((1, 1, 1, 2, 3), 9.0)
    heat[0, 0, 0], tags[0, 0, 0, 0] = torch.tensor([0.2, 0.6, 1.0]), torch.tensor([0.0, 0.49, 1.2])
    zero = torch.zeros(1, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.zeros(1, 1), zero, zero)
    assert cells.tolist() == [[1, 0]]
    assert values.item() == pytest.approx(0.6)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_cells_that_are_not_finite_are_never_found(bad: float) -> None:
    heat, tags = maps(0)
    heat[..., :12, :], tags[..., 12:20, :] = bad, bad
    n = torch.zeros(5, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.randn(5, 1), n, n)
    assert (cells[:, 1] >= 20).all()
    assert values.isfinite().all()
    cells, values = find_missing(torch.full_like(heat, bad), tags, torch.randn(5, 1), n, n)
    assert (values == 0).all()


@pytest.mark.golden
def test_refined_keypoints_equal_the_goldens(golden_dir: Path) -> None:
    compared = 0
    with np.load(golden_dir / "adjust_refine.npz") as golden:
        for case in range(10):
            heat = torch.tensor(golden[f"c{case}_heatmap_f16"].astype(np.float32))
            tags = torch.tensor(golden[f"c{case}_tagmap_f16"].astype(np.float32)).permute(
                0, 3, 1, 2
            )
            for method in ("ae", "pad"):
                match, refine = (golden[f"c{case}_{method}_{n}"] for n in ("match", "refine"))
                found = match[..., 2] > 0
                rows, keypoints = np.nonzero(~found)
                means = match[..., 3:].sum(axis=1) / found.sum(axis=1, keepdims=True)
                k = torch.tensor(keypoints)
                cells, values = find_missing(
                    heat[None], tags[None], torch.tensor(means[rows]), torch.zeros_like(k), k
                )
                xy = cells + 0.5 + subpixel_shift(heat, k, cells, "quarter")
                np.testing.assert_array_equal(values, refine[rows, keypoints, 2])
                np.testing.assert_array_equal(xy, refine[rows, keypoints, :2])
                compared += len(rows)
    assert compared == 442
