"""People one at a time: poses in px of the file, tracks, states, regions and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.data.clips import PersonClips
from poselib.data.collation import collate
from poselib.data.crops import CropRule, crop_person
from poselib.data.readers.detections import Boxes
from poselib.data.transforms import crop_transform, warp_sample
from poselib.engine import predict_people
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes, ListedBoxes, PersonBoxes
from poselib.engine.predict import predict, predict_variants
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs
from poselib.structures import Poses, Sample
from tests.engine.factories import MIDDLE, BlobNetwork, system_around, toy_system
from tests.engine.person_factories import (
    FadingNetwork,
    Frames,
    ages,
    spot_system,
    spots,
    tiny,
    walkers,
)

PLAIN = PredictOptions(flip=False)
PEOPLE = np.array([[[40.0, 50], [50, 80]], [[150, 110], [140, 140]]])
BOXES = AnnotatedBoxes()
FEATURES = {"rpstn": "extractor", "jre": "features"}


def assert_same(
    one: Sequence[Poses], other: Sequence[Poses], px: float = 1e-2, score: float = 1e-5
) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=px)
        np.testing.assert_allclose(a.person_scores, b.person_scores, rtol=1e-4, atol=score)
        assert (a.tracks is None) == (b.tracks is None)
        if a.tracks is not None and b.tracks is not None:
            assert a.tracks.tolist() == b.tracks.tolist()


@pytest.mark.parametrize("stretch", [False, True])
@pytest.mark.parametrize(("rotation", "flip"), [(0, False), (25, False), (-10, True)])
def test_poses_are_in_px_of_the_file(rotation: float, flip: bool, stretch: bool) -> None:
    """Whatever was done to the sample before."""
    sample = warp_sample(
        spots(PEOPLE, (0, 1)), crop_transform((100, 95), 230, 300, rotation, flip), (300, 300)
    )
    system = spot_system(rule=CropRule(1.5, stretch=stretch))
    for options in (PLAIN, PredictOptions()):
        (poses,) = predict(system, [sample], options, boxes=BOXES)
        assert np.abs(poses.keypoints - PEOPLE).max() < 1
        assert poses.skeleton is MIDDLE and poses.tracks is None


def test_listed_boxes_scores_and_duplicates() -> None:
    """A person's score is that of the box times the mean of the keypoints; near copies go."""
    sample = spots(PEOPLE, (0, 1), 5)
    assert sample.boxes is not None
    corners = sample.boxes[[0, 1, 0, 1]] + np.array([[0], [0], [1], [2]], np.float32)
    scores = np.array([0.9, 0.4, 0.8, 0.7], np.float32)
    (poses,) = predict(
        spot_system(), [sample], PLAIN, boxes=ListedBoxes({5: Boxes(corners, scores)})
    )
    assert len(poses) == 2 and np.abs(poses.keypoints - PEOPLE).max() < 1
    means = poses.scores.mean(axis=1)
    np.testing.assert_allclose(poses.person_scores, means * [0.9, 0.7], rtol=1e-5)


def test_an_exact_source_keeps_every_row_in_order() -> None:
    """Also of people at the same place, and of one whose place is not known."""
    sample = spots(PEOPLE[[1, 0, 0]], (0, 1, 2))
    sample.boxes[2], sample.keypoints[2] = 0, 0  # type: ignore[index]
    (poses,) = predict(spot_system(), [sample], PLAIN, boxes=BOXES)
    assert np.abs(poses.keypoints[:2] - PEOPLE[::-1]).max() < 1
    assert len(poses) == 3  # the third is sought in the whole image
    nearest = np.abs(poses.keypoints[2, :, None] - PEOPLE.swapaxes(0, 1)).max(axis=2).min(axis=1)
    assert (nearest < 4).all()


def test_an_image_without_boxes_has_no_poses() -> None:
    nobody = ListedBoxes({5: Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))})
    sample = spots(PEOPLE, (0, 1), 5)
    for clips in (False, True):
        (poses,) = predict(spot_system(clips), [sample], boxes=nobody)
        assert len(poses) == 0 and poses.keypoints.shape == (0, 2, 2)
        assert poses.skeleton is MIDDLE and (poses.tracks is not None) == clips


def video(*tracks: Sequence[int], speed: float = 2.0) -> list[Sample]:
    """Frames that show the people of these tracks: 0 on the left, 1 on the right."""
    return [
        spots(PEOPLE[np.array(who, int)] + [speed * t, 0], who, image_id=t)
        for t, who in enumerate(tracks)
    ]


