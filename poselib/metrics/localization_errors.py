"""Localization errors: jitter, miss, inversion and swap of matched people, as in coco-analyze.

The definitions are those of Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation" (2017). Detections are matched as COCO matches them, from an OKS of 0.1 on. Every
keypoint of a matched detection whose own annotated keypoint is labeled is then compared by
similarity, one term of OKS, with the keypoints of its type of all people annotated in the image,
and with those of the other side. The most similar one, and how similar it is, give its class:
see ``LocalizationError``.

``association_errors`` classifies the keypoints of all detections, matched or not, to see what
grouping did. Here only those of matched people count, by the definitions of published tables.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import numpy as np
import pandas as pd

from poselib.metrics.ap import evaluate_ap
from poselib.metrics.comparison import Comparison
from poselib.metrics.matching import match_people
from poselib.metrics.pairwise_oks import concatenated_ranges
from poselib.ops.oks import keypoint_similarity
from poselib.typing import BoolArray, FloatArray, IntArray

# Similarities from which people match, a keypoint is near another, and it is good.
MATCHED, NEAR, GOOD = 0.1, 0.5, 0.85
# Corrected keypoints lie this much nearer, or rounding would decide about thresholds of AP.
_INSIDE = 1 - 1e-9

Placement = Literal["circle", "published", "truth"]
# By how many sigmas, times √(-2 log similarity) of √area, a corrected keypoint is off.
_OFFSETS: dict[str, float] = {"circle": 2.0, "published": 1.0, "truth": 0.0}


class LocalizationError(IntEnum):
    """The class of a keypoint of a matched detection, by the most similar annotated keypoint.

    ``UNCOUNTED``: its own annotated keypoint is not labeled. ``GOOD``: similar to its own by 0.85
    or more (coco-analyze puts 0.85 itself into no class); ``JITTER``: by 0.5 or more.
    ``INVERSION``: by 0.5 or more to that of the other side of its own person. ``SWAP``: by 0.5 or
    more to another person's, of either side. ``MISS``: by less than 0.5 to all of them. Of equals
    its own comes first, then others' of its side, then its own of the other side.

    A keypoint that was not found (0, 0, 0 in the results) is a miss. So it is in coco-analyze,
    unless a person is at the corner of the image: there it counts as found at (0, 0).
    """

    UNCOUNTED = 0
    GOOD = 1
    JITTER = 2
    MISS = 3
    INVERSION = 4
    SWAP = 5


ERRORS = (
    LocalizationError.JITTER,
    LocalizationError.MISS,
    LocalizationError.INVERSION,
    LocalizationError.SWAP,
)


@dataclass(frozen=True)
class LocalizationErrors:
    """The classes of the keypoints of R matched detections.

    Matches with crowds are left out (coco-analyze keeps those with labeled keypoints).

    Attributes:
        comparison: annotated people and detections.
        found, truth: (R,) int64, the matched detections and people, as rows of its tables.
        kinds: (R, K) int64, of ``LocalizationError``.
        similarity: (R, K) to the most similar annotated keypoint; 0 if it was not found.
        other_person: (R, K) int64, the annotated person on whose keypoint a swap lies, as a row of
            ``comparison.truth``; -1 for all else.
    """

    comparison: Comparison
    found: IntArray
    truth: IntArray
    kinds: IntArray
    similarity: FloatArray
    other_person: IntArray


def classify_localization(comparison: Comparison) -> LocalizationErrors:
    """Match detections to annotated people and classify every keypoint of the matched ones."""
    matched = match_people(comparison, MATCHED)
    (rows,) = np.nonzero(matched >= 0)
    rows = rows[~comparison.truth.ignored[matched[rows]]]
    partners = matched[rows]
    own, own_side, others, other_sides, other_person = _compare_keypoints(
        comparison, rows, partners
    )
    highest = np.maximum.reduce([own, own_side, others, other_sides])
    rules: dict[LocalizationError, BoolArray] = {
        LocalizationError.UNCOUNTED: ~comparison.truth.labeled[partners],
        LocalizationError.MISS: highest < NEAR,
        LocalizationError.GOOD: (own == highest) & (highest >= GOOD),
        LocalizationError.JITTER: own == highest,
        LocalizationError.SWAP: others == highest,
        LocalizationError.INVERSION: own_side == highest,
    }
    kinds = np.select(
        [*rules.values()], [int(kind) for kind in rules], LocalizationError.SWAP
    ).astype(np.int64)
    return LocalizationErrors(
        comparison=comparison,
        found=comparison.pairs.order[rows],
        truth=partners,
        kinds=kinds,
        similarity=np.maximum(highest, 0.0),
        other_person=np.where(kinds == LocalizationError.SWAP, other_person, -1),
    )


def error_rates(classified: LocalizationErrors) -> pd.DataFrame:
    """Tabulate the rate of good keypoints and of each error, by keypoint type.

    Returns:
        One row for each keypoint type, by name, and a last one ``"all"``: ``good``, ``jitter``,
        ``miss``, ``inversion`` and ``swap`` in percent of the ``counted`` keypoints, NaN where
        none is, as in DEKR, Table 5; and ``labeled``, the number of annotated ones, whether their
        person was matched or not.
    """
    truth = classified.comparison.truth
    kinds = (classified.kinds[..., None] == np.arange(len(LocalizationError))).sum(axis=0)[:, 1:]
    labeled = (truth.labeled & ~truth.ignored[:, None]).sum(axis=0)
    kinds = np.vstack([kinds, kinds.sum(axis=0)])
    counted = kinds.sum(axis=1)
    rates = 100 * kinds / np.where(counted > 0, counted, np.nan)[:, None]
    columns = [kind.name.lower() for kind in LocalizationError][1:]
    rows = pd.Index([*classified.comparison.skeleton.keypoints, "all"], name="keypoint")
    table = pd.DataFrame(rates, index=rows, columns=columns)
    return table.assign(counted=counted, labeled=[*labeled, labeled.sum()])


def ap_without_errors(
    classified: LocalizationErrors, placement: Placement = "circle"
) -> pd.DataFrame:
    """Measure the average precision that there would be without each kind of error.

    Args:
        placement: see ``correct_errors``.

    Returns:
        One row for what was corrected, by name: ``nothing``, ``jitter``, ``miss``, ``inversion``,
        ``swap``, each alone, and ``all`` of them. ``AP``, ``AP50`` and ``AP75``, from 0 to 1, and
        ``gain`` and ``gain75``, the gain in AP and AP75.
    """
    kinds: dict[str, tuple[LocalizationError, ...]] = {"nothing": ()}
    kinds |= {error.name.lower(): (error,) for error in ERRORS} | {"all": ERRORS}
    rows = []
    for errors in kinds.values():
        ap = evaluate_ap(correct_errors(classified, errors, placement))
        rows.append({"AP": ap.AP, "AP50": ap.AP50, "AP75": ap.AP75})
    table = pd.DataFrame(rows, index=pd.Index([*kinds], name="corrected"))
    gain = table - table.iloc[0]
    return table.assign(gain=gain["AP"], gain75=gain["AP75"])


def correct_errors(
    classified: LocalizationErrors,
    errors: Collection[LocalizationError],
    placement: Placement = "circle",
) -> Comparison:
    """Return the comparison with some kinds of errors corrected in the detections.

    Args:
        errors: of ``ERRORS``.
        placement: where a corrected keypoint lies. ``"circle"``: beside its annotated keypoint, as
            similar as an error would have it at best: a jitter by 0.85, a miss by 0.5, an inversion
            or swap by as much as it was to the keypoint that it was on. ``"published"``: as in
            coco-analyze, which leaves the 2 of ``k = 2 sigma`` out of the distance, so that these
            similarities become their fourth roots. ``"truth"``: exactly on it.

    Raises:
        ValueError: the placement is unknown.
    """
    if placement not in _OFFSETS:
        raise ValueError(f"placement must be one of {[*_OFFSETS]}, not {placement!r}")
    comparison = classified.comparison
    rows, types = np.nonzero(np.isin(classified.kinds, [*errors]))
    kinds, people = classified.kinds[rows, types], classified.truth[rows]
    goal = np.where(kinds == LocalizationError.JITTER, GOOD, classified.similarity[rows, types])
    goal = np.where(kinds == LocalizationError.MISS, NEAR, goal)
    spread = _OFFSETS[placement] * np.array(comparison.skeleton.sigmas)[types]
    offset = np.sqrt(-2 * np.log(goal) * comparison.truth.areas[people]) * spread * _INSIDE
    points = comparison.found.keypoints.copy()
    points[classified.found[rows], types, :2] = comparison.truth.keypoints[people, types, :2]
    points[classified.found[rows], types, 0] += offset
    return replace(comparison, found=replace(comparison.found, keypoints=points))


def _compare_keypoints(
    comparison: Comparison, rows: IntArray, partners: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, IntArray]:
    """Compare the detections at ``rows`` (R,) of ``pairs.order`` with all people of their image.

    Returns:
        Similarities (R, K) to the keypoints of the matched people, ``partners`` (R,), of their side
        and of the other; the highest to another person's, of its side and of the other; -1 where
        none is labeled. And (R, K) that other person.
    """
    pairs, skeleton = comparison.pairs, comparison.skeleton
    counts = pairs.counts[rows]
    starts = np.cumsum(counts) - counts
    chosen = concatenated_ranges(pairs.starts[rows], counts)
    found, truth = pairs.found[chosen], pairs.truth[chosen]
    own = truth == np.repeat(partners, counts)
    straight = _similarity(comparison, found, truth, np.arange(len(skeleton)))
    crossed = _similarity(comparison, found, truth, skeleton.flip_indices)
    others, other_sides = (
        np.maximum.reduceat(np.where(own[:, None], -1.0, similarity), starts)
        for similarity in (straight, crossed)
    )
    other_person = np.full(others.shape, -1)
    either = np.where(own[:, None], -1.0, np.maximum(straight, crossed))
    best = np.repeat(np.maximum(others, other_sides), counts, axis=0)
    pair, keypoint = np.nonzero(~own[:, None] & (either == best))
    other_person[np.repeat(np.arange(len(rows)), counts)[pair], keypoint] = truth[pair]
    return straight[own], crossed[own], others, other_sides, other_person


def _similarity(
    comparison: Comparison, found: IntArray, truth: IntArray, types: IntArray
) -> FloatArray:
    """(Q, K) similarity of the detected keypoints of each pair to annotated ones of given types."""
    detections, annotated = comparison.found, comparison.truth.keypoints[truth][:, types]
    areas, sigmas = comparison.truth.areas[truth], comparison.skeleton.sigmas
    points = detections.keypoints[found, :, :2]
    similarity = keypoint_similarity(points, annotated[..., :2], areas, sigmas)
    similarity = np.where(detections.present[found], similarity, 0.0)
    return np.where(annotated[..., 2] > 0, similarity, -1.0)
