"""``joints.mat`` of Leeds Sports Pose and of its extended training set."""

from __future__ import annotations

import numpy as np

COUNT = 2000


def joints(count: int = COUNT) -> np.ndarray:
    """(3, 14, N): joint k of image n (from 1) is at (n + k, 10 + k); the right ankle is hidden."""
    array = np.zeros((3, 14, count))
    array[0] = np.arange(14)[:, None] + np.arange(1, count + 1)
    array[1] = 10 + np.arange(14)[:, None]
    array[2, 0] = 1
    return array


def extended(count: int = 30) -> np.ndarray:
    """(14, 3, N): as above; only the right knee is not labeled, and is somewhere odd."""
    array = joints(count).transpose(1, 0, 2).copy()
    array[:, 2] = 1
    array[1] = np.array([-777, 1e6, 0])[:, None]
    return array
