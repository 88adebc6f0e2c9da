"""Refinement by branch and bound, against exhaustive search and goldens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from poselib.decoders import branch_and_bound as search
from poselib.decoders import refinement
from poselib.decoders.refinement import find_missing
from poselib.ops.peaks import subpixel_shift
from tests.decoders.official_grouping import decoded_case


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
def test_equals_exhaustive_search(size: tuple[int, int]) -> None:
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


def every_cell(*arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Search as on a GPU, where all cells are scored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "_use_bounds", lambda device: False)
        return find_missing(*arguments)


def wanted_of(
    heat: torch.Tensor, tags: torch.Tensor, count: int, seed: int = 0, scale: float = 2.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """References, images and keypoints of ``count`` people, some near the tags of a map."""
    rng = np.random.default_rng(seed)
    images, keypoints = rng.integers(len(heat), size=count), rng.integers(heat.shape[1], size=count)
    references = rng.normal(scale=scale, size=(count, tags.shape[2]))
    return torch.from_numpy(references), torch.from_numpy(images), torch.from_numpy(keypoints)


def kinds_of_maps(
    size: tuple[int, int], length: int
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Heat (2, 3, h, w) and tags (2, 3, L, h, w): some help bounds, others do not."""
    generator = torch.Generator().manual_seed(length)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(2, 3, *shape, generator=generator)

    def smooth(*shape: int) -> torch.Tensor:
        coarse = torch.rand(2, 3, *shape[:-2], 4, 5, generator=generator).flatten(0, -3)
        large = F.interpolate(coarse[None], shape[-2:], mode="bilinear")[0]
        return large.view(2, 3, *shape)

    heat, tags = noise(*size), 8 * noise(length, *size) - 4
    yield "noise", heat, tags
    yield "floor", 0.02 * heat, tags
    yield "smooth", smooth(*size), 8 * smooth(length, *size) - 4
    yield "smooth with a floor", smooth(*size) + 0.02 * heat, 8 * smooth(length, *size) - 4
    yield "steps", (4 * heat).round() / 4, (2 * tags).round() / 2
    yield "constant heat", torch.full_like(heat, 0.3), tags
    yield "constant tags", heat, torch.full_like(tags, 0.7)
    yield "constant", torch.full_like(heat, -0.3), torch.full_like(tags, 0.7)
    yield "halves", (2 * heat).round() / 2, torch.full_like(tags, 0.5)
    yield "far tags", heat, tags + 100
    yield "huge", 1e38 * (heat - 0.5), 1e30 * tags
    for bad in (torch.nan, torch.inf, -torch.inf):
        some, other = noise(*size) < 0.2, noise(length, *size) < 0.2
        yield f"{bad} heat", heat.masked_fill(some, bad), tags
        yield f"{bad} tags", heat, tags.masked_fill(other, bad)
        yield f"{bad} both", heat.masked_fill(some, bad), tags.masked_fill(other, bad)
        yield f"only {bad} tags", heat, torch.full_like(tags, bad)
        yield f"only {bad} heat", torch.full_like(heat, bad), tags


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (5, 70), (64, 96), (61, 83)])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_bounds_never_exclude_the_best_cell(size: tuple[int, int], length: int) -> None:
    for name, heat, tags in kinds_of_maps(size, length):
        for seed, scale in enumerate((0.5, 3.0)):
            wanted = wanted_of(heat, tags, 25, seed, scale)
            fast, slow = find_missing(heat, tags, *wanted), every_cell(heat, tags, *wanted)
            assert torch.equal(fast[0], slow[0]), name
            assert torch.equal(fast[1], slow[1]), name


@pytest.mark.slow
def test_chunks_and_rounds_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, heat, tags in kinds_of_maps((40, 56), 2):
        wanted = wanted_of(heat, tags, 30)
        slow = every_cell(heat, tags, *wanted)
        for first, pairs, bounds in (((), 1, 1), ((1, 3), 7, 100), ((2, 4, 6, 8), 4096, 1 << 20)):
            # Whole maps in turn, few blocks of them, and whichever of both is faster.
            monkeypatch.setattr(search, "_FEW_PEOPLE", 0 if pairs == 1 else 30)
            monkeypatch.setattr(search, "_FEW", 1 if pairs == 7 else 1 / 6)
            monkeypatch.setattr(search, "_FIRST", first)
            monkeypatch.setattr(search, "_PAIRS", pairs)
            monkeypatch.setattr(search, "_BOUNDS", bounds)
            fast = find_missing(heat, tags, *wanted)
            assert torch.equal(fast[0], slow[0]) and torch.equal(fast[1], slow[1])
        monkeypatch.setattr(refinement, "_CELLS", 1)
        again = every_cell(heat, tags, *wanted)
        assert torch.equal(again[0], slow[0]) and torch.equal(again[1], slow[1])
        monkeypatch.undo()


