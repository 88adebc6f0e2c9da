"""Steps of a grouping as a decoder records them, written out: plots need no decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Step:
    keypoint: int
    cells: np.ndarray
    tags: np.ndarray
    people: np.ndarray
    started: np.ndarray
    distances: np.ndarray


def step(keypoint, cells, tags, people, started, nearest=None):
    distances = np.full(17, np.nan)
    for k, value in (nearest or {}).items():
        distances[k] = value
    return Step(
        keypoint, np.array(cells), np.array(tags, float)[:, None],
        np.array(people), np.array(started), distances,
    )  # fmt: skip
