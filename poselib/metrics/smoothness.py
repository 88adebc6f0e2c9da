"""How smooth poses are over time: error of acceleration, jitter of still joints, id switches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from poselib.typing import FloatArray, IntArray


def acceleration_error(found: ArrayLike, people: ArrayLike) -> float:
    """Compute the mean error of acceleration, px per frame².

    The acceleration of a joint is its second difference over consecutive frames. A joint counts
    where it is labeled and found in three consecutive frames.

    Args:
        found: (T, ..., 3) found joints, px and a score; 0 where one is missing.
        people: (T, ..., 3) annotated joints, px and visibility.

    Returns:
        NaN where no joint counts.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> still = np.full((4, 1, 3), 2.0)
        >>> shaking = still + [[[0, 0, 0]], [[1, 0, 0]], [[0, 0, 0]], [[1, 0, 0]]]
        >>> acceleration_error(shaking, still)
        2.0
    """
    joints, truth, counts = _both(found, people)
    three = counts[2:] & counts[1:-1] & counts[:-2]
    error = np.linalg.norm(np.diff(joints - truth, 2, axis=0), axis=-1)
    return float(error[three].mean()) if three.any() else float("nan")


def still_jitter(found: ArrayLike, people: ArrayLike, still: float = 0.5) -> float:
    """Compute how far found joints move between frames in which the annotated ones stay, px.

    Args:
        found, people: as in ``acceleration_error``.
        still: the largest motion, px per frame, of a joint that counts as still.

    Returns:
        The mean; NaN where no joint is still.

    Raises:
        ValueError: shapes do not fit.
    """
    joints, truth, counts = _both(found, people)
    moved, should = (np.linalg.norm(np.diff(xy, axis=0), axis=-1) for xy in (joints, truth))
    kept = counts[1:] & counts[:-1] & (should <= still)
    return float(moved[kept].mean()) if kept.any() else float("nan")


def id_switches(frames: Sequence[tuple[IntArray, IntArray]]) -> int:
    """Count how often an annotated person is found under another number than the last time.

    Args:
        frames: of each frame, the annotated and the found track ids (n,) of the people that are
            matched in it.

    Example:
        >>> id_switches([([1, 2], [7, 8]), ([1], [7]), ([1, 2], [8, 8])])
        1
    """
    last: dict[int, int] = {}
    switches = 0
    for annotated, found in frames:
        pairs = zip(np.asarray(annotated).tolist(), np.asarray(found).tolist(), strict=True)
        for person, track in pairs:
            switches += last.get(person, track) != track
            last[person] = track
    return switches


def _both(found: ArrayLike, people: ArrayLike) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Return both joints (T, ..., 2), px, and which of them are found and labeled."""
    joints, truth = np.asarray(found, np.float64), np.asarray(people, np.float64)
    if joints.shape != truth.shape or truth.ndim < 2 or truth.shape[-1] != 3:
        raise ValueError(
            f"found and annotated joints must both be (T, ..., 3), not {joints.shape} and "
            f"{truth.shape}"
        )
    return joints[..., :2], truth[..., :2], (joints[..., 2] > 0) & (truth[..., 2] > 0)