def seen(poses: Sequence[Poses]) -> list[dict[int, int]]:
    """Return, of each frame, the tracks and how many frames each has been seen before."""
    found = []
    for each in poses:
        assert each.tracks is not None
        counts = ages(each.person_scores)
        found.append(dict(zip(each.tracks.tolist(), counts, strict=True)))
    return found


COMING = video((0,), (1, 0), (0, 1), (), (1,), (1, 0), (0, 1))
EXPECTED = [{0: 0}, {1: 0, 0: 1}, {0: 2, 1: 1}, {}, {1: 0}, {1: 1, 0: 0}, {0: 1, 1: 2}]


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_a_state_ends_when_its_person_is_out_of_sight(batch_size: int, flip: bool) -> None:
    """Whether or not somebody else is in the frame, or in another video."""
    dataset = Frames({"coming": COMING, "there": video(*[(0, 1)] * 7, speed=0)})
    options = PredictOptions(flip=flip, batch_size=batch_size)
    found = predict(spot_system(clips=True), dataset, options, boxes=BOXES)
    assert seen(found[:7]) == EXPECTED
    assert seen(found[7:]) == [{0: t, 1: t} for t in range(7)]
    for t, poses in enumerate(found[:7]):
        assert poses.tracks is not None
        truth = PEOPLE[poses.tracks] + [2 * t, 0]
        assert np.abs(poses.keypoints - truth).max(initial=0) < 1


def test_photographs_have_no_state_and_are_not_a_video() -> None:
    found = predict(spot_system(clips=True), video((0,), (0,)), PLAIN, boxes=BOXES)
    assert seen(found) == [{0: 0}, {0: 0}]
    frames = Frames({"a": video((0,), (0,))})
    images = predict(spot_system(), frames, PLAIN, boxes=BOXES)
    assert [poses.tracks for poses in images] == [None, None]


@pytest.mark.parametrize(("renew", "expected"), [(1, [0] * 5), (2, [0, 1, 0, 1, 0]), (9, range(5))])
def test_renewed_after_so_many_frames(renew: int, expected: Sequence[int]) -> None:
    frames = Frames({"a": video(*[(0,)] * 5)})
    found = predict(spot_system(True), frames, replace(PLAIN, renew=renew), boxes=BOXES)
    assert seen(found) == [{0: age} for age in expected]


class Untracked:
    """Boxes in an order that changes from frame to frame, without tracks."""

    exact = True

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        found = AnnotatedBoxes()(sample)
        order = slice(None, None, -1 if sample.image_id % 2 else 1)
        return PersonBoxes(found.corners[order], found.scores)


def test_boxes_without_tracks_follow_those_of_the_frame_before() -> None:
    frames = Frames({"a": video((0, 1), (0, 1), (1,), (0, 1)), "b": video((1,), (1,))})
    found = predict(spot_system(True), frames, PLAIN, boxes=Untracked())
    # Who was out of sight is somebody new; each video counts from 0.
    assert seen(found) == [{0: 0, 1: 0}, {1: 1, 0: 1}, {1: 2}, {1: 3, 2: 0}, {0: 0}, {0: 1}]
    again = predict(spot_system(True), frames, replace(PLAIN, batch_size=2), boxes=Untracked())
    assert_same(found, again)


def windows(system: Any, dataset: Any) -> list[list[Poses]]:
    """Return the poses of each person's clips, by the network's own ``forward``."""
    found, clips = [], PersonClips(dataset, system.frames)
    for number in range(len(clips)):
        crops = crop_person(clips[number], system.crop, system.crop_rule)
        with torch.no_grad():
            outputs = system.run(normalize(collate([crops]).images), system.frames)
        decoded = zip(system.decode(outputs), crops.frames, strict=True)
        found.append([poses.warped(frame.to_original) for poses, frame in decoded])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("rule", [{}, {"per_frame": True, "stretch": True, "margin": 1.0}])
def test_renewed_it_equals_the_network_on_the_clips_of_training(
    frames: int, rule: dict[str, Any]
) -> None:
    system, dataset = tiny("rpstn", frames=frames, **rule), walkers(6)
    options = PredictOptions(flip=False, renew=frames, batch_size=2)
    found = predict(system, dataset, options, boxes=BOXES)
    people = PersonClips(dataset, frames)
    for (number, track), poses in zip(people.people, windows(system, dataset), strict=True):
        for position, expected in zip(people.clips.windows[number], poses, strict=True):
            tracks = found[position].tracks
            assert tracks is not None and track in tracks
            assert_same([replace(found[position][tracks == track], tracks=None)], [expected])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "renew"), [("rpstn", None), ("rpstn", 3), ("jre", None)])
