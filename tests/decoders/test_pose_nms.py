"""Pose NMS, by hand, against loops and official code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poselib.decoders.pose_nms import (
    MIN_SCORE,
    batched_pose_nms,
    duplicate_poses,
    suppress_by_oks,
    suppress_poses,
    to_poses,
)
from poselib.ops.center_poses import CenterPoses
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import COCO
from poselib.structures import Poses


def slow_duplicates(poses: np.ndarray, distance: float, fraction: float) -> list[list[bool]]:
    """Compare pair by pair and keypoint by keypoint."""
    rows = []
    for one in poses:
        extent = one.max(axis=0) - one.min(axis=0)
        size = float(np.hypot(*extent))
        row = []
        for other in poses:
            near = 0
            for a, b in zip(one, other, strict=True):
                apart = float(np.hypot(*(a - b)))
                near += apart < distance * size or apart == 0
            row.append(near > fraction * len(one))
        rows.append(row)
    return rows


def slow_nms(duplicates: list[list[bool]], scores: np.ndarray) -> list[int]:
    kept: list[int] = []
    gone: set[int] = set()
    for i, row in enumerate(duplicates):
        if i in gone:
            continue
        group = [j for j, same in enumerate(row) if same]
        best = max(group, key=lambda j: scores[j])
        if best in gone:
            continue
        kept.append(best)
        gone.update(group)
    return kept


def crowd(seed: int, people: int = 12, keypoints: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """Poses, many of them near copies of one another, and scores."""
    rng = np.random.default_rng(seed)
    originals = rng.uniform(0, 200, (4, keypoints, 2))
    copies = originals[rng.integers(4, size=people)]
    moved = copies + rng.normal(scale=rng.uniform(0, 15, (people, 1, 1)), size=copies.shape)
    return moved.astype(np.float32), rng.random(people).astype(np.float32)


@pytest.mark.parametrize("keypoints", [1, 2, 3, 14, 17])
@pytest.mark.parametrize(
    ("distance", "fraction"), [(0.05, 0.5), (0.15, 0.5), (0.05, 0.0), (0.1, 0.9)]
)
def test_duplicates_equal_loops(keypoints: int, distance: float, fraction: float) -> None:
    fewer = 0
    for seed in range(30):
        poses, scores = crowd(seed, keypoints=keypoints)
        duplicates = slow_duplicates(poses, distance, fraction)
        assert duplicate_poses(poses, distance, fraction).tolist() == duplicates
        kept = suppress_poses(poses, scores, distance, fraction)
        assert kept.tolist() == slow_nms(duplicates, scores)
        fewer += len(kept) < len(poses)
    assert fewer or keypoints == 1  # a single keypoint has no size, and nothing is near it


def pose(near: int, away: float = 50.0) -> np.ndarray:
    """A pose of size 100 (60 x 80 px), all but ``near`` keypoints of which are moved away."""
    points = np.stack([np.linspace(0, 60, 17), np.linspace(0, 80, 17)], axis=-1)
    moved = np.where(np.arange(17) < near, 0.0, away)[:, None] * np.array([0.0, 1.0])
    return (points + moved).astype(np.float32)


@pytest.mark.parametrize(("near", "same"), [(17, True), (9, True), (8, False), (0, False)])
def test_nms_fraction_is_exclusive(near: int, same: bool) -> None:
    duplicates = duplicate_poses(np.stack([pose(17), pose(near)]), 0.05, 0.5)
    assert duplicates[0, 1] == same


@pytest.mark.parametrize(("apart", "same"), [(4.9, True), (5.0, False), (5.1, False)])
def test_nms_distance_is_exclusive(apart: float, same: bool) -> None:
    poses = np.stack([pose(17), pose(0, away=apart)])
    assert duplicate_poses(poses, 0.05, 0.5)[0, 1] == same


def test_nms_fraction_gives_the_published_counts() -> None:
    """More than 8 of COCO's 17 keypoints and more than 7 of CrowdPose's 14."""
    for keypoints, least in ((17, 9), (14, 8)):
        for near in range(keypoints + 1):
            other = pose(17)[:keypoints].copy()
            other[near:] += 50
            duplicates = duplicate_poses(np.stack([pose(17)[:keypoints], other]), 0.05, 0.5)
            assert duplicates[0, 1] == (near >= least)


def test_size_is_that_of_the_first_pose_of_a_pair() -> None:
    large = np.zeros((17, 2), np.float32)
    large[0], small = (60, 80), large + 3  # 4.2 px apart but for a keypoint that makes the size
    assert np.ptp(large, axis=0).tolist() == [60, 80] and np.ptp(small, axis=0).tolist() == [0, 0]
    duplicates = duplicate_poses(np.stack([large, small]), 0.05, 0.5)
    assert duplicates.tolist() == [[True, True], [False, True]]


def test_best_of_duplicates_is_kept() -> None:
    poses = np.stack([pose(17), pose(17) + 1, pose(17) + 300, pose(17) + 2])
    scores = np.array([0.3, 0.9, 0.1, 0.5], np.float32)
    assert suppress_poses(poses, scores).tolist() == [1, 2]
    assert suppress_poses(poses, np.ones(4, np.float32)).tolist() == [0, 2]


def test_max_people_keeps_the_best() -> None:
    poses = np.stack([pose(17) + 200 * n for n in range(40)]).astype(np.float32)
    scores = np.random.default_rng(0).permutation(40).astype(np.float32)
    assert suppress_poses(poses, scores).tolist() == np.argsort(-scores)[:30].tolist()
    assert suppress_poses(poses, scores, max_people=40).tolist() == list(range(40))


def test_poses_without_extent() -> None:
    points = np.zeros((4, 17, 2), np.float32)
    points[2:] = 30.0
    points[3, 5:] = 31.0
    scores = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    # Two lie in the same place; the last one is not within a twentieth of its size of the third.
    assert suppress_poses(points, scores).tolist() == [1, 2, 3]


def test_no_poses() -> None:
    assert suppress_poses(np.zeros((0, 17, 2), np.float32), np.zeros(0, np.float32)).shape == (0,)


@pytest.mark.golden
@pytest.mark.parametrize("case", range(8))
def test_equals_official_code(arrays_dir: Path, case: int) -> None:
    with np.load(arrays_dir / "dekr_decode.npz") as golden:
        poses = golden[f"c{case}_proposals"][..., :2]
        if len(poses) == 0:  # the official code suppresses nothing then
            assert len(golden[f"c{case}_poses"]) == 0
            return
        heat, keep = golden[f"c{case}_heatval"][..., 0], golden[f"c{case}_keep"]
    assert suppress_poses(poses, heat.mean(axis=1)).tolist() == keep.tolist()


@pytest.mark.golden
def test_suppression_equals_official_code(golden_dir: Path) -> None:
    """That of LOGO-CAP, which it applies in px of the photograph; what is kept is the same."""
    with np.load(golden_dir / "logocap_funcs.npz") as golden:
        poses, scores, kept, kept_scores = (
            golden[f"nms_{name}"] for name in ("poses_in", "scores_in", "poses_out", "scores_out")
        )
    chosen = suppress_poses(poses[..., :2], scores, distance=0.05, fraction=0.5)
    np.testing.assert_array_equal(scores[chosen], kept_scores)
    np.testing.assert_array_equal(poses[chosen, :, 2], kept[..., 2])
    # The published warp to the photograph keeps shapes.
    scale = np.linalg.norm(np.ptp(kept[..., :2], axis=1), axis=1)
    ratio = scale / np.linalg.norm(np.ptp(poses[chosen, :, :2], axis=1), axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    again = suppress_poses(kept[..., :2], kept_scores, distance=0.05, fraction=0.5)
    first = suppress_poses(poses[chosen, :, :2], kept_scores, distance=0.05, fraction=0.5)
    np.testing.assert_array_equal(again, first)


# Batches


def test_batched_nms_is_per_image() -> None:
    square = torch.tensor([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    points = torch.stack([square, square + 0.1, square + 50, square])
    people = CenterPoses(torch.tensor([0, 0, 0, 2]), torch.ones(4), points)
    scores = torch.tensor([0.5, 0.7, 0.2, 0.1])
    options: dict[str, Any] = {"distance": 0.05, "fraction": 0.5}
    assert batched_pose_nms(people, scores, **options, max_people=30).tolist() == [1, 2, 3]
    assert batched_pose_nms(people, scores, **options, max_people=1).tolist() == [1, 3]
    none = people[torch.zeros(0, dtype=torch.int64)]
    assert batched_pose_nms(none, scores[:0], **options, max_people=5).tolist() == []


def test_to_poses_splits_by_image() -> None:
    people = CenterPoses(torch.tensor([0, 0, 2]), torch.ones(3), torch.rand(3, 2, 2))
    scores = torch.tensor([[0.5, -1.0], [0.0, 0.25], [0.5, 0.5]])
    poses = to_poses(people, scores, torch.tensor([0.3, 0.2, 0.1]), 4)
    assert [len(p) for p in poses] == [2, 0, 1, 0]
    np.testing.assert_array_equal(poses[2].keypoints[0], people.points[2])
    least = np.float32(MIN_SCORE)
    assert poses[0].scores.tolist() == [[0.5, least], [least, 0.25]] and poses[0].found.all()
    np.testing.assert_allclose(poses[0].person_scores, [0.3, 0.2])
    assert poses[1].keypoints.shape == (0, 2, 2)


@pytest.mark.parametrize("seed", range(4))
def test_suppression_by_oks_equals_loops(seed: int) -> None:
    points, person = crowd(seed)
    scores = np.random.default_rng(seed).uniform(0.1, 1, points.shape[:2]).astype(np.float32)
    scores[:, 3] = 0  # a keypoint that nobody has
    points[:, 3] = 0
    poses, areas = Poses(points, scores, person), np.full(len(points), 4e4)
    areas[::2] = 1e4
    for most in (0.5, 0.9):
        kept: list[int] = []
        for n in np.argsort(-person, kind="stable").tolist():
            truth = np.concatenate([points, poses.found[..., None]], axis=2)
            near = [
                object_keypoint_similarity(points[[n]], truth[[m]], areas[[m]], COCO.sigmas).item()
                for m in kept
            ]
            if not any(value > most for value in near):
                kept.append(n)
        assert suppress_by_oks(poses, areas, COCO.sigmas, most).tolist() == kept
        assert 0 < len(kept) < len(points) or most == 0.9


def test_suppression_by_oks_of_few_people() -> None:
    assert suppress_by_oks(Poses.empty(17), [], COCO.sigmas, 0.9).tolist() == []
    nothing = Poses(np.zeros((2, 17, 2)), np.zeros((2, 17)), np.array([0.1, 0.3]))
    assert suppress_by_oks(nothing, [0, 0], COCO.sigmas, 0.9).tolist() == [1, 0]
