"""Targets of keypoint regression: against loops over cells, the official arrays and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.encoders.regression import Foreground, mean_positions, regression_targets
from poselib.ops.center_regions import Region, center_regions
from poselib.structures import AffineTransform, Batch, RegressionTargets
from tests.ops.factories import offset_maps
from tests.references.plain_regression import PlainRegression

torch.set_num_threads(1)


def batch_of(keypoints: Tensor, size: tuple[int, int], areas: Tensor | None = None) -> Batch:
    """A batch of black images with keypoints (B, N, K, 3), px."""
    count = len(keypoints)
    return Batch(
        images=torch.zeros(count, 3, *size, dtype=torch.uint8),
        keypoints=keypoints,
        areas=torch.ones(keypoints.shape[:2]) if areas is None else areas,
        ignore_mask=torch.zeros(count, *size, dtype=torch.bool),
        image_ids=tuple(range(count)),
        to_original=(AffineTransform.identity(),) * count,
    )


def random_batch(seed: int, size: tuple[int, int] = (64, 96), people: int = 6) -> Batch:
    """People who overlap; some keypoints are unlabeled or outside, and one person has none."""
    rng = np.random.default_rng(seed)
    limits = np.array([size[1], size[0]])
    middle = rng.uniform(0.2, 0.8, (2, people, 1, 2)) * limits
    xy = middle + rng.normal(0, 12, (2, people, 5, 2))
    seen = rng.choice([0, 1, 2], (2, people, 5, 1), p=[0.2, 0.3, 0.5])
    seen[0, 0] = 0
    points = torch.tensor(np.concatenate([xy, seen], axis=-1))
    return batch_of(points, size, torch.tensor(rng.uniform(10, 3000, (2, people))))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("region", "foreground"), [("disc", "per_map"), ("square", "per_map"), ("disc", "any")]
)
def test_targets_equal_loops_over_cells(seed: int, region: Region, foreground: Foreground) -> None:
    batch = random_batch(seed)
    targets = regression_targets(
        batch, sigma=0.7, center_sigma=1.2, radius=2.6, region=region, foreground=foreground
    )
    offsets, sizes = offset_maps(targets)
    sigmas = [0.7] * 5 + [1.2]
    plain = PlainRegression((16, 24), sigmas, 2.6, region == "square", 0.1, foreground == "any")
    contested = 0
    for b, areas in enumerate(batch.areas.numpy()):
        people = batch.keypoints[b].numpy() / (4, 4, 1)
        heat, weight = plain.heatmaps(people)
        np.testing.assert_allclose(targets.heatmaps[0][b], heat, atol=1e-6)
        np.testing.assert_allclose(targets.masks[0][b], weight, atol=1e-7)
        np.testing.assert_array_equal(targets.center_assignment[b], plain.center_assignment(people))
        offset, size = plain.offsets(people, areas, 4)
        np.testing.assert_allclose(offsets[b], offset, atol=1e-6)
        np.testing.assert_allclose(sizes[b], size, atol=1e-8)
        alone = [(plain.center_assignment(people[n : n + 1]) == 0) for n in range(len(people))]
        contested += int((np.sum(alone, axis=0) > 1).sum())
    assert contested > 10, "regions overlap"


# The official targets. Their keypoints are by pixel index, in cells: those of an image of 4 px a
# cell in frame "index".


def official(arrays_dir: Path, case: int) -> tuple[Batch, Tensor, dict[str, np.ndarray]]:
    with np.load(arrays_dir / "dekr_targets.npz") as data:
        names = ("joints", "area", "res", "heatmap", "ignored", "offset", "weight")
        arrays = {name: data[f"c{case}_{name}"] for name in names}
    points = torch.tensor(arrays["joints"])[None]
    points[..., :2] = points[..., :2] * 4 + 0.5
    side, kinds = 4 * int(arrays["res"]), points.shape[2] - 1
    areas = torch.tensor(arrays["area"])[None, :, 0]
    batch = batch_of(points[:, :, :kinds], (side, side), areas)
    return batch, points[:, :, kinds, :2], arrays


def official_targets(arrays_dir: Path, case: int) -> tuple[RegressionTargets, dict]:
    """The official arrays, and targets with the official options."""
    batch, centers, arrays = official(arrays_dir, case)
    # A fault of the official code: CrowdPose's centers get the deviation of keypoints.
    center_sigma = 4.0 if batch.keypoints.shape[2] == 17 else 2.0
    targets = regression_targets(
        batch,
        center_sigma=center_sigma,
        region="window",
        owner="smallest",
        person_size="area",
        frame="index",
        centers=centers,
    )
    return targets, arrays


@pytest.mark.golden
@pytest.mark.parametrize("case", range(6))
def test_official_options_give_the_official_targets(arrays_dir: Path, case: int) -> None:
    """All of them: heatmaps, masks, offsets and their weights, in every cell."""
    targets, arrays = official_targets(arrays_dir, case)
    np.testing.assert_allclose(targets.heatmaps[0][0], arrays["heatmap"], atol=1e-6)
    masks = targets.masks[0][0].numpy().astype(np.float16)
    np.testing.assert_array_equal(masks, arrays["ignored"])
    offsets, weights = (maps[0].numpy() for maps in offset_maps(targets, "area"))
    np.testing.assert_allclose(offsets, arrays["offset"].reshape(offsets.shape), atol=1e-5)
    for axis in (0, 1):
        np.testing.assert_allclose(weights, arrays["weight"][axis::2], rtol=1e-6)


@pytest.mark.golden
@pytest.mark.parametrize("case", range(6))
def test_default_options_differ_from_the_official_ones_as_documented(
    arrays_dir: Path, case: int
) -> None:
    """The centers' deviation for CrowdPose, and cells whose owner is another."""
    batch, centers, arrays = official(arrays_dir, case)
    targets = regression_targets(batch, frame="index", centers=centers)
    heat = targets.heatmaps[0][0].numpy()
    np.testing.assert_allclose(heat[:-1], arrays["heatmap"][:-1], atol=1e-6)
    same = np.allclose(heat[-1], arrays["heatmap"][-1], atol=1e-6)
    assert same == (batch.keypoints.shape[2] == 17 or not targets.centers[..., 2].any())

    ours, weights = (maps[0].numpy() for maps in offset_maps(targets))
    theirs = arrays["offset"].reshape(ours.shape)
    both = (weights > 0) & (arrays["weight"][::2] > 0)
    differ = both & (np.abs(ours - theirs) > 1e-5).any(axis=1)
    size = targets.image_size[0] // 4, targets.image_size[1] // 4
    near = center_regions(targets.centers, targets.image_size, size, 5.0, "square", "index")
    regions = np.zeros(size[0] * size[1], int)
    np.add.at(regions, near.cells[near.squares < torch.inf], 1)
    contested = regions.reshape(size) > 1
    assert not differ[:, ~contested].any(), "where one person alone can be, nothing differs"


