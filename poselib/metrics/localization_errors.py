"""Jitter, misses, inversions and swaps, counted as coco-analyze does (Ronchi and Perona, 2017).

People are matched as COCO matches them, from an OKS of 0.1 on. Every keypoint of a person found
whose own truth is labeled is then compared by similarity, one term of OKS, with the keypoints of
its type of everyone annotated in the image, and with those of the other side. The most similar
one, and how similar it is, say what the keypoint is: see ``LocalizationError``.

This answers another question than ``keypoint_errors``. There everything predicted is judged, even
of people matched to nobody, to see what association did. Here the keypoints of matched people
alone are counted, by the definitions that published tables use.
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
_PLACES: dict[str, float] = {"circle": 2.0, "published": 1.0, "truth": 0.0}


class LocalizationError(IntEnum):
    """What a keypoint of a matched person is, by the annotated keypoint that it is most like.

    ``UNCOUNTED``: its own truth is not labeled. ``GOOD``: similar to its own by 0.85 or more
    (coco-analyze puts 0.85 itself into no class); ``JITTER``: by 0.5 or more. ``INVERSION``: by 0.5
    or more to the other side's of its own person. ``SWAP``: by 0.5 or more to somebody else's, of
    either side. ``MISS``: by less than 0.5 to all of them. Of equals its own comes first, then
    others' of its side, then its own of the other side.

    A keypoint that was not found (0, 0, 0 in the results) is a miss. So it is in coco-analyze,
    unless somebody is at the corner of the image: there it counts as found at (0, 0).
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
    """What became of the keypoints of the R people found who were matched to somebody.

    Matches with crowds are left out (coco-analyze keeps those with labeled keypoints).

    Attributes:
        comparison: annotated people and detections.
        found, truth: (R,) the matched detections and people, as rows of the comparison's tables.
        verdicts: (R, K) int64, of ``LocalizationError``.
        similarity: (R, K) to the annotated keypoint that it is most like; 0 if it was not found.
        onto: (R, K) int64, on whose keypoint a swap lies, by position in ``comparison.truth``; -1
            for all else.
    """

    comparison: Comparison
    found: IntArray
    truth: IntArray
    verdicts: IntArray
    similarity: FloatArray
    onto: IntArray


def classify_localization(comparison: Comparison) -> LocalizationErrors:
    """Match detections to annotated people and classify every keypoint of the matched ones."""
    matched = match_people(comparison, MATCHED)
    (rows,) = np.nonzero(matched >= 0)
    rows = rows[~comparison.truth.ignored[matched[rows]]]
    partners = matched[rows]
    rivals = _compare_keypoints(comparison, rows, partners)
    labeled = comparison.truth.labeled[partners]
    greatest = np.maximum.reduce([rivals.own, rivals.side, rivals.others, rivals.other_sides])
    rules: list[tuple[BoolArray, LocalizationError]] = [
        (~labeled, LocalizationError.UNCOUNTED),
        (greatest < NEAR, LocalizationError.MISS),
        (rivals.own == greatest, LocalizationError.JITTER),
        (rivals.others == greatest, LocalizationError.SWAP),
        (rivals.side == greatest, LocalizationError.INVERSION),
    ]
    verdicts = np.select([r for r, _ in rules], [int(v) for _, v in rules], LocalizationError.SWAP)
    verdicts[(verdicts == LocalizationError.JITTER) & (greatest >= GOOD)] = LocalizationError.GOOD
    return LocalizationErrors(
        comparison=comparison,
        found=comparison.pairs.order[rows],
        truth=partners,
        verdicts=verdicts.astype(np.int64),
        similarity=np.maximum(greatest, 0.0),
        onto=np.where(verdicts == LocalizationError.SWAP, rivals.who, -1),
    )


def error_shares(judged: LocalizationErrors) -> pd.DataFrame:
    """Return how large a part of the keypoints is good and has each error, by type.

    Returns:
        One row a keypoint type, by name, and a last one ``"all"``: ``good``, ``jitter``, ``miss``,
        ``inversion`` and ``swap`` in per cent of the ``counted`` keypoints, NaN where none is, as
        in DEKR, Table 5; and ``labeled``, how many are annotated, be their person found or not.
    """
    truth = judged.comparison.truth
    kinds = (judged.verdicts[..., None] == np.arange(len(LocalizationError))).sum(axis=0)[:, 1:]
    labeled = (truth.labeled & ~truth.ignored[:, None]).sum(axis=0)
    kinds = np.vstack([kinds, kinds.sum(axis=0)])
    counted = kinds.sum(axis=1)
    shares = 100 * kinds / np.where(counted > 0, counted, np.nan)[:, None]
    columns = [
        verdict.name.lower()
        for verdict in LocalizationError
        if verdict != LocalizationError.UNCOUNTED
    ]
    rows = pd.Index([*judged.comparison.skeleton.keypoints, "all"], name="keypoint")
    table = pd.DataFrame(shares, index=rows, columns=columns)
    return table.assign(counted=counted, labeled=[*labeled, labeled.sum()])


