"""Which person found is which annotated one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.ops.oks import object_keypoint_similarity
from poselib.skeleton import Skeleton
from poselib.structures import Poses, Sample


def matched_similarity(poses: Poses, sample: Sample, skeleton: Skeleton) -> NDArray[np.float64]:
    """Return how well each annotated person was found: its OKS with a person of its own.

    People are matched one to one so that the similarities add up to the most.

    Args:
        poses: people found, px of the sample's image.
        sample: the image's annotated people.
        skeleton: gives the OKS constants.

    Returns:
        (N,) from 0 to 1; 0 for who was matched to nobody, NaN for who has no labelled keypoint.
    """
    values = object_keypoint_similarity(
        poses.keypoints, sample.keypoints, sample.areas, skeleton.sigmas
    )
    rows, columns = linear_sum_assignment(-values)
    matched = np.zeros(len(sample.keypoints))
    matched[rows] = values[rows, columns]
    matched[~(sample.keypoints[..., 2] > 0).any(axis=1)] = np.nan
    return matched
