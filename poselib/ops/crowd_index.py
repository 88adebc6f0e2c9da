"""The crowd index of CrowdPose: how much people stand in each other's boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from poselib.typing import BoolArray, FloatArray, IntArray

_AT_ONCE = 2_000_000  # comparisons of a keypoint with a box; more would take memory, not time


def crowd_index(keypoints: ArrayLike, boxes: ArrayLike) -> float:
    """Compute the crowd index of one image (CrowdPose, Sec. 3.1).

    The mean over people of

        number of other people's labeled keypoints in the person's box / own labeled keypoints

    Args:
        keypoints: (N, K, 3), px and visibility; visibility 0 does not count.
        boxes: (N, 4) left, top, right, bottom, px.

    Returns:
        0 for an image with at most one person, and at most about N - 1.

    Raises:
        ValueError: a shape does not fit.

    Example:
        >>> apart = crowd_index([[[1, 1, 2]], [[9, 9, 2]]], [[0, 0, 4, 4], [6, 6, 12, 12]])
        >>> together = crowd_index([[[1, 1, 2]], [[2, 2, 2]]], [[0, 0, 4, 4], [0, 0, 4, 4]])
        >>> apart, together
        (0.0, 1.0)
    """
    people = np.asarray(keypoints, dtype=np.float64)
    if people.ndim != 3 or people.shape[-1] != 3:
        raise ValueError(f"keypoints must be (N, K, 3), got {people.shape}")
    box = np.asarray(boxes, dtype=np.float64)
    if box.shape != (len(people), 4):
        raise ValueError(f"boxes must be ({len(people)}, 4), got {box.shape}")
    if len(people) == 0:
        return 0.0
    return float(crowd_indices(people[None, ..., :2], people[None, ..., 2] > 0, box[None])[0])


def crowd_indices(xy: FloatArray, labeled: BoolArray, boxes: FloatArray) -> FloatArray:
    """Return the crowd indices (L,) of L images with N people each; see ``crowd_index``.

    Args:
        xy: (L, N, K, 2) px.
        labeled: (L, N, K).
        boxes: (L, N, 4) left, top, right, bottom, px.
    """
    low, high = boxes[:, :, None, None, :2], boxes[:, :, None, None, 2:]
    others = xy[:, None]
    inside = ((others >= low) & (others <= high)).all(-1) & labeled[:, None]
    count = inside.sum(-1)
    foreign = count.sum(-1) - np.einsum("lii->li", count)
    own = labeled.sum(-1)
    present = own > 0
    ratio = np.where(present, foreign / np.maximum(own, 1), 0.0)
    mean: FloatArray = ratio.sum(-1) / np.maximum(present.sum(-1), 1)
    return mean


def crowd_indices_of_images(
    keypoints: FloatArray, boxes: FloatArray, images: IntArray, count: int
) -> FloatArray:
    """Return the crowd indices of images with different numbers of people; see ``crowd_index``.

    Args:
        keypoints: (N, K, 3) px and visibility.
        boxes: (N, 4) left, top, right, bottom, px.
        images: (N,) the position of each person's image, in ascending order.
        count: M images.

    Returns:
        (M,); 0 for an image with at most one person.
    """
    result = np.zeros(count)
    people = np.bincount(images, minlength=count)
    first = np.cumsum(people) - people
    for number in np.unique(people[people > 1]).tolist():
        some = np.flatnonzero(people == number)
        each = max(1, _AT_ONCE // (number**2 * keypoints.shape[1]))
        for part in np.split(some, range(each, len(some), each)):
            rows = first[part, None] + np.arange(number)
            points = keypoints[rows]
            result[part] = crowd_indices(points[..., :2], points[..., 2] > 0, boxes[rows])
    return result
