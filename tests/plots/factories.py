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


def row_names(ax):
    """The names of rows on the y axis, from the top."""
    return [label.get_text() for label in ax.get_yticklabels()]


def bar_lengths(ax):
    """(columns, rows) lengths of stacked bars, after a check that each begins where one ends."""
    bars = [[(bar.get_x(), bar.get_width()) for bar in column] for column in ax.containers]
    starts, lengths = np.moveaxis(np.array(bars), -1, 0)
    np.testing.assert_allclose(starts, np.cumsum(lengths, axis=0) - lengths, atol=1e-9)
    return lengths