@pytest.mark.golden
@pytest.mark.parametrize("case", range(6))
def test_centers_equal_the_official_means_of_labeled_keypoints(arrays_dir: Path, case: int) -> None:
    """Except those that were put beside the center of another person, or rounded, by hand."""
    batch, centers, arrays = official(arrays_dir, case)
    cells = arrays["joints"][:, -1, :2]
    beside = (np.abs(cells[:, None] - cells - 1) < 1e-9).all(axis=-1).any(axis=1)
    mean = ~(beside | (cells == np.round(cells)).all(axis=1))
    torch.testing.assert_close(mean_positions(batch.keypoints)[0, mean], centers[0, mean])


def one_person(*points: tuple[float, float, float]) -> Tensor:
    return torch.tensor([[points]])


def test_people_without_a_center() -> None:
    unlabeled, outside, inside = (
        [(9.0, 9.0, 0.0), (40.0, 40.0, 0.0)],
        [(4.0, 4.0, 2.0), (150.0, 4.0, 2.0)],  # the mean lies right of the image
        [(16.0, 16.0, 1.0), (32.0, 48.0, 2.0)],
    )
    batch = batch_of(torch.tensor([[unlabeled, outside, inside]]), (64, 64))
    targets = regression_targets(batch)
    assert targets.centers[0, :, 2].tolist() == [0, 0, 1]
    assert targets.centers[0, 2].tolist() == [24, 32, 1]
    assert set(targets.center_assignment.unique().tolist()) == {-1, 2}
    assert targets.heatmaps[0][0, 0, 1, 1] > 0.7, "the keypoint has a Gaussian nevertheless"
    alone = regression_targets(batch_of(torch.tensor([[inside]]), (64, 64)))
    assert torch.equal(targets.heatmaps[0][:, 2], alone.heatmaps[0][:, 2])
    assert targets.heatmaps[0][0, 2, 8, 6] == targets.heatmaps[0][0, 2].max() > 0.9


