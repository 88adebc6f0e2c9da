"""How often and how keypoints went wrong over a dataset, and the worst cases to look at.

What is judged, and how, is said in ``poselib.metrics.association_errors``. Refinement gives people
the keypoints that they lack, often copies of another person's. So poses decoded without it show
what the grouping did, and poses with it what a user gets.
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
from poselib.plots.poses import LEAST_SCORE
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.typing import FloatArray


def association_errors(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> pd.DataFrame:
    """Count what became of the keypoints of a dataset, by type, and how often association failed.

    Guesses that no figure draws are no predictions: scores up to ``plots.poses.LEAST_SCORE``.

    Args:
        dataset: labeled images.
        poses: people found in each, px of the image; see the top of this file for which to give.
        skeleton: of both.

    Returns:
        One row a keypoint type, by name, and a last one ``"all"``. Counts of predicted keypoints:
        ``good``, ``swap``, ``fragment``, ``inversion``, ``imprecise``, ``unknown``, ``false``; of
        annotated ones that are visible (2): ``visible``, ``found``, ``astray``, ``undetected``. And
        rates, NaN where nothing counts: ``swap_rate``, swaps among good and swap;
        ``association_error``, swaps and fragments among good, swap and fragment, which is to
        say, of the keypoints that were detected the share in a wrong person;
        ``inversion_rate``, inversions among good and inversion; ``false_rate``, false among all
        but unknown; ``miss_rate``, astray and undetected among visible.

    Raises:
        ValueError: as ``classify_keypoints``, or the number of poses is not that of the images.
    """
    kinds = np.zeros((len(skeleton), len(PredictionError)), dtype=np.int64)
    fates = np.zeros((len(skeleton), len(GroundTruthOutcome)), dtype=np.int64)
    for _, _, sample, judged in _judged(dataset, poses, skeleton):
        kinds += (judged.kinds[..., None] == np.arange(len(PredictionError))).sum(axis=0)
        visible = np.where(
            sample.keypoints[..., 2] == 2, judged.fates, GroundTruthOutcome.UNLABELED
        )
        fates += (visible[..., None] == np.arange(len(GroundTruthOutcome))).sum(axis=0)
    kinds, fates = (np.vstack([counts, counts.sum(axis=0)]) for counts in (kinds, fates))
    columns = {
        kind.name.lower(): kinds[:, kind]
        for kind in PredictionError
        if kind != PredictionError.ABSENT
    }
    columns["visible"] = fates[:, 1:].sum(axis=1)
    columns |= {
        fate.name.lower(): fates[:, fate]
        for fate in GroundTruthOutcome
        if fate != GroundTruthOutcome.UNLABELED
    }
    table = pd.DataFrame(columns, index=pd.Index([*skeleton.keypoints, "all"], name="keypoint"))
    return table.assign(**_rates(table))


def people_counts(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> dict[str, int]:
    """Count the people of a dataset who were found whole, mixed up, or in pieces.

    Arguments and errors are those of ``association_errors``.

    Returns:
        ``annotated``: people with a labeled keypoint; ``found``: people with a predicted one;
        ``matched``: of these, who was matched to an annotated person; ``mixed``: of the matched,
        who has a keypoint of another person (a swap); ``fragments``: of the others, who
        has a keypoint of an annotated person; ``isolated``: those keypoints, HAE's isolated
        keypoints (Fig. 8), counted one by one; ``ghosts``: people of false keypoints alone.
    """
    names = ("annotated", "found", "matched", "mixed", "fragments", "isolated", "ghosts")
    total = dict.fromkeys(names, 0)
    for _, _, _, judged in _judged(dataset, poses, skeleton):
        kinds, matched = judged.kinds, judged.partners >= 0
        astray = kinds == PredictionError.FRAGMENT
        there = kinds != PredictionError.ABSENT
        counted = {
            "annotated": (judged.fates != GroundTruthOutcome.UNLABELED).any(axis=1),
            "found": there.any(axis=1),
            "matched": matched,
            "mixed": (kinds == PredictionError.SWAP).any(axis=1),
            "fragments": astray.any(axis=1),
            "isolated": astray,
            "ghosts": there.any(axis=1) & (~there | (kinds == PredictionError.FALSE)).all(axis=1),
        }
        for name, which in counted.items():
            total[name] += int(which.sum())
    return total


@dataclass(frozen=True)
class FailureCase:
    """Keypoints of one person that went wrong in the same way.

    Attributes:
        kind: ``"swap"``, ``"fragment"``, ``"false"``, ``"inversion"``: of a person found;
            ``"astray"``, ``"undetected"``: of an annotated one. Those of ``error_analysis`` are
            ``"jitter"``, ``"miss"``, ``"inversion"`` and ``"swap"``, of a person found.
        index: the image, by its place in the dataset.
        person: who: the number of the person found, or of the annotated one.
        other: the annotated person on whose keypoints a person found lies by mistake, or -1.
        keypoints: the types that went wrong, in their order.
        carried: how far they lie from where they ought to be, √area of the annotated person, added
            up over those of which that is known; 0 for annotated people.
    """

    kind: str
    index: int
    person: int
    other: int
    keypoints: tuple[int, ...]
    carried: float


def find_failures(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> list[FailureCase]:
    """Find all failures of a dataset, the largest first, see ``sort_by_size``.

    Misses are counted among visible keypoints. Arguments and errors are those of
    ``association_errors``.
    """
    cases: list[FailureCase] = []
    for index, found, sample, judged in _judged(dataset, poses, skeleton):
        cases += _wrong_predictions(index, found, sample, judged)
        cases += _misses(index, sample, judged)
    return sort_by_size(cases)


def sort_by_size(cases: Sequence[FailureCase]) -> list[FailureCase]:
    """Sort cases: the more keypoints the larger, then the farther they were carried.

    Of equals the first of the dataset comes first.
    """
    # Rounded: what is equal but for rounding errors keeps the order of the dataset.
    return sorted(cases, key=lambda c: (-len(c.keypoints), -round(c.carried, 4), c.index, c.person))


def largest_failures(
    cases: Sequence[FailureCase], kind: str, count: int, leave_out: Collection[int] = ()
) -> list[FailureCase]:
    """Return the largest failures of a kind, each of another image.

    Args:
        cases: the largest first.
        kind: see ``FailureCase``.
        count: failures to return; fewer if there are fewer.
        leave_out: images that are not taken.
    """
    chosen: dict[int, FailureCase] = {}
    for case in cases:
        if case.kind == kind and case.index not in leave_out and len(chosen) < count:
            chosen.setdefault(case.index, case)
    return list(chosen.values())


def _judged(
    dataset: SampleSource, poses: Sequence[Poses], skeleton: Skeleton
) -> Iterator[tuple[int, Poses, Sample, KeypointErrors]]:
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    for index, found in enumerate(poses):
        sample = dataset[index]
        yield (
            index,
            found,
            sample,
            classify_keypoints(found, sample, skeleton, min_score=LEAST_SCORE),
        )


def _rates(table: pd.DataFrame) -> dict[str, pd.Series]:
    good, swap, fragment = table["good"], table["swap"], table["fragment"]
    judged = table[
        [
            k.name.lower()
            for k in PredictionError
            if k not in (PredictionError.ABSENT, PredictionError.UNKNOWN)
        ]
    ]
    shares = {
        "swap_rate": (swap, good + swap),
        "association_error": (swap + fragment, good + swap + fragment),
        "inversion_rate": (table["inversion"], good + table["inversion"]),
        "false_rate": (table["false"], judged.sum(axis=1)),
        "miss_rate": (table["astray"] + table["undetected"], table["visible"]),
    }
    return {name: part / whole.where(whole > 0) for name, (part, whole) in shares.items()}


def _wrong_predictions(
    index: int, found: Poses, sample: Sample, judged: KeypointErrors
) -> Iterator[FailureCase]:
    """Yield the cases of people found: one a kind, and for swaps one an annotated person."""
    for kind in (
        PredictionError.SWAP,
        PredictionError.FRAGMENT,
        PredictionError.INVERSION,
        PredictionError.FALSE,
    ):
        wrong = judged.kinds == kind
        for person in np.flatnonzero(wrong.any(axis=1)).tolist():
            apart = _distances(found, person, sample, int(judged.partners[person]))
            for other in np.unique(judged.onto[person, wrong[person]]).tolist():
                which = np.flatnonzero(wrong[person] & (judged.onto[person] == other))
                carried, types = float(apart[which].sum()), tuple(which.tolist())
                yield FailureCase(kind.name.lower(), index, person, other, types, carried)


def _distances(found: Poses, person: int, sample: Sample, partner: int) -> FloatArray:
    """(K,) distances of predicted keypoints to those of a partner, in its sizes; 0 if unknown."""
    if partner < 0:
        return np.zeros(found.keypoints.shape[1])
    there = sample.keypoints[partner].astype(np.float64)
    distances = np.linalg.norm(found.keypoints[person] - there[:, :2], axis=-1)
    size = np.sqrt(max(float(sample.areas[partner]), MIN_AREA))
    return np.where(there[:, 2] > 0, distances / size, 0.0)


def _misses(index: int, sample: Sample, judged: KeypointErrors) -> Iterator[FailureCase]:
    for fate in (GroundTruthOutcome.ASTRAY, GroundTruthOutcome.UNDETECTED):
        missed = (judged.fates == fate) & (sample.keypoints[..., 2] == 2)
        for person in np.flatnonzero(missed.any(axis=1)).tolist():
            which = tuple(np.flatnonzero(missed[person]).tolist())
            yield FailureCase(fate.name.lower(), index, person, -1, which, 0.0)
