"""People who are followed: when the detector is asked, who is lost, and who is nobody new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.engine.followed_boxes import FollowOptions
from poselib.engine.inference import PredictOptions
from poselib.engine.stream import PoseStream
from poselib.outputs import HeatmapOutputs
from tests.engine.stream_factories import SIZE, Detector, color_system, follow, frame, tracks


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


def test_numbers_are_never_used_again() -> None:
    steady, comes = (120, 50), (30, 40)
    detector = Detector([[steady, comes], *[[steady], [steady, comes]] * 3])
    frames = [frame(steady, (*comes, float(n % 4 < 2))) for n in range(15)]
    found = [each for each in tracks(follow(detector, frames, every=4, patience=1)) if each != [0]]
    assert found[::3] == [[0, 1], [0, 2], [0, 3], [0, 4]]


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
    detector, plain = Detector([[(100, 40)], []]), PredictOptions(flip=False)
    stream = PoseStream(running, detector, options=plain)
    found = [stream.step(frame(), time) for time in range(9)]
    last = max(n for n, poses in enumerate(found) if len(poses))
    assert last < 8
    assert found[last].keypoints[..., 0].min() > SIZE[1]
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
