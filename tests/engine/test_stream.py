"""People of a video frame by frame: given boxes, states, others in the image, and bad input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poselib.data.augmentation import Augment
from poselib.data.catalog import open_dataset
from poselib.data.crops import CropRule
from poselib.data.readers.detections import Boxes
from poselib.data.synthetic.config import ClipConfig
from poselib.engine.followed_boxes import FollowOptions
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes, BoxSource, ListedBoxes, PersonBoxes
from poselib.engine.predict import predict
from poselib.engine.seed import seed_everything
from poselib.engine.stream import PoseStream
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.ops.oks import object_keypoint_similarity
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses, Sample
from poselib.systems import System, build
from poselib.typing import FloatArray
from tests.engine.factories import toy_system
from tests.engine.stream_factories import Detector, color_system, frame, tracks


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
    return open_dataset("clip_crowd", "train", count=1, scenes=scenes).cached()


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


@pytest.mark.slow
def test_a_crowd_is_followed_from_where_it_was_detected_once(tmp_path: Path) -> None:
    data = _crowd(12)
    seed_everything(0)
    tiny: dict[str, Any] = {"backbone": "hrnet_tiny", "height": 64, "width": 64, "sigma": 1.0}
    system = build("jre", data.skeleton, **tiny)
    recipe = TrainConfig(80, batch_size=6, learning_rate=2e-3, average=0.95, checkpoint_every=0)
    augment = Augment(data.skeleton, (64, 64), scale=(0.9, 1.2), crop=system.crop_rule)
    trained = train(system, data, recipe, tmp_path, augment=augment, progress=False).system
    followed = PoseStream(trained, Some(AnnotatedBoxes(), slice(None)))
    given = PoseStream(trained, boxes=AnnotatedBoxes())
    similar: list[list[float]] = [[], []]
    for index in range(len(data)):
        sample = data[index]
        for stream, rates in zip((followed, given), similar, strict=True):
            poses = stream.step(sample, data.times[index])
            assert tracks([poses]) == [[0, 1, 2]]
            rates += np.diagonal(_oks(poses, sample)).tolist()
    assert np.mean(similar[0]) > np.mean(similar[1]) - 0.1 > 0.4


def _oks(poses: Poses, sample: Sample) -> FloatArray:
    sigmas = POSETRACK18.sigmas
    return object_keypoint_similarity(poses.keypoints, sample.keypoints, sample.areas, sigmas)


def test_a_network_that_forgets_starts_anew() -> None:
    data, system = _crowd(), replace(_rpstn(), crop_rule=CropRule(per_frame=True))
    forgetful = PoseStream(system, boxes=AnnotatedBoxes(), options=PredictOptions(renew=2))
    for index in range(4):
        if index % 2 == 0:
            begun = PoseStream(system, boxes=AnnotatedBoxes())
        poses, expected = (each.step(data[index], index) for each in (forgetful, begun))
        np.testing.assert_array_equal(poses.scores, expected.scores)
    lasting = PoseStream(system, boxes=AnnotatedBoxes())
    kept = [lasting.step(data[index], index) for index in range(4)]
    assert np.abs(kept[3].scores - poses.scores).max() > 0


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


def test_memory_does_not_grow() -> None:
    near = Detector([[(20.0 + n % 90, 40), (100 - n % 70, 50)] for n in range(12)])
    stream = PoseStream(_rpstn(), near, follow=FollowOptions(every=1, min_score=0.0))
    for n in range(12):
        people = len(stream.step(frame((20 + n, 40)), n))
        assert len(stream._network._states) <= 2 * len(stream._people._regions) <= 4 * (people + 2)
    stream.boxes = Detector([[]])
    stream.step(frame(), 99)
    assert not stream._network._states and not stream._people._regions


def test_what_does_not_fit_is_said_before_the_network_runs() -> None:
    system, image = color_system(), frame((30, 40))
    with pytest.raises(ValueError, match="one person is wanted; 'hae' sees whole images"):
        PoseStream(toy_system())
    with pytest.raises(ValueError, match="boxes and a detector are given"):
        PoseStream(system, Detector([[]]), boxes=AnnotatedBoxes())
    with pytest.raises(ValueError, match="a detector sees whole images"):
        PoseStream(system, _jre())
    with pytest.raises(ValueError, match="size=64 is for systems of whole images"):
        PoseStream(system, Detector([[]]), options=PredictOptions(size=64))
    with pytest.raises(ValueError, match="renew=2 is for video networks; "):
        PoseStream(system, Detector([[]]), options=PredictOptions(renew=2))
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
