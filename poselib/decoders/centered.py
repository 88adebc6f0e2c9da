"""From the poses at the centers of people to the people of each image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poselib.decoders.pose_nms import suppress_poses
from poselib.ops.center_poses import CenterPoses
from poselib.structures import Poses

# What a keypoint's heat counts as at least: one that was regressed is there, however low it is.
LEAST_HEAT = float(np.finfo(np.float32).tiny)


def keep_best(
    people: CenterPoses, scores: Tensor, *, distance: float, share: float, count: int
) -> Tensor:
    """Return which poses to keep: of those that mark the same person the best one.

    Args:
        people: poses of a batch, one image after another.
        scores: (n,), how good each is.
        distance, share, count: see ``decoders.pose_nms.suppress_poses``.

    Returns:
        (m,) int64 numbers of poses, on their device, one image after another.
    """
    columns = (people.images[:, None].float(), scores[:, None])
    table = torch.cat([*columns, people.points.flatten(1)], dim=1).cpu().numpy()
    poses = table[:, 2:].reshape(people.points.shape)
    begins = np.flatnonzero(np.diff(table[:, 0], prepend=-1))
    chosen = [np.zeros(0, dtype=np.int64)]
    for rows in np.split(np.arange(len(table)), begins)[1:]:
        best = suppress_poses(poses[rows], table[rows, 1], distance, share, count)
        chosen.append(rows[best])
    return torch.from_numpy(np.concatenate(chosen)).to(scores.device)


def to_poses(people: CenterPoses, scores: Tensor, person_scores: Tensor, count: int) -> list[Poses]:
    """Bring finished poses to the CPU, all at once.

    Args:
        people: in px of the network input.
        scores: (n, K) of the keypoints; what is not above 0 becomes ``LEAST_HEAT``.
        person_scores: (n,).
        count: images of the batch.

    Returns:
        One ``Poses`` an image.
    """
    kinds = scores.shape[1]
    images, heights = people.images[:, None].float(), scores.clamp(min=LEAST_HEAT)
    columns = (people.points.flatten(1), heights, person_scores[:, None], images)
    table: NDArray[np.float32] = torch.cat(columns, dim=1).cpu().numpy()
    xy, heats, totals, owners = np.split(table, [2 * kinds, 3 * kinds, 3 * kinds + 1], axis=1)
    return [
        Poses(xy[rows].reshape(-1, kinds, 2), heats[rows], totals[rows, 0])
        for rows in (owners[:, 0] == image for image in range(count))
    ]
