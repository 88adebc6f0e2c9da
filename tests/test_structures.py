"""Warps, samples and batches, and what poses do under warps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
import torch

from poselib.structures import AffineTransform, Batch, Clip, Poses, Sample


def random_warp(seed: int) -> AffineTransform:
    return AffineTransform(np.random.default_rng(seed).normal(size=(2, 3)) + np.eye(2, 3))


def shift(x: float, y: float) -> AffineTransform:
    return AffineTransform(np.array([[1.0, 0.0, x], [0.0, 1.0, y]]))


def zoom(factor: float) -> AffineTransform:
    return AffineTransform(np.array([[factor, 0.0, 0.0], [0.0, factor, 0.0]]))


# Warps


def test_warp_of_points_by_hand() -> None:
    quarter_turn = AffineTransform(np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 20.0]]))
    assert quarter_turn([3.0, 4.0]).tolist() == [6.0, 23.0]
    assert quarter_turn(np.zeros((0, 17, 2))).shape == (0, 17, 2)
    assert AffineTransform.identity()([[1.5, 2.5]]).tolist() == [[1.5, 2.5]]


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
    assert AffineTransform(np.column_stack([mirrored, [7.0, -3.0]])).scale == pytest.approx(2.5)


# Samples and batches


def test_sizes_are_height_then_width() -> None:
    sample = Sample(
        image=np.zeros((3, 6, 9), np.uint8),
        keypoints=np.zeros((0, 17, 3), np.float32),
        areas=np.zeros(0, np.float32),
        ignore_mask=np.zeros((6, 9), bool),
        image_id=1,
        to_original=AffineTransform.identity(),
    )
    assert sample.size == (6, 9)


def test_batch_moves_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(
        images=torch.zeros(1, 3, 6, 9, dtype=torch.uint8),
        keypoints=torch.zeros(1, 2, 17, 3),
        areas=torch.zeros(1, 2),
        ignore_mask=torch.zeros(1, 6, 9, dtype=torch.bool),
        image_ids=(1,),
        to_original=(AffineTransform.identity(),),
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


def test_a_halved_batch_shows_the_same_people() -> None:
    keypoints = torch.tensor([[[[3.0, 5.0, 2.0], [0.0, 0.0, 0.0]]]])
    images = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
    ignore = torch.zeros(1, 4, 4, dtype=torch.bool)
    ignore[0, 3, 0] = True
    batch = Batch(images, keypoints, torch.tensor([[8.0]]), ignore, (7,), (shift(1, 0),))
    half = batch.halved()
    assert half.size == (2, 2) and half.image_ids == (7,)
    assert half.images[0, 0].tolist() == [[2, 4], [10, 12]]  # of 2.5, 4.5, 10.5 and 12.5
    assert half.keypoints.tolist() == [[[[1.5, 2.5, 2.0], [0.0, 0.0, 0.0]]]]
    assert half.areas.tolist() == [[2.0]]
    assert half.ignore_mask.tolist() == [[[False, False], [True, False]]]
    assert half.to_original[0]([1.5, 2.5]).tolist() == [4.0, 5.0]


# Poses


def people() -> Poses:
    keypoints = np.array([[[1, 2], [0, 0]], [[3, 4], [5, 6]]], np.float32)
    scores = np.array([[0.5, 0.0], [0.9, 0.1]], np.float32)
    return Poses(keypoints, scores, np.array([0.25, 0.5], np.float32))


@pytest.mark.parametrize("make", [lambda: shift(10, 20), lambda: random_warp(3)])
def test_missing_keypoints_stay_at_zero(make: Callable[[], AffineTransform]) -> None:
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


# Clips


def frame(number: int, size: tuple[int, int] = (4, 6), people: int = 2) -> Sample:
    keypoints = np.ones((people, 3, 3), np.float32)
    keypoints[1:, :, 2] = number == 1
    return Sample(
        image=np.zeros((3, *size), np.uint8),
        keypoints=keypoints,
        areas=np.ones(people, np.float32),
        ignore_mask=np.zeros(size, bool),
        image_id=number,
        to_original=AffineTransform.identity(),
        boxes=np.ones((people, 4), np.float32),
        tracks=np.arange(people),
    )


def test_a_clip_holds_people_by_row() -> None:
    clip = Clip((frame(1), frame(2)), np.array([0.0, 0.04]), "a")
    assert len(clip) == 2 and clip.size == (4, 6)
    assert clip.labeled.tolist() == [True, True]
    second = clip.only(np.array([False, True]))
    assert [f.tracks.tolist() for f in second.frames if f.tracks is not None] == [[1], [1]]
    assert all(f.boxes is not None and f.boxes.shape == (1, 4) for f in second.frames)


@pytest.mark.parametrize(
    ("frames", "times", "message"),
    [
        ((), 0, "0 frames with 0 times"),
        ((frame(1), frame(2)), 3, "2 frames with 3 times"),
        ((frame(1), frame(2, (4, 7))), 2, r"images 1 and 2 differ in size, \(4, 6\) and \(4, 7\)"),
        ((frame(1), frame(2, people=1)), 2, "images 1 and 2 differ in keypoints"),
        (
            (frame(1), frame(2).only(np.array([1, 0]))),
            2,
            r"images 1 and 2 differ in tracks, \[0, 1\] and \[1, 0\]",
        ),
    ],
)
def test_frames_of_a_clip_must_agree(frames: tuple[Sample, ...], times: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"clip of video 'a': {message}"):
        Clip(frames, np.arange(times) / 25, "a")


def test_tracks_of_poses_follow_their_people() -> None:
    poses = Poses(
        np.ones((3, 2, 2)), np.ones((3, 2)), np.array([0.9, 0.2, 0.8]), None, np.arange(3)
    )
    kept = poses.above(0.5)
    assert kept.tracks is not None and kept.tracks.tolist() == [0, 2]
    assert [row["track_id"] for row in kept.to_coco(7)] == [0, 2]
    assert kept.to_dataframe()["track"].tolist() == [0, 0, 2, 2]
    assert "track" not in Poses.empty(2).to_dataframe()
