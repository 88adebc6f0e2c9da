"""Panels of association errors: annotated people beside detections, with errors marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poselib.analysis.association_errors import FailureCase
from poselib.data.loaders import SampleSource
from poselib.metrics.association_errors import PredictionError, classify_keypoints
from poselib.metrics.matching import matched_people
from poselib.plots.panels import Panel, window_around
from poselib.plots.poses import MIN_SCORE, labeled_people
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import FloatArray
from poselib.wording import people_label

_WORDS = {
    "wrong_person": "on another person's",
    "fragment": "apart from the rest of the person",
    "false_positive": "where there is none",
    "wrong_side": "on the other side",
    "misassigned": "found, but in another person",
    "undetected": "not found",
    "jitter": "a little off",
    "miss": "far off or not found",
    "inversion": "on the other side",
    "swap": "on another person's",
}
_SAME_PERSON = 0.1  # OKS
_OF_ANNOTATED = ("misassigned", "undetected")


def pair_panels(
    samples: Sequence[Sample],
    poses: Sequence[Poses],
    skeleton: Skeleton,
    titles: Sequence[str] | None = None,
    *,
    min_person_score: float = 0.0,
) -> list[Panel]:
    """Return two panels an image, the ground truth and the detections.

    Detections have the color of the annotated person they are matched to by OKS, if that is not
    nearly 0.

    Args:
        poses: detections of each image, in its px.
    """
    panels = []
    detections = [each.above(min_person_score) for each in poses]
    for sample, found, name in zip(samples, detections, titles or [""] * len(samples), strict=True):
        indices, oks = matched_people(found, sample, skeleton)
        matched = np.flatnonzero((indices >= 0) & (oks >= _SAME_PERSON))
        partners = np.full(len(found), -1)
        partners[indices[matched]] = matched
        name = f"{name}\n" if name else ""
        title = f"{name}ground truth, {people_label(labeled_people(sample.keypoints))}"
        panels.append(Panel(sample.image, sample.keypoints, title=title))
        title = f"{name}prediction, {people_label(len(found))}"
        panels.append(Panel(sample.image, sample.keypoints, found, partners, title))
    return panels


def case_panels(
    cases: Sequence[FailureCase],
    dataset: SampleSource,
    poses: Sequence[Poses],
    skeleton: Skeleton,
) -> list[Panel]:
    """Return two panels per failure, the annotated people and the detections.

    Both show the part of the image with the people concerned. Wrong keypoints are marked where they
    were predicted, with a line to the annotated keypoint if it is labeled; missed keypoints are
    marked where they are annotated.
    """
    return [
        panel
        for case in cases
        for panel in _panels(case, dataset[case.index], poses[case.index], skeleton)
    ]


def isolated_panels(
    sample: Sample, poses: Sequence[Poses], skeleton: Skeleton, titles: Sequence[str]
) -> list[Panel]:
    """Return a panel of the annotated people and one for each set of detections.

    Isolated keypoints are marked: they lie on an annotated person, but their own detection is
    unmatched, since another one has the rest of the person (HAE, Fig. 8).

    Args:
        titles: of all panels, that of the annotated people first.
    """
    panels = [Panel(sample.image, sample.keypoints, title=titles[0])]
    for found, title in zip(poses, titles[1:], strict=True):
        errors = classify_keypoints(found, sample, skeleton, min_score=MIN_SCORE)
        rings = found.keypoints[errors.kinds == PredictionError.FRAGMENT].astype(np.float64)
        panels.append(Panel(sample.image, sample.keypoints, found, errors.partners, title, rings))
    return panels


def _panels(case: FailureCase, sample: Sample, poses: Poses, skeleton: Skeleton) -> list[Panel]:
    types = list(case.keypoints)
    errors = classify_keypoints(poses, sample, skeleton, min_score=MIN_SCORE)
    if case.kind in _OF_ANNOTATED:
        found, own = np.flatnonzero(errors.partners == case.person), case.person
        wrong = right = sample.keypoints[own, types, :2].astype(np.float64)
        lines = np.zeros((0, 2))
    else:
        found, own = np.array([case.person]), int(errors.partners[case.person])
        wrong = poses.keypoints[case.person, types].astype(np.float64)
        lines = _labeled(sample, own)[types]
        right = lines[np.isfinite(lines).all(axis=-1)]
    concerned = [_labeled(sample, person) for person in (own, case.other)]
    concerned += [poses.keypoints[n][poses.scores[n] > MIN_SCORE] for n in found]
    truth = Panel(sample.image, sample.keypoints, rings=right)
    there = Panel(sample.image, sample.keypoints, poses, errors.partners, "", wrong, lines)
    return titled_pair(case, truth, there, np.concatenate(concerned))


def titled_pair(
    case: FailureCase, truth: Panel, found: Panel, concerned: FloatArray
) -> list[Panel]:
    """Return the panels of a failure with titles, cut to the points (M, 2) concerned, px."""
    points = concerned[np.isfinite(concerned).all(axis=-1)]
    window = window_around(points, truth.image.shape[1:])
    count = f"{len(case.keypoints)} keypoint{'s' if len(case.keypoints) > 1 else ''}"
    return [
        replace(truth, window=window, title=f"image {case.index}: annotated"),
        replace(found, window=window, title=f"image {case.index}: {count} {_WORDS[case.kind]}"),
    ]


def _labeled(sample: Sample, person: int) -> FloatArray:
    """Return (K, 2) keypoints of an annotated person, -1 for none; NaN where not labeled."""
    if person < 0:
        return np.full((sample.keypoints.shape[1], 2), np.nan)
    keypoints = sample.keypoints[person].astype(np.float64)
    return np.where(keypoints[:, 2:] > 0, keypoints[:, :2], np.nan)
