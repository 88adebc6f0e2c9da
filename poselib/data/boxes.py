"""Boxes and areas of people, estimated from their keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import Skeleton
from poselib.typing import IntArray


def keypoint_boxes(keypoints: NDArray[Any]) -> NDArray[np.float32]:
    """Return the bounding boxes of labeled keypoints.

    Args:
        keypoints: (N, K, 3), px and visibility.

    Returns:
        (N, 4) left, top, right, bottom, px; zeros for people without a labeled keypoint.
    """
    unlabeled = keypoints[..., 2:] == 0
    low = np.where(unlabeled, np.inf, keypoints[..., :2]).min(axis=1, initial=np.inf)
    high = np.where(unlabeled, -np.inf, keypoints[..., :2]).max(axis=1, initial=-np.inf)
    empty = unlabeled.all(axis=1)
    corners = np.concatenate([np.where(empty, 0, low), np.where(empty, 0, high)], axis=1)
    return corners.astype(np.float32)


def box_areas(boxes: NDArray[Any], fraction: float = AREA_OF_BOX) -> NDArray[np.float32]:
    """Estimate areas (N,), px², from boxes (N, 4): by default 0.53 of the box, as in CrowdPose."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return (fraction * sides[:, 0] * sides[:, 1]).astype(np.float32)


def head_sizes(keypoints: NDArray[Any], skeleton: Skeleton) -> NDArray[np.float32]:
    """Estimate MPII's head sizes, which are 0.6 of the diagonal of the head box, from keypoints.

    In MPII, neck and top of the head are 0.8 of that diagonal apart.

    Args:
        keypoints: (N, K, 3), px and visibility.
        skeleton: with the keypoints ``upper_neck`` and ``head_top``.

    Returns:
        (N,) px; NaN where one of the two is not labeled.
    """
    neck, top = (keypoints[:, skeleton.index(name)] for name in ("upper_neck", "head_top"))
    known = (neck[:, 2] > 0) & (top[:, 2] > 0)
    apart = np.linalg.norm(neck[:, :2] - top[:, :2], axis=1)
    return np.where(known, 0.75 * apart, np.nan).astype(np.float32)


def match_boxes(boxes: ArrayLike, others: ArrayLike, min_iou: float = 0.3) -> IntArray:
    """Match boxes to others, one to one, so that their intersections over unions add up to most.

    Args:
        boxes, others: (N, 4) and (M, 4) left, top, right, bottom, px.
        min_iou: pairs below it are not matched.

    Returns:
        (N,) int64, which of the others; -1 for none.
    """
    # Imported here: torchvision takes as long to start as PyTorch itself.
    from torchvision.ops import box_iou

    one, other = (torch.as_tensor(np.asarray(each, np.float64)) for each in (boxes, others))
    overlap = np.nan_to_num(box_iou(one, other).numpy())  # NaN of two boxes without area
    overlap[overlap < min_iou] = 0
    rows, columns = linear_sum_assignment(-overlap)
    matched = np.full(len(one), -1, np.int64)
    matched[rows] = np.where(overlap[rows, columns] > 0, columns, -1)
    return matched
