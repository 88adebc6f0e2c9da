"""Outputs of masked frames, as if the whole clip had been shown; joints found under a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from poselib.analysis.masked_frames import (
    FrameRun,
    Mask,
    find_masked_joints,
    person_frames,
    pose_before,
    pose_of,
    relation_of,
)
from poselib.analysis.relations import weights_at
from poselib.data.clips import PersonClips
from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.person_stream import folded
from poselib.ops.normalization import normalize
from poselib.skeletons import POSETRACK18
from poselib.structures import Clip, Poses, Sample
from poselib.systems import System, build

TINY = {"backbone": "hrnet_tiny_light", "height": 64, "width": 64, "sigma": 1.0}
FRAMES = SyntheticClips(ClipConfig(size=64, frames=5), 1, 3, POSETRACK18).cached()
CLIP = PersonClips(FRAMES, 5)[0]
MASK = Mask((20.0, 10.0, 44.0, 40.0), 2, 3)
K = len(POSETRACK18)


@pytest.fixture(scope="module")
def system() -> System:
    torch.manual_seed(0)
    built = build("rpstn", POSETRACK18, initializer_backbone="hrnet_tiny_light", channels=8, **TINY)
    model: Any = built.model
    for layer in (model.head, model.initializer.final_layer, model.relation.W[1]):
        torch.nn.init.normal_(layer.weight, std=0.5)  # they begin near zero
    return folded(built)


@pytest.fixture(scope="module")
def crops(system: System) -> tuple[Sample, ...]:
    assert system.crop is not None
    return crop_person(CLIP, system.crop, system.crop_rule).frames


def test_frames_are_as_if_the_whole_clip_had_been_shown(
    system: System, crops: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FrameRun(system, crops)
    covered = run.masked(MASK)
    steps: list[int] = []
    step = FrameRun._step
    monkeypatch.setattr(
        FrameRun, "_step", lambda own, frame, *rest: (steps.append(frame), step(own, frame, *rest))
    )
    for each, shown in ((run, crops), (covered, [covered.crop(t) for t in range(5)])):
        with torch.no_grad():
            whole = system.run(normalize(collate(shown).images), frames=5)
        last = each.outputs(4)
        assert torch.allclose(last.heatmaps[0], whole.heatmaps[4], atol=1e-5)
        assert torch.allclose(each.outputs(2).heatmaps[0], whole.heatmaps[2], atol=1e-5)
    assert not torch.allclose(run.outputs(4).heatmaps, covered.outputs(4).heatmaps, atol=1e-5)
    assert steps == [0, 1, 2, 3, 4, 2, 3, 4]  # with a mask from the first masked frame on
    assert covered.outputs(1) is run.outputs(1) and covered.knows(1)
    inside = covered.crop(3).image[:, 10:40, 20:44]
    assert (inside == 127).all() and covered.crop(4) is crops[4]


def test_frames_of_a_network_that_forgets_are_computed_alone(crops: tuple[Sample, ...]) -> None:
    torch.manual_seed(0)
    run = FrameRun(folded(build("jre", POSETRACK18, **TINY)), crops)
    covered = run.masked(MASK)
    run.outputs(3)
    assert [run.knows(t) for t in range(5)] == [False, False, False, True, False]
    assert covered.outputs(4) is run.outputs(4) and covered.outputs(3) is not run.outputs(3)


def test_a_run_stops_when_it_is_no_longer_wanted(system: System, crops: tuple[Sample, ...]) -> None:
    run = FrameRun(system, crops)
    answers = iter([False, False, True])
    with pytest.raises(InterruptedError):
        run.outputs(4, lambda: next(answers))
    assert run.knows(1) and not run.knows(2)


def test_the_temperature_is_that_of_the_relation(system: System, crops: tuple[Sample, ...]) -> None:
    relations = FrameRun(system, crops, temperature=3.0).outputs(0).relations
    expected = weights_at(system, relations.correlation, 3.0)
    assert torch.allclose(relations.weights, expected)
    FrameRun(system, crops, temperature=1.0).outputs(0)
    relation = relation_of(system)
    assert relation is not None and relation.temperature == 1.0


def test_the_pose_before_is_at_the_highest_cells_of_the_pseudo_heatmaps(
    system: System, crops: tuple[Sample, ...]
) -> None:
    outputs = FrameRun(system, crops).outputs(0)
    poses = pose_before(system, outputs)
    assert poses is not None
    maps = outputs.relations.pseudo_heatmaps[0].flatten(1)
    rows, columns = np.divmod(maps.argmax(dim=1).numpy(), 16)
    cells = np.stack([columns, rows], axis=1) * 4 + 2
    assert np.abs(poses.keypoints[0] - cells).max() <= 2  # within the cell
    assert pose_of(system, outputs).keypoints.shape == (1, K, 2)


def test_joints_under_a_mask_are_right_within_a_fifth_of_the_torso(
    crops: tuple[Sample, ...],
) -> None:
    sample, crop = CLIP.frames[2], crops[2]
    truth = crop.keypoints[:, :, :2].copy()
    torso = np.linalg.norm(
        truth[0, POSETRACK18.index("left_shoulder")] - truth[0, POSETRACK18.index("right_hip")]
    )
    mask = Mask((0.0, 0.0, 64.0, 64.0), 2, 2)
    moved = truth.copy()
    moved[0, 0, 0] += 0.19 * torso
    moved[0, 1, 0] += 0.21 * torso
    ones = np.ones((1, K), np.float32)
    poses, clear = (
        Poses(points, ones, np.ones(1, np.float32), skeleton=POSETRACK18)
        for points in (moved, truth)
    )
    found = find_masked_joints(poses, clear, sample, crop, mask)
    labeled = crop.keypoints[0, :, 2] > 0
    assert found.annotated and (found.masked == labeled).all()
    assert np.flatnonzero(found.lost).tolist() == [1] and found.found.sum() == labeled.sum() - 1
    bare = [
        replace(each, keypoints=np.zeros_like(each.keypoints)) for each in (sample, crop)
    ]  # the pose without the mask is the truth
    unlabeled = find_masked_joints(poses, clear, bare[0], bare[1], mask)
    assert not unlabeled.annotated and np.flatnonzero(unlabeled.lost).tolist() == [1]
    small = find_masked_joints(poses, clear, sample, crop, MASK)
    left, top, right, bottom = MASK.box
    x, y = truth[0].T
    assert (small.masked == labeled & (left <= x) & (x < right) & (top <= y) & (y < bottom)).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [(((5, 5, 5, 9), 0, 0), "with an area"), (((0, 0, 5, 9), 3, 2), "must be a run")],
)
def test_masks_are_checked(mask: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mask(*mask)


def test_people_of_frames_without_annotation_are_followed() -> None:
    class Stream:
        skeleton = POSETRACK18

        def step(self, image: np.ndarray, time: float) -> Poses:
            assert image.shape == (64, 64, 3)
            tracks = np.array([7, 4] if time else [4])
            points = np.full((len(tracks), K, 2), 10.0) + 10 * np.arange(K)[None, :, None] / K
            points = points.astype(np.float32) + tracks[:, None, None]
            ones = np.ones(points.shape[:2], np.float32)
            return Poses(points, ones, np.ones(len(tracks), np.float32), tracks=tracks)

    clip = person_frames(CLIP.frames[:2], np.array([0.0, 0.1]), Stream())
    assert isinstance(clip, Clip) and clip.frames[0].tracks is not None
    assert clip.frames[0].tracks.tolist() == [4, 7]
    boxes = [frame.boxes for frame in clip.frames]
    assert (boxes[0][1] == 0).all() and boxes[1][1, 0] == pytest.approx(boxes[1][0, 0] + 3)
    assert not clip.labeled.any()

    class Nobody(Stream):
        def step(self, image: np.ndarray, time: float) -> Poses:
            return Poses.empty(K)

    with pytest.raises(ValueError, match="no person is found in 2 frames"):
        person_frames(CLIP.frames[:2], np.array([0.0, 0.1]), Nobody())
