"""Find and show the largest localization errors of any COCO results.

``poselib.metrics.localization_errors`` defines the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poselib.analysis.association_errors import FailureCase, errors_by_person, sort_by_size
from poselib.analysis.error_panels import titled_pair
from poselib.annotations import PIXEL_CENTER
from poselib.data.loaders import SampleSource
from poselib.metrics.localization_errors import ERRORS, LocalizationErrors
from poselib.ops.oks import MIN_AREA
from poselib.plots.panels import Panel
from poselib.structures import Poses, Sample
from poselib.typing import BoolArray, FloatArray


def error_cases(judged: LocalizationErrors) -> list[FailureCase]:
    """Return the errors of each detection, the largest first, see ``sort_by_size``.

    One case holds all keypoints of a detection with one kind of error; swaps with different people
    are different cases. ``index`` is that of the image in the ground truth; ``person`` and
    ``other`` are positions in ``judged.comparison``.
    """
    images = judged.comparison.positions.tolist()
    apart = _distances(judged)
    cases = []
    for error in ERRORS:
        for row, other, types in errors_by_person(judged.kinds == error, judged.other_person):
            index = images[judged.comparison.truth.images[judged.truth[row]]]
            person, distance = int(judged.found[row]), float(apart[row, list(types)].sum())
            cases.append(FailureCase(error.name.lower(), index, person, other, types, distance))
    return sort_by_size(cases)


def error_panels(
    cases: Sequence[FailureCase], judged: LocalizationErrors, dataset: SampleSource
) -> list[Panel]:
    """Return two panels per case, the annotated people of the image and the one detection.

    Both show the part of the image with the people concerned. Wrong keypoints are marked where they
    were predicted, with a line to the annotated keypoint; missing ones where they are annotated.

    Args:
        dataset: the images, in the order of the ground truth.
    """
    return [panel for case in cases for panel in _panels(case, judged, dataset[case.index])]


def _distances(judged: LocalizationErrors) -> FloatArray:
    """Return (R, K) distances to the annotated keypoints, in √area; 0 where not predicted."""
    truth, found = judged.comparison.truth, judged.comparison.found
    here = found.keypoints[judged.found, :, :2]
    far = np.linalg.norm(here - truth.keypoints[judged.truth, :, :2], axis=-1)
    size = np.sqrt(np.maximum(truth.areas[judged.truth], MIN_AREA))
    return np.where(found.present[judged.found], far / size[:, None], 0.0)


def _panels(case: FailureCase, judged: LocalizationErrors, sample: Sample) -> list[Panel]:
    truth, found, types = judged.comparison.truth, judged.comparison.found, list(case.keypoints)
    own = int(judged.truth[judged.found == case.person][0])
    people = np.flatnonzero(truth.images == truth.images[own])
    annotated = _in_image(truth.keypoints[people], truth.labeled[people], sample)
    there = found.present[case.person]
    points = _in_image(found.keypoints[case.person], there, sample)[:, :2]
    right = annotated[people == own][0, types, :2]
    concerned = annotated[np.isin(people, (own, case.other))]
    shown = np.concatenate([concerned[concerned[..., 2] > 0][:, :2], points[there]])
    known = there[types, None]
    scores = there[None].astype(np.float32)
    poses = Poses(points[None].astype(np.float32), scores, np.ones(1, np.float32))
    panel = Panel(sample.image, annotated.astype(np.float32), rings=right)
    detected = replace(
        panel,
        poses=poses,
        partners=np.flatnonzero(people == own),
        rings=np.where(known, points[types], right),
        targets=np.where(known, right, np.nan),
    )
    return titled_pair(case, panel, detected, shown)


def _in_image(keypoints: FloatArray, there: BoolArray, sample: Sample) -> FloatArray:
    """Return keypoints (..., K, 3) of the file in px of the sample's image; 0 where absent."""
    xy = sample.to_original.inverse()(keypoints[..., :2] + PIXEL_CENTER)
    return np.where(there[..., None], np.concatenate([xy, keypoints[..., 2:]], axis=-1), 0.0)
