"""Tracks: people keep their numbers, whatever their order, and in motion."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from poselib.data.catalog import open_dataset
from poselib.metrics.smoothness import id_switches
from poselib.ops.oks import object_keypoint_similarity
from poselib.ops.tracking import PoseLinker, match_poses
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses

K, SIGMAS = 6, np.full(6, 0.08)


def people(*corners: tuple[float, float], seed: int = 0) -> Poses:
    """People of one shape, 40 x 80 px, at the given places."""
    shape = np.random.default_rng(seed).uniform(0, 1, (K, 2)) * (40, 80)
    xy = np.array(corners, np.float32).reshape(-1, 1, 2) + shape
    return Poses(xy.astype(np.float32), np.ones((len(xy), K), np.float32), np.ones(len(xy)))


def test_pairs_are_those_of_the_highest_sum() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        before, after = (people(*rng.uniform(0, 60, (4, 2))) for _ in range(2))
        rows, columns = match_poses(before, after, SIGMAS, min_oks=0.0)
        truth = np.dstack([before.keypoints, np.ones((4, K))])
        # All have one size, and nothing is missing: then it is OKS at four times the area.
        area = 4 * 0.53 * before.boxes[:, 2] * before.boxes[:, 3]
        oks = object_keypoint_similarity(after.keypoints, truth, area, SIGMAS)
        best = max(sum(oks[i, p] for i, p in enumerate(order)) for order in permutations(range(4)))
        assert oks[rows, columns].sum() == pytest.approx(best)


def test_those_too_far_away_are_not_paired() -> None:
    before, after = people((0, 0), (200, 0)), people((203, 2), (600, 0), (90, 0))
    assert [rows.tolist() for rows in match_poses(before, after, SIGMAS)] == [[1], [0]]
    for some in (before[:0], after[:0]):
        assert match_poses(some, before, SIGMAS)[0].size == 0
        assert match_poses(before, some, SIGMAS)[0].size == 0


def test_a_doubtful_detection_does_not_take_the_track() -> None:
    link = PoseLinker(SIGMAS)
    link(people((0, 0)), 0.0)
    both = replace(people((0, 0), (3, 1)), person_scores=np.array([0.1, 0.9], np.float32))
    assert link(both, 0.04).tracks.tolist() == [1, 0]  # type: ignore[union-attr]


def test_missing_keypoints_count_against_a_pair() -> None:
    person = people((0, 0))
    scores = np.ones((1, K), np.float32)
    scores[0, 1:] = 0
    one = replace(person, scores=scores, keypoints=person.keypoints * (scores > 0)[..., None])
    assert match_poses(person, one, SIGMAS, 0.1)[0].size == 1  # 1 of 6
    assert match_poses(person, one, SIGMAS, 0.2)[0].size == 0


def test_numbers_stay_whatever_the_order_and_are_never_given_again() -> None:
    link = PoseLinker(SIGMAS)
    first = link(people((0, 0), (200, 0)), 0.0)
    assert first.tracks is not None and first.tracks.tolist() == [0, 1] and first.time == 0.0
    assert link(people((204, 3), (2, 1)), 0.04).tracks.tolist() == [1, 0]  # type: ignore[union-attr]
    assert link(people((400, 0), (4, 2)), 0.08).tracks.tolist() == [2, 0]  # type: ignore[union-attr]
    # The second is back after a while; the third comes too late.
    assert link(people((208, 3), (6, 2)), 0.9).tracks.tolist() == [1, 0]  # type: ignore[union-attr]
    assert link(people((402, 0), (6, 2)), 1.3).tracks.tolist() == [3, 0]  # type: ignore[union-attr]
    assert len(link(people(), 1.4)) == 0
    assert link(people((6, 2)), 1.5).tracks.tolist() == [0]  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["clips", "clip_crowd"])
def test_tracks_of_synthetic_clips(dataset: str) -> None:
    frames = open_dataset(dataset, "val", count=6)
    pairs, people, last, link = [], 0, "", PoseLinker(POSETRACK18.sigmas)
    rng = np.random.default_rng(0)
    for index in range(len(frames)):
        if frames.videos[index] != last:
            last, link = frames.videos[index], PoseLinker(POSETRACK18.sigmas)
        sample = frames[index]
        order = rng.permutation(len(sample.keypoints))
        points, seen = sample.keypoints[order, :, :2], sample.keypoints[order, :, 2] > 0
        poses = Poses(points, seen.astype(np.float32), np.ones(len(order), np.float32))
        linked = link(poses, frames.times[index])
        assert linked.tracks is not None and sample.tracks is not None
        video = 1000 * int(last[:6])
        pairs.append((video + sample.tracks[order], video + linked.tracks))
        people += len(order)
    assert people > 100 and id_switches(pairs) == 0
