"""Boxes and areas of people of whom only keypoints are annotated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.ops.oks import AREA_OF_BOX


def extents(keypoints: NDArray[Any]) -> NDArray[np.float32]:
    """Return the boxes of labeled keypoints.

    Args:
        keypoints: (N, K, 3), px and visibility.

    Returns:
        (N, 4) left, top, right, bottom, px; zeros for whoever has no labeled keypoint.
    """
    hidden = keypoints[..., 2:] == 0
    low = np.where(hidden, np.inf, keypoints[..., :2]).min(axis=1, initial=np.inf)
    high = np.where(hidden, -np.inf, keypoints[..., :2]).max(axis=1, initial=-np.inf)
    nobody = hidden.all(axis=1)
    corners = np.concatenate([np.where(nobody, 0, low), np.where(nobody, 0, high)], axis=1)
    return corners.astype(np.float32)


def box_areas(boxes: NDArray[Any], share: float = AREA_OF_BOX) -> NDArray[np.float32]:
    """Return (N,) px² of people from (N, 4) boxes: 0.53 of the box by default, as in CrowdPose."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (share * sides[:, 0] * sides[:, 1]).astype(np.float32)
