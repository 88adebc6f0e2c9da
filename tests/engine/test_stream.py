"""People of a video frame by frame: who is followed, who is lost, and whom that depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from poselib.data.catalog import open_dataset
from poselib.data.readers.detections import Boxes
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes, BoxSource, ListedBoxes, PersonBoxes
from poselib.engine.predict import predict
from poselib.engine.seed import seed_everything
from poselib.engine.stream import FollowOptions, PoseStream
from poselib.outputs import HeatmapOutputs
from poselib.structures import Poses, Sample
from poselib.systems import System, build
from poselib.systems.single_person import SinglePersonOptions, single_person_system
from tests.engine.factories import MIDDLE, pixels, toy_system

_SIZE = (96, 160)
_APART = (5, 12)  # px from the middle of a person to each of the two keypoints


class ColorNetwork(nn.Module):
    """Red is the heat of the first keypoint, green that of the second."""

    def forward(self, images: Tensor) -> HeatmapOutputs:
        heat = F.avg_pool2d(pixels(images)[:, :2], 4)
        return HeatmapOutputs(heat, (images.shape[-2], images.shape[-1]))


@cache
def color_system() -> System:
    options = SinglePersonOptions(height=64, width=64)
    return single_person_system("colors", MIDDLE, ColorNetwork(), options)


def frame(*people: Sequence[float]) -> NDArray[np.uint8]:
    """Draw people at (x, y): red above and left of it, green opposite; a third number is light."""
    rows, columns = np.indices(_SIZE) + 0.5
    image = np.zeros((*_SIZE, 3))
    for x, y, *light in people:
        for channel, side in enumerate((-1, 1)):
            away = (columns - x - side * _APART[0]) ** 2 + (rows - y - side * _APART[1]) ** 2
            spot = (light[0] if light else 1) * np.exp(-away / (2 * 4**2))
            image[..., channel] = np.maximum(image[..., channel], 255 * spot)
    return image.astype(np.uint8)


@dataclass
class Detector:
    """Boxes of each call; it counts them."""

    people: list[list[tuple[float, float]]]
    calls: list[int] = field(default_factory=list)
    exact: bool = False

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        self.calls.append(sample.image_id)
        some = self.people[min(len(self.calls), len(self.people)) - 1]
        corners = [[x - 10, y - 20, x + 10, y + 20] for x, y in some]
        return PersonBoxes(np.array(corners, np.float32).reshape(-1, 4), np.ones(len(some)))


def follow(detector: BoxSource, frames: Sequence[Any], **options: Any) -> list[Poses]:
    stream = PoseStream(
        color_system(),
        detector,
        options=PredictOptions(flip=False),
        follow=FollowOptions(**options),
    )
    return [stream.step(image, time / 25) for time, image in enumerate(frames)]


def tracks(found: Sequence[Poses]) -> list[list[int]]:
    return [[] if poses.tracks is None else poses.tracks.tolist() for poses in found]


# Following


def test_boxes_follow_people_who_walk_further_than_their_own_size() -> None:
    detector = Detector([[(20, 40), (140, 50)]])
    ways = [[(20 + 2 * n, 40), (140, 50 - n)] for n in range(25)]
    found = follow(detector, [frame(*way) for way in ways])
    assert tracks(found) == [[0, 1]] * 25
    assert detector.calls == [0]
    for poses, way in zip(found, ways, strict=True):
        middles = poses.keypoints.mean(axis=1)
        assert np.abs(middles - way).max() < 3  # less than a cell


def test_the_detector_is_asked_at_the_start_and_every_so_many_frames() -> None:
    newcomer = (120, 50)
    detector = Detector([[(30, 40)], [(30, 40), newcomer]])
    frames = [frame((30, 40), *([newcomer] if n > 3 else [])) for n in range(11)]
    found = follow(detector, frames, every=8)
    assert detector.calls == [0, 8]
    assert tracks(found) == [[0]] * 8 + [[0, 1]] * 3
    follow(detector := Detector([[(30, 40)]]), [frame((30, 40))] * 61)
    assert detector.calls == [0, 30, 60]


def test_the_detector_is_asked_until_somebody_is_there() -> None:
    detector = Detector([[], [], [(30, 40)]])
    found = follow(detector, [frame((30, 40))] * 5)
    assert detector.calls == [0, 1, 2] and tracks(found) == [[], [], [0], [0], [0]]


def test_who_is_lost_is_given_up_and_gets_a_new_number() -> None:
    detector = Detector([[(120, 50), (30, 40)], [(120, 50)], [(120, 50), (30, 40)]])
    frames = [frame((120, 50), (30, 40, float(n < 4 or n > 8))) for n in range(12)]
    found = follow(detector, frames, every=9, patience=3)
    # The second person is dark from frame 4, given up after 4, 5 and 6, and bright again at 9.
    assert tracks(found) == [[0, 1]] * 7 + [[0]] * 2 + [[0, 2]] * 3
    assert detector.calls == [0, 7, 9]


def test_a_person_is_lost_for_some_frames_without_harm() -> None:
    detector = Detector([[(30, 40)]])
    lights = [1, 1, 0, 0, 1, 0, 0, 1]
    found = follow(detector, [frame((30, 40, light)) for light in lights], patience=3)
    assert tracks(found) == [[0]] * 8 and detector.calls == [0]


class RunningNetwork(nn.Module):
    """Whatever it is shown, the person is at the right border of it."""

    def forward(self, images: Tensor) -> HeatmapOutputs:
        heatmaps = torch.zeros(len(images), 2, 16, 16)
        heatmaps[:, 0, 4, -1] = heatmaps[:, 1, 12, -1] = 1
        return HeatmapOutputs(heatmaps, (64, 64))


def test_who_leaves_the_image_is_given_up() -> None:
    detector = Detector([[(150, 40)], []])
    found = follow(detector, [frame((150 + 2 * n, 40)) for n in range(20)])
    assert tracks(found)[0] == [0] and tracks(found)[-1] == []
    running = replace(color_system(), model=RunningNetwork())
    stream = PoseStream(running, detector := Detector([[(100, 40)], []]))
    found = [stream.step(frame(), time) for time in range(9)]
    last = max(n for n, poses in enumerate(found) if len(poses))
    assert found[last].keypoints[..., 0].min() > _SIZE[1]
    assert detector.calls == [0, *range(last + 1, 9)]


def test_who_is_detected_twice_is_one_person() -> None:
    detector = Detector([[(30, 40), (32, 40), (120, 50)]])
    found = follow(detector, [frame((30, 40), (120, 50))] * 12, every=5)
    assert tracks(found) == [[0, 2]] * 12
    assert detector.calls == [0, 5, 10]  # a duplicate is no reason to ask


def test_of_people_who_become_one_the_first_stays() -> None:
    detector = Detector([[(30, 40), (100, 40)], []])
    frames = [frame((min(30 + 5 * n, 95), 40, 1.0), (100, 40, 0.9)) for n in range(20)]
    found = follow(detector, frames, patience=2)
    assert tracks(found)[0] == [0, 1] and tracks(found)[-1] == [0]
    assert len(detector.calls) == 2  # where is the other one?


def test_memory_does_not_grow() -> None:
    system = _rpstn()
    near = Detector([[(20.0 + n % 90, 40), (100 - n % 70, 50)] for n in range(40)])
    stream = PoseStream(system, near, follow=FollowOptions(every=1, min_score=0.0))
    numbers: set[int] = set()
    for n in range(40):
        poses = stream.step(frame((20 + n % 90, 40)), n)
        numbers.update(tracks([poses])[0])
        kept = len(stream._network._states), len(stream._people._regions)
    stream.boxes = Detector([[]])
    stream.step(frame(), 99)
    assert kept[0] <= 2 * kept[1] and not stream._network._states and not stream._people._regions


# Networks


@cache
def _rpstn() -> System:
    seed_everything(3)
    return build(
        "rpstn",
        "posetrack18",
        backbone="hrnet_tiny",
        initializer_backbone="hrnet_tiny",
        channels=16,
        height=64,
        width=64,
    )


@cache
def _jre() -> System:
    seed_everything(3)
    return build("jre", "posetrack18", backbone="hrnet_tiny", height=64, width=64)


@cache
def _crowd(frames: int = 8) -> Any:
    scenes = ClipConfig(size=96, people=(3, 3), height=(0.4, 0.6), frames=frames)
    return open_dataset("clip_crowd", "val", count=1, scenes=scenes).cached()


@pytest.mark.parametrize("system", [_rpstn, _jre])
def test_a_stream_of_given_boxes_is_the_prediction_of_the_video(system: Any) -> None:
    data = _crowd()
    whole = predict(system(), data, boxes=AnnotatedBoxes())
    stream = PoseStream(system(), boxes=AnnotatedBoxes())
    for index in range(len(data)):
        poses = stream.step(data[index], data.times[index])
        np.testing.assert_array_equal(poses.tracks, data[index].tracks)
        np.testing.assert_allclose(poses.keypoints, whole[index].keypoints, rtol=0, atol=1e-4)
        np.testing.assert_allclose(poses.scores, whole[index].scores, rtol=0, atol=1e-5)


@dataclass
class Some:
    """Some of the boxes that another source gives."""

    source: BoxSource
    rows: slice
    exact: bool = False

    def __call__(self, sample: Sample, /) -> PersonBoxes:
        found = self.source(sample)
        return PersonBoxes(found.corners[self.rows], found.scores[self.rows])


@pytest.mark.parametrize("system", [_rpstn, _jre])
def test_a_person_does_not_depend_on_the_others(system: Any) -> None:
    data = _crowd()
    together = PoseStream(system(), boxes=AnnotatedBoxes())
    alone = PoseStream(system(), boxes=Some(AnnotatedBoxes(), slice(1, 2), exact=True))
    for index in range(len(data)):
        everybody, one = (each.step(data[index], index) for each in (together, alone))
        assert len(everybody) == 3 and len(one) == 1
        np.testing.assert_allclose(everybody.scores[1], one.scores[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(everybody.keypoints[1], one.keypoints[0], rtol=1e-5)


def test_a_person_is_followed_whoever_else_is() -> None:
    frames = [frame((20 + n, 40), (70 + n, 44), (140, 50 - n, 0.7)) for n in range(25)]
    people: list[tuple[float, float]] = [(20, 40), (70, 44), (140, 50)]
    together = follow(Detector([people]), frames)
    for row in range(3):
        alone = follow(Detector([[people[row]]]), frames)
        for everybody, one in zip(together, alone, strict=True):
            mine = everybody[everybody.tracks == row]
            np.testing.assert_allclose(mine.keypoints, one.keypoints, rtol=1e-5)
            np.testing.assert_allclose(mine.person_scores, one.person_scores, rtol=1e-5)


def test_a_network_that_forgets() -> None:
    data, system = _crowd(), _rpstn()
    options = PredictOptions(renew=1)
    stream = PoseStream(system, boxes=AnnotatedBoxes(), options=options)
    single = predict(system, [data[n] for n in range(3)], options, boxes=AnnotatedBoxes())
    for index in range(3):
        poses = stream.step(data[index], index)
        if index == 0:
            np.testing.assert_array_equal(poses.keypoints, single[0].keypoints)
        begun = PoseStream(system, boxes=AnnotatedBoxes()).step(data[index], 0.0)
        np.testing.assert_allclose(poses.scores, begun.scores, rtol=0, atol=0.2)


def test_boxes_are_listed_by_the_number_of_the_frame() -> None:
    corners = np.array([[20, 20, 40, 60]], np.float32)
    listed = {
        7: Boxes(corners, np.ones(1, np.float32)),
        8: Boxes(corners[:0], np.zeros(0, np.float32)),
    }
    stream = PoseStream(color_system(), boxes=ListedBoxes(listed), first_id=7)
    image = frame((30, 40))
    assert tracks([stream.step(image, 0), stream.step(image, 1)]) == [[0], []]
    with pytest.raises(ValueError, match="image 9: there are no boxes of it"):
        stream.step(image, 2)


def test_the_bundled_model_is_the_default_detector() -> None:
    scene = open_dataset("clips", "val", count=1)
    stream = PoseStream(_jre(), follow=FollowOptions(min_score=0.0))
    poses = stream.step(scene[0].image.transpose(1, 2, 0), 0.0)
    assert len(poses) == 1 and poses.skeleton is _jre().skeleton


# Errors


def test_what_does_not_fit_is_said_before_the_network_runs() -> None:
    system, image = color_system(), frame((30, 40))
    with pytest.raises(ValueError, match="one person is wanted; 'hae' sees whole images"):
        PoseStream(toy_system())
    with pytest.raises(ValueError, match="boxes and a detector are given"):
        PoseStream(system, Detector([[]]), boxes=AnnotatedBoxes())
    with pytest.raises(ValueError, match="a detector sees whole images"):
        PoseStream(system, _jre())
    with pytest.raises(ValueError, match="size and scales are for systems of whole images"):
        PoseStream(system, Detector([[]]), options=PredictOptions(size=64))
    stream = PoseStream(system, Detector([[(30, 40)]]))
    stream.step(image, 1.0)
    for time in (1.0, 0.5, float("nan")):
        with pytest.raises(ValueError, match=r"frame 1: a time after 1\.0 s is wanted"):
            stream.step(image, time)
    with pytest.raises(ValueError, match="frame 1 has 100 x 96 px; those before have 160 x 96"):
        stream.step(image[:, :100], 2.0)
    with pytest.raises(ValueError, match="frame 1: an image must be a path"):
        stream.step(None, 2.0)
    assert len(stream.step(image, 2.0)) == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("every", 0, "every must be 1 or more and whole, not 0"),
        ("patience", 1.5, "patience must be 1 or more and whole, not 1.5"),
        ("min_score", -1.0, "min_score must be 0 or more, not -1.0"),
        ("growth", float("nan"), "growth must be 0 or more, not nan"),
    ],
)
def test_options_out_of_range(option: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FollowOptions(**{option: value})
