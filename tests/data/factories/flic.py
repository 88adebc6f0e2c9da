"""FLIC's ``examples.mat`` in its published structure."""

from __future__ import annotations

from typing import Any

import numpy as np

# The 11 annotated of the 29 columns, from 1, in the order of the makers' own list.
ANNOTATED = (1, 2, 3, 4, 5, 6, 7, 10, 13, 14, 17)


def coordinates(x: float = 10, y: float = 5) -> np.ndarray:
    """(2, 29): column c (from 1) is at (x + c, y + c / 2); the others are NaN."""
    array = np.full((2, 29), np.nan)
    for column in ANNOTATED:
        array[:, column - 1] = x + column, y + column / 2
    return array


def example(file_name: str, train: int, **fields: Any) -> dict[str, Any]:
    given = {
        "poselet_hit_idx": np.array([[48], [148]], np.uint16),
        "moviename": "film",
        "coords": coordinates(),
        "filepath": file_name,
        "imgdims": np.array([[40, 60, 3]], np.uint16),
        "currframe": np.uint16(6361),
        "torsobox": np.array([[11, 6, 31, 26]], np.float32),
        "istrain": np.uint8(train),
        "istest": np.uint8(1 - train),
    }
    given.update(fields)
    return given


def content() -> list[dict[str, Any]]:
    """Two people in one frame for training, one for testing, one of each in a third frame."""
    return [
        example("a.jpg", 1),
        example("b.jpg", 0),
        example("a.jpg", 1, coords=coordinates(30), torsobox=np.array([[1, 2, 3, 4]], np.float32)),
        example("c.jpg", 1),
        example("c.jpg", 0, torsobox=np.array([[41, 11, 51, 31]], np.float32)),
    ]
