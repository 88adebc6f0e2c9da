"""Warps, and what outputs and poses do under mirroring, resizing, scales and warps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from poselib.outputs import RegressionOutputs, TagOutputs
from poselib.skeleton import Skeleton
from poselib.skeletons import COCO, CROWDPOSE
from poselib.structures import Batch, Poses, Sample, Warp
from tests.decoders.dense_poses import dense_outputs, scattered

TRIO = Skeleton(
    name="trio",
    keypoints=("nose", "left_eye", "right_eye"),
    sigmas=(0.1, 0.1, 0.1),
    flip_pairs=(("left_eye", "right_eye"),),
    limbs=(),
)


def random_warp(seed: int) -> Warp:
    return Warp(np.random.default_rng(seed).normal(size=(2, 3)) + np.eye(2, 3))


def shift(x: float, y: float) -> Warp:
    return Warp(np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))


def zoom(factor: float) -> Warp:
    return Warp(np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]]))


def outputs(
    seed: int = 0, keypoints: int = 3, tags: int = 1, sizes: tuple[int, ...] = (4, 8)
) -> TagOutputs:
    make = torch.Generator().manual_seed(seed)
    maps = [torch.rand(2, keypoints, s, s + 4, generator=make) for s in sizes]
    tag = torch.randn(2, keypoints, tags, sizes[0], sizes[0] + 4, generator=make)
    return TagOutputs(tuple(maps), tag, (16, 24))


# Warps


def test_warp_of_points_by_hand() -> None:
    quarter_turn = Warp(np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 20.0]]))
    assert quarter_turn([3.0, 4.0]).tolist() == [6.0, 23.0]
    assert quarter_turn(np.zeros((0, 17, 2))).shape == (0, 17, 2)
    assert Warp.identity()([[1.5, 2.5]]).tolist() == [[1.5, 2.5]]


def test_then_applies_the_argument_second() -> None:
    assert shift(1, 0).then(zoom(2))([1.0, 1.0]).tolist() == [4.0, 2.0]
    assert zoom(2).then(shift(1, 0))([1.0, 1.0]).tolist() == [3.0, 2.0]


@pytest.mark.parametrize("seed", range(5))
def test_warps_form_a_group(seed: int) -> None:
    a, b, c = (random_warp(10 * seed + i) for i in range(3))
    points = np.random.default_rng(seed).normal(size=(4, 5, 2))
    np.testing.assert_allclose(a.then(b)(points), b(a(points)), atol=1e-12)
    for back_and_forth in (a.then(a.inverse()), a.inverse().then(a)):
        np.testing.assert_allclose(back_and_forth(points), points, atol=1e-9)
    np.testing.assert_allclose(
        a.then(b).then(c).matrix, a.then(b.then(c)).matrix, rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        a.then(b).inverse().matrix, b.inverse().then(a.inverse()).matrix, atol=1e-9
    )
    assert a.then(b).scale == pytest.approx(a.scale * b.scale)


def test_scale_ignores_rotation_mirroring_and_shift() -> None:
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    mirrored = 2.5 * turn @ np.diag([-1.0, 1.0])
    assert Warp(np.column_stack([mirrored, [7.0, -3.0]])).scale == pytest.approx(2.5)


# Samples and batches


def test_sizes_are_height_then_width() -> None:
    sample = Sample(
        image=np.zeros((3, 6, 9), np.uint8),
        keypoints=np.zeros((0, 17, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore=np.zeros((6, 9), bool),
        image_id=1,
        to_original=Warp.identity(),
    )
    assert sample.size == (6, 9)


def test_batch_moves_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(
        images=torch.zeros(1, 3, 6, 9, dtype=torch.uint8),
        keypoints=torch.zeros(1, 2, 17, 3),
        areas=torch.zeros(1, 2),
        ignore=torch.zeros(1, 6, 9, dtype=torch.bool),
        image_ids=(1,),
        to_original=(Warp.identity(),),
    )
    moved = batch.to("meta")
    assert batch.size == moved.size == (6, 9)
    tensors = [f.name for f in fields(Batch) if isinstance(getattr(batch, f.name), torch.Tensor)]
    assert len(tensors) == 4
    assert all(getattr(moved, name).device.type == "meta" for name in tensors)
    assert moved.image_ids == (1,)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    pinned = batch.pin_memory()
    assert all((getattr(pinned, name) == 1).all() for name in tensors)


# Tag outputs


def test_mirror_by_hand() -> None:
    heat = torch.arange(12.0).view(1, 3, 2, 2)
    mirrored = TagOutputs((heat,), 100 + heat[:, :, None], (8, 8)).mirror(TRIO)
    expected = [[[1, 0], [3, 2]], [[9, 8], [11, 10]], [[5, 4], [7, 6]]]
    assert mirrored.heatmaps[0][0].tolist() == expected
    assert (mirrored.tags[0, :, 0] - 100).tolist() == expected
    assert mirrored.image_size == (8, 8)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirroring_twice_changes_nothing(skeleton: Skeleton) -> None:
    once = outputs(1, len(skeleton), tags=2)
    twice = once.mirror(skeleton).mirror(skeleton)
    assert all(torch.equal(a, b) for a, b in zip(once.heatmaps, twice.heatmaps, strict=True))
    assert torch.equal(once.tags, twice.tags)


def test_flip_test_averages_heat_and_keeps_both_tags() -> None:
    a, b = outputs(1), outputs(2)
    joined = a.with_mirrored(b)
    for both, one, other in zip(joined.heatmaps, a.heatmaps, b.heatmaps, strict=True):
        assert torch.equal(both, (one + other) / 2)
    assert joined.tags.shape[2] == 2
    assert torch.equal(joined.tags[:, :, 0], a.tags[:, :, 0])
    assert torch.equal(joined.tags[:, :, 1], b.tags[:, :, 0])
    with pytest.raises(ValueError):
        a.with_mirrored(outputs(2, sizes=(4,)))


def test_resize_to_the_finest_map_by_hand() -> None:
    """Bilinear between cell centres: half a cell out at the border, quarters inside."""
    row = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    coarse_and_fine = TagOutputs((row, torch.zeros(1, 1, 2, 4)), row[:, :, None], (4, 8))
    resized = coarse_and_fine.resize((2, 4))
    between = torch.tensor([0.0, 0.25, 0.75, 1.0])
    assert torch.allclose(resized.heatmaps[0][0, 0], (between / 2).expand(2, 4))
    assert torch.allclose(resized.tags[0, 0, 0], between.expand(2, 4))
    assert len(resized.heatmaps) == 1 and resized.image_size == (4, 8)


def test_resize_goes_by_way_of_the_finest_map() -> None:
    given = outputs(3, tags=2)

    def stretched(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return torch.nn.functional.interpolate(maps, size, mode="bilinear", align_corners=False)

    resized = given.resize((16, 24))
    mean = (stretched(given.heatmaps[0], (8, 12)) + given.heatmaps[1]) / 2
    torch.testing.assert_close(resized.heatmaps[0], stretched(mean, (16, 24)))
    for channel in range(2):
        tags = stretched(stretched(given.tags[:, :, channel], (8, 12)), (16, 24))
        torch.testing.assert_close(resized.tags[:, :, channel], tags)


def test_resize_of_one_scale_to_its_own_size_changes_nothing() -> None:
    given = outputs(4, sizes=(4,))
    same = given.resize((4, 8))
    assert torch.equal(same.heatmaps[0], given.heatmaps[0]) and torch.equal(same.tags, given.tags)


def test_resize_commutes_with_mirroring() -> None:
    given = outputs(5)
    a, b = given.mirror(TRIO).resize((16, 24)), given.resize((16, 24)).mirror(TRIO)
    torch.testing.assert_close(a.heatmaps[0], b.heatmaps[0])
    torch.testing.assert_close(a.tags, b.tags)


def test_scales_average_heat_and_keep_the_first_tags() -> None:
    first, other = outputs(6), outputs(7, sizes=(8, 16))
    joined = first.with_scales([other])
    expected = (first.resize((8, 12)).heatmaps[0] + other.resize((8, 12)).heatmaps[0]) / 2
    torch.testing.assert_close(joined.heatmaps[0], expected)
    assert torch.equal(joined.tags, first.tags)
    assert first.with_scales([]) is first


def test_scales_of_equal_maps_by_hand() -> None:
    def flat(value: float, size: int) -> TagOutputs:
        return TagOutputs(
            (torch.full((1, 1, size, size), value),), torch.zeros(1, 1, 1, 2, 2), (8, 8)
        )

    joined = flat(0.0, 4).with_scales([flat(0.3, 8), flat(0.9, 2)])
    torch.testing.assert_close(joined.heatmaps[0], torch.full((1, 1, 4, 4), 0.4))


def test_earlier_stages_are_kept_for_training_alone() -> None:
    first, second, last = outputs(8), outputs(9), outputs(10)
    staged = replace(last, intermediate=(first, second))
    assert staged.stages == (first, second, staged) and last.stages == (last,)
    made = [
        (staged.mirror(TRIO), last.mirror(TRIO)),
        (staged.with_mirrored(staged), last.with_mirrored(last)),
        (staged.resize((8, 12)), last.resize((8, 12))),
        (staged.with_scales([staged]), last.with_scales([last])),
    ]
    for got, expected in made:
        assert got.intermediate == ()
        assert all(torch.equal(a, b) for a, b in zip(got.heatmaps, expected.heatmaps, strict=True))
        assert torch.equal(got.tags, expected.tags)


# Regression outputs


def regressed(
    seed: int = 0, keypoints: int = 3, size: tuple[int, int] = (4, 6)
) -> RegressionOutputs:
    make = torch.Generator().manual_seed(seed)
    return RegressionOutputs(
        torch.rand(2, keypoints, *size, generator=make),
        torch.rand(2, 1, *size, generator=make),
        torch.randn(2, keypoints, 2, *size, generator=make),
        (16, 24),
    )


def assert_same(a: RegressionOutputs, b: RegressionOutputs, tolerance: float = 0.0) -> None:
    for name in ("heatmaps", "centers", "offsets"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance)
    assert a.image_size == b.image_size and len(a.others) == len(b.others)
    for one, other in zip(a.others, b.others, strict=True):
        assert_same(one, other, tolerance)


def test_mirror_of_offsets_by_hand() -> None:
    maps = torch.arange(6.0).view(1, 3, 1, 2)
    offsets = torch.stack([10 + maps, 20 + maps], dim=2)
    mirrored = RegressionOutputs(maps, maps[:, :1], offsets, (4, 8)).mirror(TRIO)
    assert mirrored.heatmaps[0, :, 0].tolist() == [[1, 0], [5, 4], [3, 2]]
    assert mirrored.centers[0, :, 0].tolist() == [[1, 0]]
    assert mirrored.offsets[0, :, 0, 0].tolist() == [[-11, -10], [-15, -14], [-13, -12]]
    assert mirrored.offsets[0, :, 1, 0].tolist() == [[21, 20], [25, 24], [23, 22]]
    assert mirrored.image_size == (4, 8)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirroring_regression_twice_changes_nothing(skeleton: Skeleton) -> None:
    once = regressed(1, len(skeleton)).with_scales([regressed(2, len(skeleton), (8, 12))])
    assert_same(once.mirror(skeleton).mirror(skeleton), once)


@pytest.mark.parametrize("skeleton", [COCO, CROWDPOSE], ids=lambda s: s.name)
def test_mirrored_outputs_are_those_of_mirrored_people(skeleton: Skeleton) -> None:
    people = scattered(2, 5, len(skeleton))
    mirrored = people[:, :, skeleton.flip_indices] * [-1, 1] + [320, 0]
    expected = dense_outputs(mirrored, (256, 320))
    assert_same(dense_outputs(people, (256, 320)).mirror(skeleton), expected, 1e-4)


def test_flip_test_averages_everything() -> None:
    a, b = regressed(1), regressed(2)
    joined = a.with_mirrored(b)
    for name in ("heatmaps", "centers", "offsets"):
        assert torch.equal(getattr(joined, name), (getattr(a, name) + getattr(b, name)) / 2)


@pytest.mark.parametrize("size", [(16, 20), (64, 80), (64, 40)])
def test_resized_offsets_point_to_the_same_place(size: tuple[int, int]) -> None:
    """Offsets are linear in the cell, which bilinear resizing keeps but for the border."""
    keypoint = torch.tensor([37.0, 90.0])

    def offsets(height: int, width: int) -> torch.Tensor:
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        step = torch.tensor([160 / width, 128 / height])
        cells = torch.stack([x, y], dim=-1) + 0.5 - keypoint / step
        return cells.permute(2, 0, 1)[None, None]

    flat = torch.full((1, 1, 32, 40), 0.25)
    outputs = RegressionOutputs(flat, 2 * flat, offsets(32, 40), (128, 160))
    resized = outputs.resize(size)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(resized.offsets[inside], offsets(*size)[inside], rtol=0, atol=1e-4)
    assert (resized.heatmaps == 0.25).all() and (resized.centers == 0.5).all()
    assert resized.heatmaps.shape[-2:] == resized.centers.shape[-2:] == size
    assert resized.image_size == (128, 160)


def test_resize_of_regression_commutes_with_mirroring() -> None:
    given = regressed(3)
    assert_same(given.resize(given.heatmaps.shape[-2:]), given)
    assert_same(given.mirror(TRIO).resize((16, 24)), given.resize((16, 24)).mirror(TRIO), 1e-6)


def test_scales_of_regression_are_kept_side_by_side() -> None:
    first, fine, coarse = regressed(4), regressed(5, size=(8, 12)), regressed(6, size=(2, 3))
    joined = first.with_scales([fine]).with_scales([coarse])
    assert joined.others == (fine, coarse)
    assert_same(replace(joined, others=()), first)
    assert_same(first.with_scales([]), first)


# Poses


def people() -> Poses:
    keypoints = np.array([[[1, 2], [0, 0]], [[3, 4], [5, 6]]], np.float32)
    scores = np.array([[0.5, 0.0], [0.9, 0.1]], np.float32)
    return Poses(keypoints, scores, np.array([0.25, 0.5], np.float32))


@pytest.mark.parametrize("make", [lambda: shift(10, 20), lambda: random_warp(3)])
def test_missing_keypoints_stay_at_zero(make: Callable[[], Warp]) -> None:
    poses, warp = people(), make()
    moved = poses.warped(warp)
    assert poses.found.tolist() == [[True, False], [True, True]]
    assert moved.keypoints.dtype == np.float32
    assert moved.keypoints[0, 1].tolist() == [0, 0]
    np.testing.assert_allclose(
        moved.keypoints[poses.found], warp(poses.keypoints[poses.found]), rtol=1e-6
    )
    assert moved.scores is poses.scores and moved.person_scores is poses.person_scores
    np.testing.assert_allclose(
        moved.warped(warp.inverse()).keypoints, poses.keypoints, rtol=1e-5, atol=1e-5
    )


def test_a_found_keypoint_at_the_origin_is_moved() -> None:
    poses = Poses(*(np.array(a, np.float32) for a in ([[[0, 0]]], [[0.5]], [0.5])))
    assert poses.warped(shift(1, 2)).keypoints.tolist() == [[[1, 2]]]


def test_no_people() -> None:
    poses = Poses.empty(17)
    assert len(poses) == 0 and poses.found.shape == (0, 17)
    assert poses.warped(shift(1, 2)).keypoints.shape == (0, 17, 2)
