"""PoseTrack's AP: perfect and shifted poses, areas and frames that do not count, outlines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.annotations import AnnotationTable
from poselib.data.catalog import open_dataset
from poselib.data.synthetic.clip_dataset import ClipConfig, SyntheticClips
from poselib.metrics.pck import joint_ap
from poselib.metrics.posetrack import inside_any, posetrack_ap
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses
from tests.strategies import generators, quick

K = len(POSETRACK18)


def crowd() -> AnnotationTable:
    config = ClipConfig(size=96, frames=4, people=(3, 4))
    return SyntheticClips(config, 2, 0, POSETRACK18).annotations()


def poses_of(table: AnnotationTable, shift: float = 0.0, noise: int | None = None) -> list[Poses]:
    rng = np.random.default_rng(noise)
    found = []
    for image in range(len(table.image_ids)):
        people, _ = table.people(image)
        seen = people[..., 2] > 0
        xy = people[..., :2] + shift + (0 if noise is None else rng.normal(0, 3, (*seen.shape, 2)))
        scores = np.where(seen, 1 if noise is None else rng.uniform(0.1, 1, seen.shape), 0)
        shown = np.where(seen[..., None], xy, 0).astype(np.float32)
        found.append(Poses(shown, scores.astype(np.float32), np.ones(len(people), np.float32)))
    return found


def test_perfect_poses_and_poses_half_a_head_away() -> None:
    table = crowd()
    assert set(posetrack_ap(poses_of(table), table, POSETRACK18).as_dict().values()) == {1.0}
    assert table.head_boxes is not None
    heads = 0.6 * np.linalg.norm(table.head_boxes[:, 2:], axis=1)
    few = table.only(np.arange(len(table)) == 0)
    for fraction, expected in ((0.49, 1.0), (0.51, 0.0)):
        shift = float(fraction * heads[0] / np.sqrt(2))
        assert posetrack_ap(poses_of(few, shift), few, POSETRACK18).total == expected


def test_parts_are_means_of_the_joints() -> None:
    table = crowd()
    found = poses_of(table, noise=1)
    parts = posetrack_ap(found, table, POSETRACK18)
    truth = [table.people(n)[0] for n in range(len(table.image_ids))]
    assert table.head_boxes is not None
    sizes = [
        0.6 * np.linalg.norm(table.head_boxes[table.labeled_rows(n), 2:], axis=1)
        for n in range(len(truth))
    ]
    each = joint_ap(found, truth, sizes, POSETRACK18)[0]
    assert 0.1 < parts.total < 0.9 and parts.total == pytest.approx(each.mean())
    assert parts.head == pytest.approx(each[:3].mean()) and parts.ankle == each[-2:].mean()


def test_what_does_not_count() -> None:
    table = crowd()
    found = poses_of(table)
    wrong = replace(found[0], keypoints=found[0].keypoints + 20 * found[0].found[..., None])
    more = Poses(
        np.concatenate([found[0].keypoints, wrong.keypoints]),
        np.concatenate([found[0].scores, 2 * wrong.scores]),
        np.ones(2 * len(wrong), np.float32),
    )
    assert posetrack_ap([more, *found[1:]], table, POSETRACK18).total < 1
    everywhere = np.array([[-99.0, -99], [999, -99], [999, 999], [-99, 999]])
    ignored = replace(table, polygons={0: (everywhere,)})
    assert posetrack_ap([more, *found[1:]], ignored, POSETRACK18).total == 1
    # A frame without people does not count either.
    empty = table.only(table.images != 0)
    assert posetrack_ap([more, *found[1:]], empty, POSETRACK18).total == 1


@quick
@given(generators, st.integers(3, 9))
def test_points_inside_outlines_equal_those_of_opencv(rng: np.random.Generator, count: int) -> None:
    outline = rng.integers(0, 40, (count, 2)).astype(np.float64)
    points = rng.uniform(-5, 45, (60, 2)).round(1) + 0.037
    here = inside_any(points, [outline])
    shape = outline.astype(np.float32)[:, None]
    there = [cv2.pointPolygonTest(shape, (float(x), float(y)), False) > 0 for x, y in points]
    assert here.tolist() == there


def test_bad_input_is_refused() -> None:
    table = crowd()
    with pytest.raises(ValueError, match="0 images of detections for 8 frames"):
        posetrack_ap([], table, POSETRACK18)
    with pytest.raises(ValueError, match="needs head boxes, and there are none"):
        posetrack_ap([], replace(table, head_boxes=None), POSETRACK18)


def detections(table: AnnotationTable, noise: float, seed: int) -> list[Poses]:
    """Noisy poses of most people, some of them twice, with some joints missing."""
    rng, found = np.random.default_rng(seed), []
    for image in range(len(table.image_ids)):
        people = table.keypoints[table.labeled_rows(image)]
        people = people[rng.random(len(people)) < 0.85]
        people = np.concatenate([people, people[rng.random(len(people)) < 0.4]])
        people = people[rng.permutation(len(people))] if len(people) else people
        xy = people[..., :2] + rng.normal(0, noise, (*people.shape[:2], 2))
        present = rng.random(people.shape[:2]) < 0.9
        scores = np.where(present, rng.uniform(0.05, 1, present.shape), 0).astype(np.float32)
        shown = np.where(present[..., None], xy + 0.5, 0).astype(np.float32)
        found.append(Poses(shown, scores, np.ones(len(xy), np.float32)))
    return found


@pytest.mark.samples
@pytest.mark.parametrize(
    ("seed", "head", "wrist", "total"),
    [
        (0, 0.443189622643, 0.558317231015, 0.460329799659),
        (1, 0.479669904399, 0.305263157895, 0.351493627861),
        (2, 0.431894344329, 0.325534759358, 0.417746912452),
    ],
)
def test_it_equals_poseval(
    samples_dir: Path, seed: int, head: float, wrist: float, total: float
) -> None:
    """Numbers that the benchmark's own code gave for these detections."""
    table = open_dataset("posetrack18", "val", samples_dir / "posetrack18").annotations()
    parts = posetrack_ap(detections(table, 12, seed), table, POSETRACK18)
    assert (parts.head, parts.wrist, parts.total) == pytest.approx((head, wrist, total), abs=1e-9)


@pytest.mark.samples
def test_true_poses_of_real_frames_are_perfect(samples_dir: Path) -> None:
    table = open_dataset("posetrack18", "val", samples_dir / "posetrack18").annotations()
    assert posetrack_ap(poses_of(table), table, POSETRACK18).total == 1
    assert posetrack_ap(poses_of(table, noise=0), table, POSETRACK18).total > 0.8