def test_memory_layout_of_tags_does_not_matter() -> None:
    for size in ((48, 64), (37, 51)):
        for _, heat, tags in kinds_of_maps(size, 2):
            wanted = wanted_of(heat, tags, 20)
            cells_first = tags.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
            part = torch.zeros(2, 3, 2, size[0], size[1] + 5)
            part[..., 2:-3] = tags
            one = find_missing(heat, tags, *wanted)
            for other in (cells_first, part[..., 2:-3]):
                found = find_missing(heat, other, *wanted)
                assert torch.equal(found[0], one[0]) and torch.equal(found[1], one[1])


def test_few_blocks_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise the bounds would be of no use, and no other test would notice.
    scored = []
    score = search.BranchAndBound._score

    def counted(self: search.BranchAndBound, people: np.ndarray, blocks: np.ndarray) -> None:
        scored.append(len(people))
        score(self, people, blocks)

    monkeypatch.setattr(search.BranchAndBound, "_score", counted)
    heat, tags = next(m[1:] for m in kinds_of_maps((192, 256), 2) if m[0] == "smooth with a floor")
    find_missing(heat, tags, *wanted_of(heat, tags, 50, scale=1.0))
    assert sum(scored) < 0.05 * 50 * (192 * 256) / 64


def test_no_missing_keypoints() -> None:
    heat, tags = maps(0)
    for search_of in (find_missing, every_cell):
        cells, values = search_of(heat, tags, *wanted_of(heat, tags, 0))
        assert cells.shape == (0, 2) and values.shape == (0,)


def test_no_cell_with_nonfinite_tags() -> None:
    heat, tags = maps(0)
    for search_of in (find_missing, every_cell):
        nowhere = torch.full_like(tags, torch.nan)
        cells, values = search_of(heat, nowhere, *wanted_of(heat, tags, 4))
        assert (cells == 0).all() and (values == 0).all()


def test_first_of_equal_cells_is_taken() -> None:
    heat, tags = torch.full((1, 1, 6, 7), 0.3), torch.zeros(1, 1, 1, 6, 7)
    zero = torch.zeros(1, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.zeros(1, 1), zero, zero)
    assert cells.tolist() == [[0, 0]]
    assert values.tolist() == pytest.approx([0.3])


def test_only_heatmap_counts_within_half_a_unit() -> None:
    heat, tags = torch.zeros(1, 1, 2, 3), torch.full((1, 1, 1, 2, 3), 9.0)
    heat[0, 0, 0], tags[0, 0, 0, 0] = torch.tensor([0.2, 0.6, 1.0]), torch.tensor([0.0, 0.49, 1.2])
    zero = torch.zeros(1, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.zeros(1, 1), zero, zero)
    assert cells.tolist() == [[1, 0]]
    assert values.item() == pytest.approx(0.6)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nonfinite_cells_are_never_taken(bad: float) -> None:
    heat, tags = maps(0)
    heat[..., :12, :], tags[..., 12:20, :] = bad, bad
    n = torch.zeros(5, dtype=torch.int64)
    cells, values = find_missing(heat, tags, torch.randn(5, 1), n, n)
    assert (cells[:, 1] >= 20).all()
    assert values.isfinite().all()
    cells, values = find_missing(torch.full_like(heat, bad), tags, torch.randn(5, 1), n, n)
    assert (values == 0).all()


@pytest.mark.golden
@pytest.mark.parametrize("method", ["ae", "pad"])
def test_refined_keypoints_equal_the_goldens(arrays_dir: Path, method: str) -> None:
    """Those that the match lacks, whatever the match; one whose value is not above 0 stays away."""
    compared = 0
    for case in (decoded_case(arrays_dir, case, method) for case in range(10)):
        found = case.match[..., 2] > 0
        rows, keypoints = np.nonzero(~found)
        means = case.match[..., 3:].sum(axis=1) / found.sum(axis=1, keepdims=True)
        k = torch.tensor(keypoints)
        references = torch.tensor(means[rows])
        cells, values = find_missing(case.heatmaps, case.tags, references, torch.zeros_like(k), k)
        xy = cells + 0.5 + subpixel_shift(case.heatmaps[0], k, cells, "quarter")
        taken = values > 0
        np.testing.assert_array_equal(values * taken, case.refine[rows, keypoints, 2])
        np.testing.assert_array_equal(xy * taken[:, None], case.refine[rows, keypoints, :2])
        compared += int(taken.sum())
    assert compared