def test_centers_ignore_unlabeled_keypoints() -> None:
    people = one_person((10.0, 20.0, 2.0), (0.0, 0.0, 0.0), (30.0, 40.0, 1.0))
    assert mean_positions(people).tolist() == [[[20.0, 30.0]]]
    wild = one_person((10.0, 20.0, 2.0), (float("nan"), 9e9, 0.0), (30.0, 40.0, 1.0))
    assert mean_positions(wild).tolist() == [[[20.0, 30.0]]]


def test_min_area_is_in_px_of_the_image_file() -> None:
    """Areas of 900 px² of images twice as large and half as large as their files."""
    batch = batch_of(one_person((8.0, 8.0, 2.0)).repeat(2, 1, 1, 1), (32, 32))
    warps = (
        AffineTransform(np.diag([2.0, 2.0, 1.0])[:2]),
        AffineTransform(np.diag([0.5, 0.5, 1.0])[:2]),
    )
    batch = replace(batch, areas=torch.full((2, 1), 900.0), to_original=warps)
    assert regression_targets(batch).centers[..., 2].flatten().tolist() == [1, 1]
    targets = regression_targets(batch, min_area=32.0**2)
    assert targets.centers[..., 2].flatten().tolist() == [1, 0]
    assert (targets.center_assignment >= 0).flatten(1).any(dim=1).tolist() == [True, False]
    assert targets.heatmaps[0][:, 0].flatten(1).amax(dim=1).min() > 0.7
    assert targets.heatmaps[0][1, 1].max() == 0
    exactly = regression_targets(batch, min_area=3600.0)
    assert exactly.centers[0, 0, 2] == 1, "least means at least"


def test_given_centers_replace_the_means() -> None:
    batch = batch_of(one_person((8.0, 8.0, 2.0)), (64, 64))
    targets = regression_targets(batch, centers=torch.tensor([[[50.0, 34.0]]]))
    assert targets.centers.tolist() == [[[50.0, 34.0, 1.0]]]
    assert targets.heatmaps[0][0, 1].argmax() == 8 * 16 + 12


def test_foreground_per_map_any_and_all() -> None:
    batch = batch_of(one_person((6.0, 6.0, 2.0), (120.0, 120.0, 2.0)), (128, 128))
    own = regression_targets(batch, sigma=0.5, center_sigma=0.5, background=0.25).masks[0][0]
    every = regression_targets(
        batch, sigma=0.5, center_sigma=0.5, background=0.25, foreground="any"
    ).masks[0][0]
    first, second, center = (1, 1), (30, 30), (16, 16)
    assert [float(own[0][c]) for c in (first, second, center)] == [1, 0.25, 0.25]
    assert [float(own[2][c]) for c in (first, second, center)] == [0.25, 0.25, 1]
    assert [float(every[0][c]) for c in (first, second, center)] == [1, 1, 0.25]
    assert [float(every[2][c]) for c in (first, second, center)] == [1, 1, 1]
    assert every[:, 8, 20].tolist() == [0.25] * 3
    assert torch.equal(every, torch.maximum(own, own[:2].amax(dim=0)))
    one = regression_targets(batch, sigma=0.5, center_sigma=0.5, background=0.25, foreground="all")
    assert torch.equal(one.masks[0][0], own.amax(dim=0).expand(3, -1, -1))


@pytest.mark.parametrize("foreground", ["per_map", "any", "all"])
def test_mask_of_ignored_cells(foreground: Foreground) -> None:
    batch = random_batch(3)
    batch.ignore_mask[0, :12, 8:40] = True
    whole = regression_targets(random_batch(3), foreground=foreground).masks[0]
    cut = regression_targets(batch, foreground=foreground).masks[0]
    assert not cut[0, :, :3, 2:10].any() and whole[0, :, :3, 2:10].any()
    cut[0, :, :3, 2:10] = whole[0, :, :3, 2:10]
    assert torch.equal(cut, whole)


