"""Where keypoints went wrong: to another person, to the other side, or to where nobody is.

A predicted keypoint is compared with annotated ones by one term of OKS (HAE, Eq. 19),
``exp(-d² / (2 s² k²))`` with the scale s of the annotated person and k = 2 sigma, and is near where
this similarity is 0.5 or more, up to a distance of 1.18 s k. A person found is matched to at most
one annotated person, so that the OKS of all pairs add up to the most; a pair must share a
keypoint, near enough. Then each predicted keypoint is judged by ``PredictionError`` and each
annotated one by ``GroundTruthOutcome``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from poselib.ops.oks import keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import BoolArray, FloatArray, IntArray

NEAR, LOOSE = 0.5, 0.1  # similarities


class PredictionError(IntEnum):
    """What a predicted keypoint is; of several, the first from ``GOOD`` on.

    ``ABSENT``: nothing was predicted. ``GOOD``: near the keypoint of its own person. ``SWAP``: near
    another annotated person's. ``FRAGMENT``: near an annotated person's, while its own person was
    matched to nobody, as when somebody falls apart into two people. ``INVERSION``: near its own
    person's keypoint of the other side, and nearer to that than to another person's.
    ``IMPRECISE``: not near, but similar to the keypoint of its own person, or of anybody if it has
    no match, by 0.1 or more. ``UNKNOWN``: its own person's is not labeled, or it lies where people
    are not labeled. ``FALSE``: near nothing.
    """

    ABSENT = 0
    GOOD = 1
    SWAP = 2
    FRAGMENT = 3
    INVERSION = 4
    IMPRECISE = 5
    UNKNOWN = 6
    FALSE = 7


class GroundTruthOutcome(IntEnum):
    """What became of an annotated keypoint.

    ``UNLABELED``: it does not count. ``FOUND``: the person found that was matched has it.
    ``ASTRAY``: it was detected, but is part of somebody else. ``UNDETECTED``: no prediction is near
    it, save those that are right where they are in somebody else.
    """

    UNLABELED = 0
    FOUND = 1
    ASTRAY = 2
    UNDETECTED = 3


@dataclass(frozen=True)
class KeypointErrors:
    """What became of the keypoints of the P people found and the N annotated in one image.

    Attributes:
        partners: (P,) int64, the annotated person that each was matched to, or -1.
        kinds: (P, K) int64, of ``PredictionError``.
        onto: (P, K) int64, the annotated person on whose keypoint a good, swapped or fragment's
            keypoint lies; -1 for the others.
        fates: (N, K) int64, of ``GroundTruthOutcome``.
    """

    partners: IntArray
    kinds: IntArray
    onto: IntArray
    fates: IntArray


def classify_keypoints(
    poses: Poses, sample: Sample, skeleton: Skeleton, *, min_score: float = 0.0
) -> KeypointErrors:
    """Match the people found in an image to the annotated ones and judge every keypoint.

    Args:
        poses: people found, px of the sample's image.
        sample: the image's annotated people.
        skeleton: gives the OKS constants, and which keypoints are left and right.
        min_score: keypoints at or below it are no predictions.

    Raises:
        ValueError: the keypoints are not the skeleton's.
    """
    _check(poses, sample, skeleton)
    # The last of the annotated people is nobody, without keypoints: partner -1.
    truth = np.pad(sample.keypoints.astype(np.float64), ((0, 1), (0, 0), (0, 0)))
    areas = np.pad(sample.areas.astype(np.float64), (0, 1))
    predicted = poses.scores > max(min_score, 0.0)
    values = _similarity(poses.keypoints, predicted, truth, areas, skeleton)
    partners = _partners(values, truth[..., 2] > 0)
    matched, rows = (partners >= 0)[:, None], np.arange(len(poses))
    # Who is near another's keypoint but not its own has the other's as the most similar of all.
    own, best = values[rows, partners], values.max(axis=1)
    sides = truth[:, skeleton.flip_indices]
    side = _similarity(poses.keypoints, predicted, sides, areas, skeleton)[rows, partners]
    unlabeled = matched & (truth[partners, :, 2] == 0)
    rules: list[tuple[BoolArray, PredictionError]] = [
        (~predicted, PredictionError.ABSENT),
        (own >= NEAR, PredictionError.GOOD),
        (matched & (best >= np.maximum(NEAR, side)), PredictionError.SWAP),
        (best >= np.maximum(NEAR, side), PredictionError.FRAGMENT),
        (side >= NEAR, PredictionError.INVERSION),
        (np.where(matched, own, best) >= LOOSE, PredictionError.IMPRECISE),
        (unlabeled | _ignored(poses.keypoints, sample.ignore_mask), PredictionError.UNKNOWN),
    ]
    kinds = np.select(
        [rule for rule, _ in rules], [int(kind) for _, kind in rules], PredictionError.FALSE
    )
    elsewhere = (kinds == PredictionError.SWAP) | (kinds == PredictionError.FRAGMENT)
    onto = np.where(kinds == PredictionError.GOOD, partners[:, None], -1)
    onto = np.where(elsewhere, values.argmax(axis=1), onto)
    fates = _fates(values[:, :-1] >= NEAR, kinds, partners, sample.keypoints[..., 2] > 0)
    return KeypointErrors(partners, kinds.astype(np.int64), onto, fates)


def _check(poses: Poses, sample: Sample, skeleton: Skeleton) -> None:
    keypoints = len(skeleton)
    if poses.keypoints.shape[1:] != (keypoints, 2) or sample.keypoints.shape[1:] != (keypoints, 3):
        raise ValueError(
            f"image {sample.image_id}: people found and annotated must be (P, K, 2) and (N, K, 3) "
            f"with the {keypoints} keypoints of skeleton {skeleton.name!r}, not "
            f"{poses.keypoints.shape} and {sample.keypoints.shape}"
        )


def _similarity(
    points: NDArray[np.float32],
    predicted: BoolArray,
    truth: FloatArray,
    areas: FloatArray,
    skeleton: Skeleton,
) -> FloatArray:
    """(P, N, K) similarity of predicted to annotated keypoints; 0 where one of them is absent."""
    near = keypoint_similarity(points[:, None], truth[..., :2], areas, skeleton.sigmas)
    return np.where(predicted[:, None] & (truth[..., 2] > 0), near, 0.0)


def _partners(values: FloatArray, labeled: BoolArray) -> IntArray:
    """(P,) the annotated person that each person found is matched to, or -1."""
    similarity = values.sum(axis=-1) / np.maximum(labeled.sum(axis=-1), 1)
    similarity = np.where((values >= NEAR).any(axis=-1), similarity, 0.0)
    rows, columns = linear_sum_assignment(-similarity)
    partners = np.full(len(values), -1, dtype=np.int64)
    partners[rows] = np.where(similarity[rows, columns] > 0, columns, -1)
    return partners


def _ignored(points: NDArray[np.float32], ignore: BoolArray) -> BoolArray:
    """(P, K) true where a keypoint lies on a pixel whose people are not labeled."""
    height, width = ignore.shape
    column, row = np.floor(points).astype(np.int64).transpose(2, 0, 1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    where = np.zeros(inside.shape, dtype=bool)
    where[inside] = ignore[row[inside], column[inside]]
    return where


def _fates(near: BoolArray, kinds: IntArray, partners: IntArray, labeled: BoolArray) -> IntArray:
    fates = np.where(labeled, GroundTruthOutcome.UNDETECTED, GroundTruthOutcome.UNLABELED).astype(
        np.int64
    )
    fates[(near & (kinds != PredictionError.GOOD)[:, None]).any(axis=0)] = GroundTruthOutcome.ASTRAY
    people, keypoints = np.nonzero(kinds == PredictionError.GOOD)
    fates[partners[people], keypoints] = GroundTruthOutcome.FOUND
    return fates
