"""Tracks of people: poses of consecutive frames are linked by their OKS."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from poselib.ops.oks import AREA_OF_BOX, keypoint_similarity
from poselib.structures import Poses
from poselib.typing import FloatArray, IntArray

# From one frame to the next, people move further than annotations differ, of which the constants of
# OKS are the deviations.
_TOLERANCE = 2.0
_LEAST = 1e-3  # score of a person that weighs at all


def match_poses(
    before: Poses, after: Poses, sigmas: ArrayLike, min_oks: float = 0.2
) -> tuple[IntArray, IntArray]:
    """Return which people of two frames are the same: pairs of the highest sum of similarities.

    The similarity is OKS with twice the tolerance, of the larger of both people; keypoints that one
    of them lacks count as 0, and those that both lack do not count. In the sum each is weighted by
    both person scores: a person keeps the track when a doubtful detection lies over him or her.

    Args:
        before, after: people of two frames, px.
        sigmas: (K,) OKS constants, ``Skeleton.sigmas``.
        min_oks: pairs below it are not made.

    Returns:
        Rows of ``before`` and, at the same positions, rows of ``after``; each occurs once at most.

    Example:
        >>> two = np.array([[[9.0, 9], [30, 50]], [[70, 9], [90, 60]]])
        >>> poses = Poses(two, np.ones((2, 2)), np.ones(2))
        >>> [rows.tolist() for rows in match_poses(poses, poses[::-1], [0.1, 0.1])]
        [[0, 1], [1, 0]]
    """
    if not len(before) or not len(after):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    areas = np.maximum(_areas(before)[:, None], _areas(after)) * _TOLERANCE**2
    similarity = keypoint_similarity(
        after.keypoints[None], before.keypoints[:, None], areas, sigmas
    )
    both = before.found[:, None] & after.found
    either = before.found[:, None] | after.found
    oks = np.where(both, similarity, 0).sum(-1) / np.maximum(either.sum(-1), 1)
    made = oks >= min_oks
    # Doubtful detections over a person must not take the track.
    sure = np.multiply.outer(*(p.person_scores.clip(_LEAST, 1) for p in (before, after)))
    rows, columns = linear_sum_assignment(np.where(made, oks * sure, 0), maximize=True)
    kept = made[rows, columns]
    return rows[kept], columns[kept]


@dataclass
class PoseLinker:
    """Gives the people of each frame the numbers that they keep throughout a video.

    People detected within the last ``memory`` seconds are found again by ``match_poses``, from the
    last of their poses; all others get the next numbers.

    Attributes:
        sigmas: (K,) OKS constants, ``Skeleton.sigmas``.
        min_oks: see ``match_poses``.
        memory: seconds for which a person who is not found keeps the number.
    """

    sigmas: FloatArray
    min_oks: float = 0.2
    memory: float = 1.0
    _seen: Poses | None = field(default=None, repr=False)
    _times: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    _next: int = field(default=0, repr=False)

    def __call__(self, poses: Poses, time: float) -> Poses:
        """Return the poses of the next frame with their tracks and time.

        Args:
            poses: people, px.
            time: of the frame, seconds.
        """
        tracks = np.full(len(poses), -1, np.int64)
        seen, times = self._seen, self._times
        if seen is not None and seen.tracks is not None:
            recent = time - times <= self.memory
            seen, times = seen[recent], times[recent]
            rows, columns = match_poses(seen, poses, self.sigmas, self.min_oks)
            assert seen.tracks is not None
            tracks[columns] = seen.tracks[rows]
            lost = np.setdiff1d(np.arange(len(seen)), rows)
            seen, times = seen[lost], times[lost]
        new = np.flatnonzero(tracks < 0)
        tracks[new] = self._next + np.arange(len(new))
        self._next += len(new)
        linked = replace(poses, tracks=tracks, time=time)
        self._seen = linked if seen is None else Poses.join([linked, seen])
        self._times = np.concatenate([np.full(len(linked), time), times])
        return linked


def _areas(poses: Poses) -> FloatArray:
    """Return (N,) areas of people, px², from the boxes around their keypoints."""
    areas: FloatArray = AREA_OF_BOX * np.nan_to_num(poses.boxes[:, 2:]).prod(axis=1)
    return areas
