"""Targets: a map per stride, the ignored regions and the people they were made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from poselib.encoders.heatmap import heatmap_targets
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.structures import AffineTransform, Batch


def batch_of(size: tuple[int, int] = (32, 48), people: int = 3, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, size, (2, people, 5, 2))[..., ::-1]
    visibility = rng.integers(0, 3, (2, people, 5, 1))
    points = np.concatenate([keypoints, visibility], axis=-1)
    return Batch(
        images=torch.zeros(2, 3, *size, dtype=torch.uint8),
        keypoints=torch.tensor(points, dtype=torch.float32),
        areas=torch.tensor(rng.uniform(10, 99, (2, people)), dtype=torch.float32),
        ignore_mask=torch.zeros(2, *size, dtype=torch.bool),
        image_ids=(1, 2),
        to_original=(AffineTransform.identity(), AffineTransform.identity()),
    )


def test_heatmaps_per_stride_coarse_to_fine() -> None:
    batch = batch_of()
    targets = heatmap_targets(batch)
    assert [tuple(h.shape) for h in targets.heatmaps] == [(2, 5, 8, 12), (2, 5, 16, 24)]
    assert [tuple(w.shape) for w in targets.masks] == [(2, 1, 8, 12), (2, 1, 16, 24)]
    assert {t.dtype for t in (*targets.heatmaps, *targets.masks)} == {torch.float32}
    for maps, size in zip(targets.heatmaps, ((8, 12), (16, 24)), strict=True):
        expected = gaussian_heatmaps(batch.keypoints, (32, 48), size, 2.0)
        assert torch.equal(maps, expected) and maps.any()


def test_targets_keep_keypoints_and_areas() -> None:
    batch = batch_of()
    targets = heatmap_targets(batch, strides=(8,))
    assert targets.keypoints is batch.keypoints and targets.areas is batch.areas
    assert targets.image_size == (32, 48) and len(targets.heatmaps) == 1


def test_sigma_per_stride() -> None:
    batch = batch_of()
    both = heatmap_targets(batch, sigma=(1.0, 3.0), subpixel=False).heatmaps
    narrow, wide = (heatmap_targets(batch, sigma=s, subpixel=False).heatmaps for s in (1, 3.0))
    assert torch.equal(both[0], narrow[0]) and torch.equal(both[1], wide[1])
    assert not torch.equal(narrow[0], wide[0])
    with pytest.raises(ValueError):
        heatmap_targets(batch, sigma=(1.0, 2.0, 3.0))


def test_subpixel_false_quantizes_centers() -> None:
    batch = batch_of()
    quantized = heatmap_targets(batch, strides=(4,), subpixel=False).heatmaps[0]
    assert torch.equal(
        quantized, gaussian_heatmaps(batch.keypoints, (32, 48), (8, 12), 2.0, subpixel=False)
    )
    assert not torch.equal(quantized, heatmap_targets(batch, strides=(4,)).heatmaps[0])


def test_aligned_cells_by_hand() -> None:
    """A Gaussian at the last pixel peaks in the last cell, one at the first in the first (UDP)."""
    batch = batch_of()
    points = torch.tensor([[0.5, 0.5, 2], [47.5, 31.5, 2], [0.5 + 47 / 11, 0.5 + 2 * 31 / 7, 2]])
    batch = replace(batch, keypoints=points[None, None].expand(2, 1, 3, 3))
    (maps,) = heatmap_targets(batch, strides=(4,), frame="aligned").heatmaps
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    for kind, (column, row) in enumerate([(0, 0), (11, 7), (1, 2)]):
        expected = torch.exp(-((x - column) ** 2 + (y - row) ** 2) / 8)
        near = expected > 0.1  # inside the window
        torch.testing.assert_close(maps[0, kind][near], expected[near], rtol=1e-4, atol=1e-5)


def test_overlap_of_gaussians() -> None:
    batch = batch_of(people=6)
    added = heatmap_targets(batch, strides=(4,), overlap="sum").heatmaps[0]
    highest = heatmap_targets(batch, strides=(4,)).heatmaps[0]
    expected = gaussian_heatmaps(batch.keypoints, (32, 48), (8, 12), 2.0, overlap="sum")
    assert torch.equal(added, expected)
    assert (added >= highest - 1e-6).all() and (added > highest + 0.1).any()


def test_mask_of_ignored_cells() -> None:
    batch = batch_of()
    batch.ignore_mask[0, :4, 4:8] = True  # one cell of 4 px, four of 2 px
    batch.ignore_mask[1, 8:12, 0:2] = True  # half a cell of 4 px, two of 2 px
    batch.ignore_mask[1, 20, 20] = True  # a sixteenth, a quarter
    coarse, fine = heatmap_targets(batch).masks
    assert (1 - coarse).nonzero().tolist() == [[0, 0, 0, 1], [1, 0, 2, 0]]
    assert (1 - fine).nonzero().tolist() == [
        *([0, 0, 0, 2], [0, 0, 0, 3], [0, 0, 1, 2], [0, 0, 1, 3]),
        *([1, 0, 4, 0], [1, 0, 5, 0]),
    ]
    assert set(coarse.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("stride", [2, 3, 4, 16])
def test_mask_equals_average_pooling(stride: int) -> None:
    batch = batch_of((96, 144))
    shares = torch.rand(2, 96 // stride, 144 // stride, generator=torch.Generator().manual_seed(1))
    wide = shares.repeat_interleave(stride, 1).repeat_interleave(stride, 2)
    noise = torch.rand(2, 96, 144, generator=torch.Generator().manual_seed(2))
    batch.ignore_mask[:] = noise < wide
    batch.ignore_mask[0, :48] = True  # 256 px of a cell do not fit into a byte
    (weights,) = heatmap_targets(batch, strides=(stride,)).masks
    averages = torch.nn.functional.avg_pool2d(batch.ignore_mask[:, None].double(), stride)
    assert torch.equal(weights, (averages < 0.5).float())
    assert weights.any() and not weights.all()


def test_heatmaps_do_not_depend_on_the_ignore_mask() -> None:
    plain, ignoring = batch_of(), batch_of()
    ignoring.ignore_mask[:] = True
    a, b = heatmap_targets(plain), heatmap_targets(ignoring)
    assert all(torch.equal(x, y) for x, y in zip(a.heatmaps, b.heatmaps, strict=True))
    assert not any(w.any() for w in b.masks)


def test_no_people() -> None:
    targets = heatmap_targets(batch_of(people=0))
    assert not any(h.any() for h in targets.heatmaps) and all(w.all() for w in targets.masks)


@pytest.mark.parametrize("size", [(32, 46), (30, 48)])
def test_size_must_be_a_multiple_of_the_strides(size: tuple[int, int]) -> None:
    message = f"image size {size[0]}x{size[1]} is not a multiple of stride 4"
    with pytest.raises(ValueError, match=message):
        heatmap_targets(batch_of(size), strides=(4, 2))


@pytest.mark.golden
def test_official_gaussians_of_the_video_network(golden_dir: Path) -> None:
    """Centered on cells of 4 px and cut where they are below 0.01, a deviation of two cells."""
    with np.load(golden_dir / "rpstn_funcs.npz") as data:
        centers, expected = data["target_gaussian_centers"], data["target_gaussian"]
    inside = ((centers >= 0) & (centers < 64)).all(axis=1)
    assert 1 < inside.sum() < len(inside)  # those outside leave a rim there and nothing here
    points = np.append(4 * centers + 1.0, np.full((len(centers), 1), 2), axis=1)
    keypoints = torch.from_numpy(points[inside, None].astype(np.float32))[:, None]
    maps = gaussian_heatmaps(keypoints, (256, 256), (64, 64), 2.0, subpixel=False, frame="index")
    cut = np.where(maps[:, 0].numpy() > 0.0099, maps[:, 0].numpy(), 0)
    np.testing.assert_allclose(cut, expected[inside], atol=1e-6)


def test_masks_of_labeled_keypoints_alone() -> None:
    """A map counts where somebody's keypoint of its type is labeled, ignored cells excepted."""
    batch = batch_of(people=2)
    batch.ignore_mask[:, :8] = True
    batch.keypoints[0, :, 1] = 0
    batch.keypoints[1, 0, 2], batch.keypoints[1, 1, 2, 2] = 0, 1
    both, labeled = (heatmap_targets(batch, labeled_only=only) for only in (False, True))
    for one, other in zip(both.heatmaps, labeled.heatmaps, strict=True):
        assert torch.equal(one, other)
    for plain, mask in zip(both.masks, labeled.masks, strict=True):
        assert mask.shape[1] == 5 and (mask[0, 1] == 0).all()
        for image in range(2):
            for k in range(5):
                known = bool((batch.keypoints[image, :, k, 2] > 0).any())
                assert torch.equal(mask[image, k], plain[image, 0] * known)
        assert torch.equal(mask[1, 2], plain[1, 0])