def test_shapes_keypoints_and_areas() -> None:
    batch = random_batch(0)
    batch = replace(batch, keypoints=batch.keypoints.float(), areas=batch.areas.float())
    targets = regression_targets(batch, stride=8)
    assert [tuple(maps.shape) for maps in targets.heatmaps] == [(2, 6, 8, 12)]
    assert [tuple(maps.shape) for maps in targets.masks] == [(2, 6, 8, 12)]
    assert targets.heatmaps[0].dtype == targets.masks[0].dtype == torch.float32
    assert targets.centers.shape == (2, 6, 3) and targets.centers.dtype == torch.float32
    assert (
        targets.center_assignment.shape == (2, 8, 12)
        and targets.center_assignment.dtype == torch.int64
    )
    assert targets.keypoints is batch.keypoints and targets.areas is batch.areas
    assert targets.image_size == (64, 96)


def test_flip_equivariance() -> None:
    batch = random_batch(5)
    points = batch.keypoints.clone()
    points[..., 0] = 96 - points[..., 0]
    plain, other = regression_targets(batch), regression_targets(replace(batch, keypoints=points))
    torch.testing.assert_close(plain.heatmaps[0].flip(-1), other.heatmaps[0])
    assert torch.equal(plain.masks[0].flip(-1), other.masks[0])
    assert (
        torch.equal(plain.center_assignment.flip(-1), other.center_assignment)
        and (plain.center_assignment >= 0).any()
    )


def test_translation_equivariance() -> None:
    points = torch.tensor([[[[30.3, 33.1, 2.0], [41.7, 50.2, 1.0]]]])
    moved = points + torch.tensor([8.0, 4.0, 0.0])
    a, b = (
        regression_targets(batch_of(p, (128, 128)), sigma=1.0, center_sigma=1.5)
        for p in (points, moved)
    )
    for one, other in ((a.heatmaps[0], b.heatmaps[0]), (a.masks[0], b.masks[0])):
        torch.testing.assert_close(one.roll((1, 2), (-2, -1)), other, atol=1e-5, rtol=0)
    assert torch.equal(a.center_assignment.roll((1, 2), (-2, -1)), b.center_assignment)


def test_images_of_a_batch_are_independent() -> None:
    batch = random_batch(1)
    together = regression_targets(batch)
    for b in range(2):
        people = torch.cat([batch.keypoints[b], torch.zeros(3, 5, 3)])[None]
        alone = regression_targets(batch_of(people, batch.size))
        assert torch.equal(alone.heatmaps[0][0], together.heatmaps[0][b])
        assert torch.equal(alone.center_assignment[0], together.center_assignment[b])


def test_no_people() -> None:
    targets = regression_targets(batch_of(torch.zeros(2, 0, 5, 3), (32, 32)))
    assert not targets.heatmaps[0].any() and targets.heatmaps[0].shape == (2, 6, 8, 8)
    assert (targets.center_assignment == -1).all() and targets.centers.shape == (2, 0, 3)
    torch.testing.assert_close(targets.masks[0], torch.full((2, 6, 8, 8), 0.1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 5}, "image size 64x96 is not a multiple of stride 5"),
        ({"background": 1.5}, "background must be a weight from 0 to 1, not 1.5"),
        ({"background": float("nan")}, "background must be a weight"),
        ({"min_area": -1.0}, "min_area must be px², 0 or more, not -1.0"),
        ({"radius": 0.0}, "radius must be a positive number of cells, not 0.0"),
        ({"region": "ring"}, "region must be one of .*, not 'ring'"),
        ({"foreground": "both"}, "foreground must be one of .*, not 'both'"),
        ({"sigma": 0.0}, "sigma must be a positive number of cells, not 0.0"),
        ({"center_sigma": -2.0}, "sigma must be a positive number of cells, not -2.0"),
    ],
)
def test_bad_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_targets(random_batch(0), **options)