def ap_without_errors(judged: LocalizationErrors, placement: Placement = "circle") -> pd.DataFrame:
    """Return the average precision that there would be without each kind of error.

    Args:
        judged: what was found.
        placement: see ``correct_errors``.

    Returns:
        One row for what was corrected, by name: ``nothing``, ``jitter``, ``miss``, ``inversion``,
        ``swap``, each alone, and ``all`` of them. ``AP``, ``AP50`` and ``AP75``, from 0 to 1, and
        ``gain`` and ``gain75``, what of AP and AP75 is gained.
    """
    kinds: dict[str, tuple[LocalizationError, ...]] = {"nothing": ()}
    kinds |= {error.name.lower(): (error,) for error in ERRORS} | {"all": ERRORS}
    rows = []
    for errors in kinds.values():
        ap = evaluate_ap(correct_errors(judged, errors, placement))
        rows.append({"AP": ap.AP, "AP50": ap.AP50, "AP75": ap.AP75})
    table = pd.DataFrame(rows, index=pd.Index([*kinds], name="corrected"))
    gain = table - table.iloc[0]
    return table.assign(gain=gain["AP"], gain75=gain["AP75"])


def correct_errors(
    judged: LocalizationErrors,
    errors: Collection[LocalizationError],
    placement: Placement = "circle",
) -> Comparison:
    """Return the comparison with some kinds of errors corrected in the detections.

    Args:
        judged: what was found.
        errors: of ``ERRORS``.
        placement: where a corrected keypoint lies. ``"circle"``: beside its truth, as similar as an
            error would have it at best: a jitter by 0.85, a miss by 0.5, an inversion or swap by
            as much as it was to the keypoint that it was on. ``"published"``: as coco-analyze puts
            it; that code leaves the 2 of ``k = 2 sigma`` out of the distance, so that these
            similarities become their fourth roots. ``"truth"``: exactly where it belongs.

    Raises:
        ValueError: the placement is unknown.
    """
    if placement not in _PLACES:
        raise ValueError(f"placement must be one of {[*_PLACES]}, not {placement!r}")
    comparison = judged.comparison
    rows, types = np.nonzero(np.isin(judged.verdicts, [*errors]))
    verdicts, people = judged.verdicts[rows, types], judged.truth[rows]
    goal = np.where(verdicts == LocalizationError.JITTER, GOOD, judged.similarity[rows, types])
    goal = np.where(verdicts == LocalizationError.MISS, NEAR, goal)
    spread = _PLACES[placement] * np.array(judged.comparison.skeleton.sigmas)[types]
    apart = np.sqrt(-2 * np.log(goal) * comparison.truth.areas[people]) * spread * _INSIDE
    points = comparison.found.keypoints.copy()
    points[judged.found[rows], types, :2] = comparison.truth.keypoints[people, types, :2]
    points[judged.found[rows], types, 0] += apart
    return replace(comparison, found=replace(comparison.found, keypoints=points))


@dataclass(frozen=True)
class _Rivals:
    """Similarities (R, K) to what a keypoint may be taken for; -1 where nothing is labeled.

    Attributes:
        own, side: to its own truth, and to its own person's of the other side.
        others, other_sides: the greatest to somebody else's, of its side and of the other.
        who: (R, K) whom of the others it is most like.
    """

    own: FloatArray
    side: FloatArray
    others: FloatArray
    other_sides: FloatArray
    who: IntArray


def _compare_keypoints(comparison: Comparison, rows: IntArray, partners: IntArray) -> _Rivals:
    """Compare those at ``rows`` of ``pairs.order``, matched to ``partners``, with everyone."""
    pairs, skeleton = comparison.pairs, comparison.skeleton
    counts = pairs.counts[rows]
    starts = np.cumsum(counts) - counts
    chosen = concatenated_ranges(pairs.starts[rows], counts)
    found, truth = pairs.found[chosen], pairs.truth[chosen]
    mine = truth == np.repeat(partners, counts)
    straight = _near(comparison, found, truth, np.arange(len(skeleton)))
    crossed = _near(comparison, found, truth, skeleton.flip_indices)
    others, other_sides = (
        np.maximum.reduceat(np.where(mine[:, None], -1.0, near), starts)
        for near in (straight, crossed)
    )
    who = np.full(others.shape, -1)
    either = np.where(mine[:, None], -1.0, np.maximum(straight, crossed))
    best = np.repeat(np.maximum(others, other_sides), counts, axis=0)
    pair, keypoint = np.nonzero(~mine[:, None] & (either == best))
    who[np.repeat(np.arange(len(rows)), counts)[pair], keypoint] = truth[pair]
    return _Rivals(straight[mine], crossed[mine], others, other_sides, who)


def _near(comparison: Comparison, found: IntArray, truth: IntArray, types: IntArray) -> FloatArray:
    """(Q, K) similarity of each pair's keypoints found to the annotated ones of given types."""
    here, there = comparison.found, comparison.truth.keypoints[truth][:, types]
    areas, sigmas = comparison.truth.areas[truth], comparison.skeleton.sigmas
    near = keypoint_similarity(here.keypoints[found, :, :2], there[..., :2], areas, sigmas)
    return np.where(there[..., 2] > 0, np.where(here.present[found], near, 0.0), -1.0)
