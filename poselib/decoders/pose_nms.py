"""Of poses that mark the same person, the best one is kept (DEKR, Sec. 3.3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from poselib.typing import Float32Array, IntArray


def same_people(poses: Float32Array, distance: float, share: float) -> NDArray[np.bool_]:
    """Say which poses mark the same person.

    Two do where more than ``share`` of the corresponding keypoints are nearer to one another than
    ``distance`` times the size of the first, the diagonal of the box around its keypoints.

    Args:
        poses: (N, K, 2), finite, px.
        distance: in sizes of a pose.
        share: of the K keypoints, at least 0 and below 1.

    Returns:
        (N, N), rows for the first pose of a pair; every pose marks the same person as itself.
    """
    x, y = poses[..., 0], poses[..., 1]
    size = np.sqrt(np.square(np.ptp(x, axis=1)) + np.square(np.ptp(y, axis=1)))
    apart = np.sqrt(np.square(x[:, None] - x) + np.square(y[:, None] - y))
    # Nothing is nearer than a size of 0, but keypoints in one place are the same nevertheless.
    near = (apart < np.float32(distance) * size[:, None, None]) | (apart == 0)
    alike: NDArray[np.bool_] = np.count_nonzero(near, axis=2) > share * poses.shape[1]
    return alike


def suppress_poses(
    poses: Float32Array,
    scores: Float32Array,
    distance: float = 0.05,
    share: float = 0.5,
    count: int = 30,
) -> IntArray:
    """Choose the poses to keep.

    As in DEKR's code, poses are visited in the order given. One that is left stands for those that
    mark the same person as it does; the best of these, the first of equally good ones, is kept,
    and they go. Where that best one has gone before, with somebody else, nothing is kept for them.

    Args:
        poses: (N, K, 2), finite, px.
        scores: (N,), how good each is: the mean heat of its keypoints.
        distance: see ``same_people``; 0.05 is what DEKR's code has for one scale.
        share: see ``same_people``; more than half are more than 8 of COCO's 17 keypoints and more
            than 7 of CrowdPose's 14, as published.
        count: of those to keep at most; the best remain.

    Returns:
        (n,) int64 numbers of poses, in the order in which they were chosen or, if there were more
        than ``count``, the best first.
    """
    alike = same_people(poses, distance, share)
    gone = np.zeros(len(poses), dtype=np.bool_)
    kept: list[int] = []
    for pose, doubles in enumerate(alike):
        if gone[pose]:
            continue
        group = np.flatnonzero(doubles)
        best = int(group[scores[group].argmax()])
        if not gone[best]:
            kept.append(best)
            gone |= doubles
    chosen = np.array(kept, dtype=np.int64)
    if len(chosen) > count:
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:count]]
    return chosen
