"""Count association errors over a dataset, and find the largest failures.

``poselib.metrics.association_errors`` defines the errors. Refinement adds the keypoints that a
detection lacks, often as copies of another person's. Poses decoded without it therefore show the
result of the grouping, and poses decoded with it what a user gets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from poselib.data.loaders import SampleSource
from poselib.metrics.association_errors import (
    GroundTruthOutcome,
    KeypointErrors,
    PredictionError,
    classify_keypoints,
)
from poselib.ops.oks import MIN_AREA
from poselib.plots.poses import MIN_SCORE
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import BoolArray, FloatArray, IntArray


def association_errors(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> pd.DataFrame:
    """Count the errors of predicted and annotated keypoints over a dataset, by keypoint type.

    Keypoints with a score up to ``plots.poses.MIN_SCORE``, which no figure draws, do not count.

    Args:
        poses: detections in each, px of the image, with or without refinement; see above.

    Returns:
        One row per keypoint type, by name, and a last one ``"all"``, with

        - counts of predicted keypoints: ``correct``, ``wrong_person``, ``fragment``,
          ``wrong_side``, ``imprecise``, ``unknown`` and ``false_positive``;
        - counts of visible annotated keypoints: ``visible``, ``found``, ``misassigned`` and
          ``undetected``;
        - rates, NaN where nothing counts: ``wrong_person_rate``, wrong person / (correct + wrong
          person); ``association_error``, the fraction of detected keypoints assigned to a wrong
          person, (wrong person + fragment) / (correct + wrong person + fragment);
          ``false_positive_rate``, false positives / all but unknown; ``not_found_rate``,
          (misassigned + undetected) / visible.

    Raises:
        ValueError: as ``classify_keypoints``, or the number of poses is not that of the images.
    """
    kinds = np.zeros((len(skeleton), len(PredictionError)), dtype=np.int64)
    outcomes = np.zeros((len(skeleton), len(GroundTruthOutcome)), dtype=np.int64)
    for _, _, sample, errors in _classified(dataset, poses, skeleton):
        kinds += (errors.kinds[..., None] == np.arange(len(PredictionError))).sum(axis=0)
        visible = np.where(
            sample.keypoints[..., 2] == 2, errors.outcomes, GroundTruthOutcome.UNLABELED
        )
        outcomes += (visible[..., None] == np.arange(len(GroundTruthOutcome))).sum(axis=0)
    kinds, outcomes = (np.vstack([counts, counts.sum(axis=0)]) for counts in (kinds, outcomes))
    # The first of each is of keypoints that do not count.
    columns = {kind.name.lower(): kinds[:, kind] for kind in [*PredictionError][1:]}
    columns["visible"] = outcomes[:, 1:].sum(axis=1)
    columns |= {each.name.lower(): outcomes[:, each] for each in [*GroundTruthOutcome][1:]}
    table = pd.DataFrame(columns, index=pd.Index([*skeleton.keypoints, "all"], name="keypoint"))
    return table.assign(**_rates(table))


def people_counts(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> dict[str, int]:
    """Count the detections of a dataset that are whole, mixed or fragments of a person.

    The counts are, by name:

    - ``annotated``: annotated people with a labeled keypoint;
    - ``found``: detections with a keypoint;
    - ``matched``: detections matched to an annotated person;
    - ``mixed``: matched detections with a keypoint of another person;
    - ``fragments``: unmatched detections with a keypoint of an annotated person;
    - ``isolated``: the keypoints of fragments that lie on an annotated person, HAE's isolated
      keypoints (Fig. 8);
    - ``ghosts``: detections of false positives alone.

    Arguments and errors are those of ``association_errors``.
    """
    names = ("annotated", "found", "matched", "mixed", "fragments", "isolated", "ghosts")
    total = dict.fromkeys(names, 0)
    for _, _, _, errors in _classified(dataset, poses, skeleton):
        kinds, matched = errors.kinds, errors.partners >= 0
        isolated, present = kinds == PredictionError.FRAGMENT, kinds != PredictionError.ABSENT
        false = ~present | (kinds == PredictionError.FALSE_POSITIVE)
        counted = {
            "annotated": (errors.outcomes != GroundTruthOutcome.UNLABELED).any(axis=1),
            "found": present.any(axis=1),
            "matched": matched,
            "mixed": (kinds == PredictionError.WRONG_PERSON).any(axis=1),
            "fragments": isolated.any(axis=1),
            "isolated": isolated,
            "ghosts": present.any(axis=1) & false.all(axis=1),
        }
        for name, which in counted.items():
            total[name] += int(which.sum())
    return total


@dataclass(frozen=True)
class FailureCase:
    """Keypoints of one person with the same kind of error.

    Attributes:
        kind: association errors are ``"wrong_person"``, ``"fragment"``, ``"wrong_side"`` and
            ``"false_positive"``, of a detection, and ``"misassigned"`` and ``"undetected"``, of an
            annotated person; localization
            errors are ``"jitter"``, ``"miss"``, ``"inversion"`` and ``"swap"``, of a detection.
        index: of the image in the dataset.
        person: index of the detection, or of the annotated person.
        other: the annotated person on whose keypoints a detection lies by mistake, or -1.
        keypoints: the types with the error, in their order.
        distance: from the annotated keypoints, in √area of the annotated person, summed over those
            for which it is known; 0 for annotated people.
    """

    kind: str
    index: int
    person: int
    other: int
    keypoints: tuple[int, ...]
    distance: float


def find_failures(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> list[FailureCase]:
    """Find the association errors of a dataset, the largest first, see ``sort_by_size``.

    Missed keypoints are visible ones. Arguments and errors are those of ``association_errors``.
    """
    cases: list[FailureCase] = []
    for index, found, sample, errors in _classified(dataset, poses, skeleton):
        cases += _wrong_predictions(index, found, sample, errors)
        cases += _not_found(index, sample, errors)
    return sort_by_size(cases)


def sort_by_size(cases: Sequence[FailureCase]) -> list[FailureCase]:
    """Sort failures by their number of keypoints and then by their distance, largest first.

    Equal ones keep the order of the dataset.
    """
    # Rounded, so that cases that differ by rounding errors keep the order of the dataset.
    return sorted(
        cases, key=lambda c: (-len(c.keypoints), -round(c.distance, 4), c.index, c.person)
    )


def largest_failures(
    cases: Sequence[FailureCase], kind: str, count: int, leave_out: Collection[int] = ()
) -> list[FailureCase]:
    """Return the largest failures of a kind, each from a different image.

    Args:
        cases: the largest first.
        leave_out: indices of images to skip.
    """
    chosen: dict[int, FailureCase] = {}
    for case in cases:
        if case.kind == kind and case.index not in leave_out and len(chosen) < count:
            chosen.setdefault(case.index, case)
    return list(chosen.values())


def _classified(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> Iterator[tuple[int, Poses, Sample, KeypointErrors]]:
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    for index, found in enumerate(poses):
        sample = dataset[index]
        errors = classify_keypoints(found, sample, skeleton, min_score=MIN_SCORE)
        yield index, found, sample, errors


def _rates(table: pd.DataFrame) -> dict[str, pd.Series]:
    correct, wrong, fragment = table["correct"], table["wrong_person"], table["fragment"]
    counted = correct + wrong + fragment
    classified = table.loc[:, "correct":"false_positive"].drop(columns="unknown").sum(axis=1)
    fractions = {
        "wrong_person_rate": (wrong, correct + wrong),
        "association_error": (wrong + fragment, counted),
        "false_positive_rate": (table["false_positive"], classified),
        "not_found_rate": (table["misassigned"] + table["undetected"], table["visible"]),
    }
    return {name: part / whole.where(whole > 0) for name, (part, whole) in fractions.items()}


def _wrong_predictions(
    index: int, found: Poses, sample: Sample, errors: KeypointErrors
) -> Iterator[FailureCase]:
    """Yield one case per detection and kind, and with a wrong person one per annotated person."""
    for kind in (
        PredictionError.WRONG_PERSON,
        PredictionError.FRAGMENT,
        PredictionError.WRONG_SIDE,
        PredictionError.FALSE_POSITIVE,
    ):
        for person, other, types in errors_by_person(errors.kinds == kind, errors.owners):
            distances = _distances(found, person, sample, int(errors.partners[person]))
            distance = float(distances[list(types)].sum())
            yield FailureCase(kind.name.lower(), index, person, other, types, distance)


def errors_by_person(
    wrong: BoolArray, others: IntArray
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield each detection, each person in ``others`` at its wrong keypoints, and their types.

    Args:
        wrong: (P, K) keypoints of the detections with one kind of error.
        others: (P, K) the annotated person that each lies on, or -1.
    """
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        for other in np.unique(others[row, wrong[row]]).tolist():
            types = np.flatnonzero(wrong[row] & (others[row] == other))
            yield row, other, tuple(types.tolist())


def _distances(found: Poses, person: int, sample: Sample, partner: int) -> FloatArray:
    """Return (K,) distances to the partner's keypoints, in √area; 0 where unknown."""
    if partner < 0:
        return np.zeros(found.keypoints.shape[1])
    target = sample.keypoints[partner].astype(np.float64)
    distances = np.linalg.norm(found.keypoints[person] - target[:, :2], axis=-1)
    size = np.sqrt(max(float(sample.areas[partner]), MIN_AREA))
    return np.where(target[:, 2] > 0, distances / size, 0.0)


def _not_found(index: int, sample: Sample, errors: KeypointErrors) -> Iterator[FailureCase]:
    for outcome in (GroundTruthOutcome.MISASSIGNED, GroundTruthOutcome.UNDETECTED):
        missed = (errors.outcomes == outcome) & (sample.keypoints[..., 2] == 2)
        for person in np.flatnonzero(missed.any(axis=1)).tolist():
            which = tuple(np.flatnonzero(missed[person]).tolist())
            yield FailureCase(outcome.name.lower(), index, person, -1, which, 0.0)
