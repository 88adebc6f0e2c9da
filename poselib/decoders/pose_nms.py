"""Pose non-maximum suppression by the distances of keypoints (DEKR, Sec. 3.3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from poselib.ops.center_poses import CenterPoses
from poselib.ops.oks import object_keypoint_similarity
from poselib.structures import Poses
from poselib.typing import BoolArray, Float32Array, IntArray

# Score of regressed keypoints whose heatmap value is 0 or less: regression always places them, and
# a score of 0 means a missing keypoint.
MIN_SCORE = float(np.finfo(np.float32).tiny)


def duplicate_poses(poses: Float32Array, distance: float, fraction: float) -> BoolArray:
    """Return which pairs of poses are duplicates of each other.

    Two poses are, if more than ``fraction`` of their corresponding keypoints are nearer than
    ``distance`` times the size of the first: the diagonal of the bounding box of its keypoints.

    Args:
        poses: (N, K, 2), finite, px.
        distance: in sizes of a pose.
        fraction: of the K keypoints, at least 0 and below 1.

    Returns:
        (N, N) bool, a row for the first pose of each pair; a pose is a duplicate of itself.
    """
    x, y = poses[..., 0], poses[..., 1]
    # Keypoints too far apart for float32 are infinitely far.
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(np.square(np.ptp(x, axis=1)) + np.square(np.ptp(y, axis=1)))
        distances = np.sqrt(np.square(x[:, None] - x) + np.square(y[:, None] - y))
        # No distance is below a size of 0, but keypoints at one point coincide nevertheless.
        near = (distances < np.float32(distance) * size[:, None, None]) | (distances == 0)
    duplicates: BoolArray = np.count_nonzero(near, axis=2) > fraction * poses.shape[1]
    return duplicates


def suppress_poses(
    poses: Float32Array,
    scores: Float32Array,
    distance: float = 0.05,
    fraction: float = 0.5,
    max_people: int = 30,
) -> IntArray:
    """Select the best pose of each set of duplicates in one image.

    As in DEKR's code, poses are visited in the given order. Each one that is left represents its
    duplicates: the best of them (the first of equals) is kept and all are suppressed. If that best
    one had been suppressed before, as a duplicate of another pose, none is kept for the set.

    Args:
        poses: (N, K, 2), finite, px.
        scores: (N,), higher is better: the mean heatmap score of the keypoints.
        distance: see ``duplicate_poses``; DEKR's code has 0.05 for one scale.
        fraction: see ``duplicate_poses``; more than half are more than 8 of COCO's 17 keypoints
            and more than 7 of CrowdPose's 14, as published.
        max_people: maximum number of poses to keep; the best remain.

    Returns:
        (n,) int64 indices in the order of selection or, if there were more than ``max_people``, by
        descending score.

    Example:
        >>> pose = np.array([[0, 0], [30, 40]], np.float32)
        >>> poses, scores = np.stack([pose, pose + 1, pose + 90]), np.array([0.5, 0.8, 0.6])
        >>> suppress_poses(poses, scores).tolist()
        [1, 2]
    """
    duplicates = duplicate_poses(poses, distance, fraction)
    suppressed = np.zeros(len(poses), dtype=np.bool_)
    kept: list[int] = []
    for pose, of_pose in enumerate(duplicates):
        if suppressed[pose]:
            continue
        group = np.flatnonzero(of_pose)
        best = int(group[scores[group].argmax()])
        if not suppressed[best]:
            kept.append(best)
            suppressed |= of_pose
    selected = np.array(kept, dtype=np.int64)
    if len(selected) > max_people:
        selected = selected[np.argsort(-scores[selected], kind="stable")[:max_people]]
    return selected


def suppress_by_oks(poses: Poses, areas: ArrayLike, sigmas: ArrayLike, most: float) -> IntArray:
    """Select poses of one image, best first, that are not too similar to a better one.

    Args:
        poses: N of them.
        areas: (N,) px², of the people.
        sigmas: (K,) OKS constants.
        most: OKS, with the area of the better pose, above which the other one is suppressed.

    Returns:
        (n,) int64 indices in descending order of the person scores.
    """
    order = np.argsort(-poses.person_scores, kind="stable")
    ranked, sizes = poses[order], np.asarray(areas, np.float64)[order]
    present = ranked.found[..., None].astype(np.float64)
    points = np.concatenate([ranked.keypoints, present], axis=2)
    similar = object_keypoint_similarity(ranked.keypoints, points, sizes, sigmas) > most
    kept = np.ones(len(order), bool)
    for best in range(len(order)):
        if kept[best]:
            kept[best + 1 :] &= ~similar[best, best + 1 :]
    return order[kept]


def batched_pose_nms(
    people: CenterPoses,
    scores: Tensor,
    *,
    distance: float,
    fraction: float,
    max_people: int,
    above: float | None = None,
) -> Tensor:
    """Apply ``suppress_poses`` to each image of a batch.

    Args:
        people: n poses of a batch, one image after another.
        scores: (n,), higher is better.
        distance, fraction, max_people: see ``suppress_poses``.
        above: poses whose score is not above it are dropped first; None for all.

    Returns:
        (m,) int64 indices of the poses to keep, on the device of ``scores``, image by image.
    """
    columns = (people.images[:, None].float(), scores[:, None])
    table = torch.cat([*columns, people.points.flatten(1)], dim=1).cpu().numpy()
    poses = table[:, 2:].reshape(people.points.shape)
    scored = np.arange(len(table)) if above is None else np.flatnonzero(table[:, 1] > above)
    begins = np.flatnonzero(np.diff(table[scored, 0], prepend=-1))
    selected = [np.zeros(0, dtype=np.int64)]
    for rows in np.split(scored, begins)[1:]:
        kept = suppress_poses(poses[rows], table[rows, 1], distance, fraction, max_people)
        selected.append(rows[kept])
    return torch.from_numpy(np.concatenate(selected)).to(scores.device)


def to_poses(
    people: CenterPoses, scores: Tensor, person_scores: Tensor, images: int
) -> list[Poses]:
    """Split finished detections by image, in one transfer to the CPU.

    Args:
        people: n poses, px of the network input.
        scores: (n, K) of the keypoints; values not above 0 become ``MIN_SCORE``.
        person_scores: (n,). Scores too large for float32 become its largest number; NaN counts
            as 0.
        images: number of images of the batch.

    Returns:
        One ``Poses`` per image.
    """
    kinds = scores.shape[1]
    image, positive = people.images[:, None].float(), scores.nan_to_num().clamp(min=MIN_SCORE)
    columns = (people.points.flatten(1), positive, person_scores[:, None].nan_to_num(), image)
    table: NDArray[np.float32] = torch.cat(columns, dim=1).cpu().numpy()
    xy, values, totals, owners = np.split(table, [2 * kinds, 3 * kinds, 3 * kinds + 1], axis=1)
    return [
        Poses(xy[rows].reshape(-1, kinds, 2), values[rows], totals[rows, 0])
        for rows in (owners[:, 0] == index for index in range(images))
    ]
