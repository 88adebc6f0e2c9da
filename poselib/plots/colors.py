"""One color for a person in two drawings: annotated and found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.plots.palette import Color, person_colors
from poselib.structures import Poses

_FAR = 1e6
_REACH = 0.3  # mean distance of two poses of one person, in sizes of the person


def matched_colors(
    truth: NDArray[np.float32], poses: Poses
) -> tuple[tuple[Color, ...], tuple[Color, ...]]:
    """Return the colors of annotated and of found people, equal where they lie on each other.

    Args:
        truth: (N, K, 3) px and visibility.
        poses: people in px of the same image; who lies on nobody gets a color of its own.
    """
    labeled = truth[..., 2] > 0
    shared = poses.found[:, None] & labeled[None]
    gaps = np.linalg.norm(poses.keypoints[:, None] - truth[None, ..., :2], axis=-1)
    gap = np.where(shared, gaps, 0).sum(-1) / np.maximum(shared.sum(-1), 1)
    xy = np.where(labeled[..., None], truth[..., :2], np.nan)
    extent = [
        np.ptp(p[v], axis=0).max() if v.any() else 0.0 for p, v in zip(xy, labeled, strict=True)
    ]
    near = shared.any(-1) & (gap <= _REACH * np.array(extent))
    place = np.arange(len(truth), len(truth) + len(poses))
    cost = np.where(near, gap, _FAR)
    for mine, same in zip(*linear_sum_assignment(cost), strict=True):
        if near[mine, same]:
            place[mine] = same
    colors = person_colors(len(truth) + len(poses))
    return colors[: len(truth)], tuple(colors[p] for p in place)
