"""Average precision in crowded videos, in which some frames weigh more (HiEve)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from poselib.annotations import AnnotationTable
from poselib.metrics.comparison import Comparison, compare
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.typing import BoolArray, FloatArray

THRESHOLDS = (0.5, 0.75, 0.9)
_ALL = 10**9  # detections of an image that count


def weighted_ap(
    poses: Sequence[Poses],
    table: AnnotationTable,
    skeleton: Skeleton,
    weights: ArrayLike | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, float]:
    """Measure average precision at each OKS, and with weighted frames, as HiEve reports them.

    HiEve (Lin et al., 2023, Sec. 4.2) matches as MPII and PoseTrack do: each detection is assigned
    to the annotated person it is most similar to, and of those assigned to a person the most
    similar stays; all others are false positives. The similarity is OKS, and what stays is right
    if it is at least the threshold: HiEve's text speaks of PCKh, but the numbers of RPSTN/JRE,
    Table IX, fall from 0.5 to 0.9, where a distance would let them rise. Precision over the ranked
    scores is made monotonically decreasing and integrated over recall, as in ``pck.joint_ap``. A
    weight multiplies all people and detections of its frame.

    Args:
        poses: the detections in each frame of the table, px with centers at integer + 0.5.
        table: annotated people with areas. Ignored people neither help nor hurt.
        skeleton: gives the constants of OKS.
        weights: (M,) of each frame of the table. RPSTN/JRE gives no formula; HiEve's are larger for
            a higher crowd index (``ops.crowd_index``) and for more kinds of anomalous behavior,
            which its pose labels do not state.
        thresholds: OKS.

    Returns:
        ``AP50``, ``AP75``, ``AP90`` and their mean ``AP``, from 0 to 1; with weights also
        ``wAP50``, ``wAP75``, ``wAP90`` and ``wAP``. NaN where no annotated person counts.

    Raises:
        ValueError: there is not one weight, finite and not negative, for each frame, or as for
            ``comparison.compare``.
    """
    comparison = compare(table, poses, skeleton, max_detections=_ALL)
    order = comparison.pairs.order
    # Across frames as within them: of equal scores the first comes first.
    order = order[np.argsort(-comparison.found.scores[order], kind="stable")]
    own, beside = (similarity[order] for similarity in _similarities(comparison))
    frames, people = comparison.found.images[order], comparison.truth.images
    people = people[~comparison.truth.ignored]
    equal = np.ones(len(table.image_ids))
    weightings = {"": equal} if weights is None else {"": equal, "w": _checked(weights, table)}
    found: dict[str, float] = {}
    for prefix, each in weightings.items():
        weight = each[comparison.positions]
        values = {}
        for level in thresholds:
            right = own >= level
            counts = weight[frames] * (right | (beside < level))
            values[f"{prefix}AP{100 * level:g}"] = _area(right, counts, weight[people].sum())
        found |= {f"{prefix}AP": float(np.mean(list(values.values()))), **values}
    return found


def _checked(weights: ArrayLike, table: AnnotationTable) -> FloatArray:
    values, frames = np.asarray(weights, np.float64), len(table.image_ids)
    if values.shape != (frames,) or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"{table.source}: weights must be {frames} numbers from 0, one for each frame, not "
            f"{values.shape} from {values.min(initial=0):g} to {values.max(initial=0):g}"
        )
    return values


def _similarities(comparison: Comparison) -> tuple[FloatArray, FloatArray]:
    """Return the OKS (P,) of each detection with its person, and the highest with ignored people.

    The first is 0 where another detection is more similar to the person, or there is none.
    """
    pairs, oks, ignored = (
        comparison.pairs,
        comparison.oks,
        comparison.truth.ignored[comparison.pairs.truth],
    )
    beside = np.zeros(len(comparison.found))
    np.maximum.at(beside, pairs.found[ignored], oks[ignored])
    (rows,) = np.nonzero(~ignored)
    rows = rows[np.argsort(-oks[rows], kind="stable")]  # of equals the better score comes first
    favorites = rows[np.unique(pairs.found[rows], return_index=True)[1]]
    favorites = favorites[np.lexsort((favorites, -oks[favorites]))]
    kept = favorites[np.unique(pairs.truth[favorites], return_index=True)[1]]
    own = np.zeros(len(comparison.found))
    own[pairs.found[kept]] = oks[kept]
    return own, beside


def _area(right: BoolArray, counts: FloatArray, people: float) -> float:
    """Return the area under decreasing precision of detections by rank, of which some count."""
    if not people:
        return float("nan")
    hits, taken = (right * counts).cumsum(), counts.cumsum()
    precision = hits / np.where(taken > 0, taken, 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(hits / people, prepend=0) * falling).sum())