def test_videos_side_by_side_do_not_mix(name: str, renew: int | None) -> None:
    system, dataset = tiny(name), walkers(7, count=3)
    options = PredictOptions(renew=renew)
    single = predict(system, dataset, options, boxes=BOXES)
    assert [len(poses) for poses in single] == [len(dataset[n].keypoints) for n in range(21)]
    for size in (2, 7):
        together = predict(system, dataset, replace(options, batch_size=size), boxes=BOXES)
        assert_same(single, together)


def test_variants_decode_the_same_outputs() -> None:
    system = spot_system()
    half = replace(system, decode=lambda outputs: [p[:0] for p in system.decode(outputs)])
    one, none = predict_variants([system, half], [spots(PEOPLE, (0, 1))], PLAIN, boxes=BOXES)
    assert len(one[0]) == 2 and len(none[0]) == 0


@pytest.mark.parametrize("change", [{"size": 64}, {"multiple": 32}, {"scales": (1.0, 2.0)}])
def test_options_of_whole_images_are_refused(change: dict[str, Any]) -> None:
    name = next(iter(change))
    message = rf"{name}=.* is for systems of whole images; 'spots' is shown crops of \(64, 96\) px"
    with pytest.raises(ValueError, match=message):
        predict(spot_system(), [spots(PEOPLE, (0, 1))], PredictOptions(**change), boxes=BOXES)


def test_what_does_not_fit_is_refused() -> None:
    whole = system_around(BlobNetwork(), MIDDLE)
    with pytest.raises(ValueError, match="boxes are for systems of one person; 'oracle' sees"):
        predict(whole, [spots(PEOPLE, (0, 1))], boxes=BOXES)
    twice = Frames({"a": [spots(PEOPLE, (4, 4), 9)]})
    with pytest.raises(ValueError, match=r"image 9: a track is in it twice: \[4, 4\]"):
        predict(spot_system(clips=True), twice, boxes=BOXES)
    with pytest.raises(ValueError, match="renew must be 1 or more and whole, not 0"):
        PredictOptions(renew=0)
    anew = PredictOptions(renew=3)
    for system in (spot_system(), toy_system()):
        with pytest.raises(
            ValueError, match=f"renew=3 is for video networks; '{system.name}' sees"
        ):
            predict(system, video((0,)), anew)
        assert anew.for_system(system).renew is None
    assert anew.for_system(spot_system(True)) is anew


@pytest.mark.parametrize(("per_frame", "renew"), [(False, None), (False, 4), (True, None)])
def test_a_region_stays_while_its_person_does(per_frame: bool, renew: int | None) -> None:
    """Though the box jitters; with ``per_frame`` the region follows the box."""
    frames = video(*[(0,)] * 4, speed=0)
    for t, frame in enumerate(frames):
        assert frame.boxes is not None
        frame.boxes[:] += t % 2
    shown: list[float] = []

    class Watching(FadingNetwork):
        def _seen(self, images: Tensor, ages: Tensor) -> HeatmapOutputs:
            shown.append(float(images.std()))
            return super()._seen(images, ages)

    system = replace(spot_system(True, CropRule(per_frame=per_frame)), model=Watching())
    predict(system, Frames({"a": frames}), replace(PLAIN, renew=renew), boxes=BOXES)
    assert len(shown) == 4 and (np.ptp(shown) < 1e-6) == (not per_frame)


@pytest.mark.parametrize("name", ["rpstn", "jre"])
def test_many_images_are_predicted_by_a_folded_copy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, video = tiny(name), walkers()
    before = {key: value.clone() for key, value in system.model.state_dict().items()}
    seen: list[bool] = []

    def note(module: nn.Module, *_: object) -> None:
        seen.append(any(isinstance(each, nn.BatchNorm2d) for each in module.modules()))

    system.model.get_submodule(FEATURES[name]).register_forward_pre_hook(note)
    found = predict(system, video, PLAIN, boxes=BOXES)
    monkeypatch.setattr(predict_people, "_MANY", 1)
    assert_same(predict(system, video, PLAIN, boxes=BOXES), found)
    assert seen[0] and not seen[-1]
    assert all(torch.equal(value, before[key]) for key, value in system.model.state_dict().items())
