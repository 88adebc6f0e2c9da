"""Poses that are the annotated ones, moved by a distance that tells how they were looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from poselib.data.catalog import KeypointDataset
from poselib.structures import Poses, Sample
from poselib.systems import System

# Distance of each variant's poses from the ground truth below, px.
SINGLE, MULTI, MATCHED, PLAIN = 0.0, 4.0, 2.0, 3.0


class Look(NamedTuple):
    """At which scales and short side which weights looked at how many images."""

    scales: tuple[float, ...]
    size: int
    weights: float
    images: int


def weights_of(system: System) -> float:
    return float(sum(p.detach().abs().sum() for p in system.model.parameters()))


def moved(dataset: KeypointDataset, by: float) -> list[Poses]:
    return moved_by([dataset[index] for index in range(len(dataset))], by)


def moved_by(samples: Sequence[Sample], by: float) -> list[Poses]:
    found = []
    for sample in samples:
        people = sample.keypoints
        xy = (people[..., :2] + by).astype(np.float32)
        ones = np.ones(people.shape[:2], np.float32)
        found.append(Poses(xy, ones, ones[:, 0]))
    return found


def distance(system: System, several: bool) -> float:
    if system.options.get("adapt") is False:
        return PLAIN
    match = bool(system.options.get("match"))
    return (MATCHED if match else MULTI) if several else SINGLE
