"""Association errors: keypoints found in the right place but in another pose than they belong to.

A detected keypoint is compared with annotated ones by one term of OKS (HAE, Eq. 19),
``exp(-d² / (2 s² k²))`` with the scale s of the annotated person and k = 2 sigma, and is near where
this similarity is 0.5 or more, up to a distance of 1.18 s k. Detections are matched to annotated
people one to one, so that the OKS of all pairs add up to the most; a pair must have a keypoint that
is near. Then each detected keypoint is classified by ``PredictionError`` and each annotated one by
``GroundTruthOutcome``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from poselib.metrics.matching import assign_one_to_one, check_people
from poselib.ops.oks import keypoint_similarity
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import BoolArray, Float32Array, FloatArray, IntArray

NEAR, LOOSE = 0.5, 0.1  # similarities


class PredictionError(IntEnum):
    """The class of a detected keypoint; the first that applies, from ``CORRECT`` on.

    ``ABSENT``: not detected. ``CORRECT``: near the keypoint of the matched person.
    ``WRONG_PERSON``: near the keypoint of another annotated person. ``FRAGMENT``: near the keypoint
    of an annotated person, but of a detection that is not matched, as when one person is detected
    in two pieces. ``WRONG_SIDE``: near the matched person's keypoint of the other side, and nearer
    to it than to another person's. ``IMPRECISE``: similar by 0.1 or more to the keypoint of the
    matched person, or of any person if there is no match. ``UNKNOWN``: the matched person's is not
    labeled, or it lies in a region where people are not labeled. ``FALSE_POSITIVE``: anything else.
    """

    ABSENT = 0
    CORRECT = 1
    WRONG_PERSON = 2
    FRAGMENT = 3
    WRONG_SIDE = 4
    IMPRECISE = 5
    UNKNOWN = 6
    FALSE_POSITIVE = 7


class GroundTruthOutcome(IntEnum):
    """The class of an annotated keypoint.

    ``UNLABELED``: it does not count. ``FOUND``: the matched detection has it. ``MISASSIGNED``: it
    was detected, but as part of another detection. ``UNDETECTED``: no detected keypoint is near it
    that is not correct for another person.
    """

    UNLABELED = 0
    FOUND = 1
    MISASSIGNED = 2
    UNDETECTED = 3


@dataclass(frozen=True)
class KeypointErrors:
    """The classes of the keypoints of P detections and N annotated people in one image.

    Attributes:
        partners: (P,) int64, the annotated person that each detection is matched to, or -1.
        kinds: (P, K) int64, of ``PredictionError``.
        owners: (P, K) int64, the annotated person on whose keypoint a correct keypoint, one of a
            wrong person or one of a fragment lies; -1 for the others.
        outcomes: (N, K) int64, of ``GroundTruthOutcome``.
    """

    partners: IntArray
    kinds: IntArray
    owners: IntArray
    outcomes: IntArray


def classify_keypoints(
    poses: Poses, sample: Sample, skeleton: Skeleton, *, min_score: float = 0.0
) -> KeypointErrors:
    """Match the detections of an image to its annotated people and classify every keypoint.

    Args:
        poses: detections, px of the sample's image.
        sample: the annotated people.
        skeleton: gives the constants of OKS, and which keypoints are left and right.
        min_score: keypoints that do not score more count as not detected.

    Raises:
        ValueError: the keypoints are not the skeleton's.
    """
    where = f"image {sample.image_id}"
    check_people(where, poses, sample.keypoints, sample.areas, len(skeleton))
    # One more annotated person without keypoints stands for no partner: row -1.
    truth = np.pad(sample.keypoints.astype(np.float64), ((0, 1), (0, 0), (0, 0)))
    areas = np.pad(sample.areas.astype(np.float64), (0, 1))
    detected = poses.scores > max(min_score, 0.0)
    values = _similarity(poses.keypoints, detected, truth, areas, skeleton)
    oks = values.sum(axis=-1) / np.maximum((truth[..., 2] > 0).sum(axis=-1), 1)
    partners = assign_one_to_one(np.where((values >= NEAR).any(axis=-1), oks, 0.0))
    matched, rows = (partners >= 0)[:, None], np.arange(len(poses))
    # A keypoint near another person's but not its own has the other's as the most similar of all.
    own, best = values[rows, partners], values.max(axis=1)
    sides = truth[:, skeleton.flip_indices]
    side = _similarity(poses.keypoints, detected, sides, areas, skeleton)[rows, partners]
    unlabeled = matched & (truth[partners, :, 2] == 0)
    on_person = best >= np.maximum(NEAR, side)
    rules: dict[PredictionError, BoolArray] = {
        PredictionError.ABSENT: ~detected,
        PredictionError.CORRECT: own >= NEAR,
        PredictionError.WRONG_PERSON: matched & on_person,
        PredictionError.FRAGMENT: on_person,
        PredictionError.WRONG_SIDE: side >= NEAR,
        PredictionError.IMPRECISE: np.where(matched, own, best) >= LOOSE,
        PredictionError.UNKNOWN: unlabeled | _ignored(poses.keypoints, sample.ignore_mask),
    }
    kinds = np.select(
        [*rules.values()], [int(kind) for kind in rules], PredictionError.FALSE_POSITIVE
    ).astype(np.int64)
    owners = np.where(kinds == PredictionError.CORRECT, partners[:, None], -1)
    misplaced = np.isin(kinds, (PredictionError.WRONG_PERSON, PredictionError.FRAGMENT))
    owners = np.where(misplaced, values.argmax(axis=1), owners)
    outcomes = _outcomes(values[:, :-1] >= NEAR, kinds, partners, sample.keypoints[..., 2] > 0)
    return KeypointErrors(partners, kinds, owners, outcomes)


def _similarity(
    points: Float32Array,
    detected: BoolArray,
    truth: FloatArray,
    areas: FloatArray,
    skeleton: Skeleton,
) -> FloatArray:
    """(P, N, K) similarity of detected to annotated keypoints; 0 where one of them is absent."""
    near = keypoint_similarity(points[:, None], truth[..., :2], areas, skeleton.sigmas)
    return np.where(detected[:, None] & (truth[..., 2] > 0), near, 0.0)


def _ignored(points: Float32Array, ignore: BoolArray) -> BoolArray:
    """(P, K) true where a keypoint lies on a pixel whose people are not labeled."""
    inside = ((points >= 0) & (points < ignore.shape[::-1])).all(axis=-1)
    column, row = points[inside].astype(np.int64).T
    ignored = np.zeros(inside.shape, dtype=bool)
    ignored[inside] = ignore[row, column]
    return ignored


def _outcomes(near: BoolArray, kinds: IntArray, partners: IntArray, labeled: BoolArray) -> IntArray:
    """(N, K) classes of annotated keypoints, by which of them are ``near`` (P, N, K) detections."""
    outcomes = np.where(labeled, GroundTruthOutcome.UNDETECTED, GroundTruthOutcome.UNLABELED)
    outcomes = outcomes.astype(np.int64)
    elsewhere = (near & (kinds != PredictionError.CORRECT)[:, None]).any(axis=0)
    outcomes[elsewhere] = GroundTruthOutcome.MISASSIGNED
    people, keypoints = np.nonzero(kinds == PredictionError.CORRECT)
    outcomes[partners[people], keypoints] = GroundTruthOutcome.FOUND
    return outcomes
