"""Colored spots as people, a network that finds them, and detectors that know where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.engine.followed_boxes import FollowOptions
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import BoxSource, PersonBoxes
from poselib.engine.stream import PoseStream
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.systems.single_person import SinglePersonOptions, single_person_system
from tests.engine.factories import MIDDLE
from tests.engine.person_factories import SpotNetwork

SIZE = (96, 160)
_APART = (5, 12)  # px from the middle of a person to each of the two keypoints


@cache
def color_system() -> System:
    options = SinglePersonOptions(height=64, width=64)
    return single_person_system("colors", MIDDLE, SpotNetwork(), options)


def frame(*people: Sequence[float]) -> NDArray[np.uint8]:
    """Draw people at (x, y): red above and left of it, green opposite; a third number is light."""
    rows, columns = np.indices(SIZE) + 0.5
    image = np.zeros((*SIZE, 3))
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
