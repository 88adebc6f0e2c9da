"""Diagnosis of an average precision of 0 or near it, by testing one hypothesis after another.

For each hypothesis the detections are changed as if it were true; it is accepted if they are then
much more similar to the annotated people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from poselib.annotations import DetectionTable
from poselib.metrics.comparison import Comparison
from poselib.metrics.diagnosis.coordinate_fit import (
    ScaleShift,
    change_coordinates,
    fit_scale_shift,
)
from poselib.metrics.diagnosis.image_mismatch import find_swapped_images
from poselib.metrics.diagnosis.keypoint_permutation import type_similarity
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import SKELETONS, Skeleton
from poselib.typing import FloatArray

# An average precision from here on needs no explanation.
LOW_AP = 0.05
# A hypothesis is accepted if the mean similarity rises by _GAIN, to _ENOUGH or more.
_GAIN, _ENOUGH = 0.2, 0.4
# One that explains less than the best by this is dropped.
_MARGIN = 0.05
# Images that are compared, together and one by one.
_IMAGES, _SINGLE_IMAGES = 200, 40
_ALL = 1 << 30
_POINTS = 12  # labeled, for a fit of up to three parameters


@dataclass(frozen=True)
class Hypothesis:
    """A possible mistake in the detections or the annotations.

    Attributes:
        value: mean similarity of annotated people to the best detection if it were corrected.
        reason: a sentence.
        parameters: how many were fitted; of hypotheses that explain as much, the one with the
            fewest wins.
    """

    value: float
    reason: str
    parameters: int = 0


def diagnose(comparison: Comparison) -> tuple[str, ...]:
    """Find likely reasons for a low average precision, each a sentence.

    The hypotheses are: no annotated people, no detections, detections of other images or
    categories, scores that rank wrong detections first, coordinates that are scaled, shifted,
    scaled or shifted differently in each image, relative to the image's size, mirrored, turned or
    with x and y exchanged, left and right exchanged, keypoints in another order, and annotated
    areas that are too small. If none of them explains it, the one sentence says how similar people
    are.

    Args:
        comparison: annotated people and detections; sizes of images are used where they are known.
    """
    if (obvious := _obvious_reason(comparison)) is not None:
        return (obvious,)
    sample = _evenly_spaced_images(comparison, _IMAGES)
    base = _mean_oks(sample)
    hypotheses = [
        *_exchanged_coordinates(sample),
        *_scaled_coordinates(sample),
        *_other_order(sample),
        *_small_areas(sample),
        *(Hypothesis(*found) for found in find_swapped_images(comparison, sample)),
    ]
    return _best_reasons(hypotheses, base) or (_remaining_reason(sample, base),)


def _obvious_reason(comparison: Comparison) -> str | None:
    truth, found = comparison.truth, comparison.found
    if truth.ignored.all():
        reason = "the evaluated images have no annotated person with a labeled keypoint"
        if uncounted := int((~truth.masked()).sum()):
            reason += f" that counts: num_keypoints says 0 for {uncounted} who have some"
        return reason
    if not len(found):
        return "there are no detections in the evaluated images"
    if not set(found.categories.tolist()) & set(truth.categories[~truth.ignored].tolist()):
        written = sorted({truth.category_ids[c] for c in found.categories.tolist()})
        return f"no annotated person is of the category that the detections name: {written}"
    if not found.present.any():
        return "every keypoint of every detection is written as missing (0, 0, 0)"
    return None


def _best_reasons(hypotheses: Sequence[Hypothesis], base: float) -> tuple[str, ...]:
    """Return the reasons that explain the most; of equal ones, those with fewer parameters."""
    good = [h for h in hypotheses if h.value >= max(base + _GAIN, _ENOUGH)]
    best = max((h.value for h in good), default=0.0)
    good = [h for h in good if h.value >= best - _MARGIN]
    fewest = min((h.parameters for h in good), default=0)
    kept = sorted((h for h in good if h.parameters == fewest), key=lambda h: -h.value)
    return tuple(f"{h.reason} (mean similarity {base:.2f}, then {h.value:.2f})" for h in kept)


def _exchanged_coordinates(sample: Comparison) -> Iterator[Hypothesis]:
    """Test exchanged x and y, exchanged sides, mirrored images and relative coordinates."""

    def value(found: DetectionTable) -> float:
        return _mean_oks(replace(sample, found=found))

    found, sizes = sample.found, _image_sizes(sample)
    size, flip = sizes[found.images][:, None], sample.skeleton.flip_indices
    exchanged = replace(found, keypoints=found.keypoints[:, flip])
    yield Hypothesis(
        value(change_coordinates(found, lambda xy: xy[..., ::-1])),
        "x and y are exchanged: keypoints must be written as x, y",
    )
    yield Hypothesis(value(exchanged), "left and right are exchanged")
    if np.isfinite(sizes).all():
        for kept, words in ((found, ""), (exchanged, ", and left and right are exchanged")):
            mirrored = change_coordinates(kept, lambda xy: xy * [-1, 1] + (size - 1) * [1, 0])
            yield Hypothesis(
                value(mirrored), f"the images were mirrored, and the coordinates still are{words}"
            )
        turns: tuple[tuple[str, Callable[[FloatArray], FloatArray]], ...] = (
            ("half a turn", lambda xy: size - 1 - xy),
            ("a quarter to the right", lambda xy: (size - 1) * [1, 0] + xy[..., ::-1] * [-1, 1]),
            ("a quarter to the left", lambda xy: (size - 1) * [0, 1] + xy[..., ::-1] * [1, -1]),
        )
        for angle, turn in turns:
            yield Hypothesis(
                value(change_coordinates(found, turn)),
                f"the labels are of pictures turned by {angle}, as EXIF may ask for, and the "
                "coordinates of pictures as they are stored",
            )
        if np.abs(found.keypoints[..., :2]).max(initial=0) <= 2:
            yield Hypothesis(
                value(change_coordinates(found, lambda xy: xy * size)),
                "coordinates are relative to the size of the image: they must be px",
            )


def _scaled_coordinates(sample: Comparison) -> Iterator[Hypothesis]:
    """Test scaled and shifted coordinates, the same in all images, or a scale for each image.

    Of a few points, as of people with one keypoint in a few images, anything can be explained so.
    """
    if sample.truth.labeled[~sample.truth.ignored].sum() < _POINTS:
        return
    for scale, shift in ((False, True), (True, False), (True, True)):
        fit = fit_scale_shift(sample, scale=scale, shift=shift)
        value = _mean_oks(replace(sample, found=fit(sample.found)))
        yield Hypothesis(value, _describe(fit, scale, shift), scale + shift)
    few = _evenly_spaced_images(sample, _SINGLE_IMAGES)
    factors, values = [], []
    for image in range(len(few.images)):
        one = few.at([image])
        fit = fit_scale_shift(one, scale=True, shift=False)
        factors.append(1 / fit.scale)
        oks, _ = replace(one, found=fit(one.found)).best_oks()
        values.extend(oks[~one.truth.ignored].tolist())
    low, high = np.percentile(factors, [10, 90])
    yield Hypothesis(
        float(np.mean(values)),
        f"coordinates are scaled, by {low:.3g} to {high:.3g} in different images: they must be px "
        "of the image files, not of resized images",
        3,
    )


def _describe(fit: ScaleShift, scale: bool, shift: bool) -> str:
    parts = []
    if scale:
        factor, size = (fit.scale, "small") if fit.scale > 1 else (1 / fit.scale, "large")
        parts.append(f"{factor:.3g} times too {size}")
    if shift:
        x, y = (-offset / fit.scale for offset in fit.shift)
        parts.append(f"shifted by {x:.3g}, {y:.3g} px")
    return f"coordinates are {' and '.join(parts)}"


def _other_order(sample: Comparison) -> Iterator[Hypothesis]:
    """Test whether keypoints are written in another order than the skeleton's."""
    skeleton, similarity = sample.skeleton, type_similarity(sample)
    rows, columns = linear_sum_assignment(-similarity)
    if (rows == columns).all():
        return
    ordered = replace(sample.found, keypoints=sample.found.keypoints[:, columns])
    value = _mean_oks(replace(sample, found=ordered))
    similar = [k for k in rows if similarity[k, columns[k]] > _ENOUGH]
    names = skeleton.keypoints
    wrong = [k for k in similar if columns[k] != k][:3]
    examples = ", ".join(f"{names[columns[k]]} lies on {names[k]}" for k in wrong)
    located = {int(columns[k]): names[k] for k in similar}
    other = next((s.name for s in SKELETONS.values() if _agrees(s, skeleton, located)), None)
    known = f", as in skeleton {other!r}" if other else ""
    yield Hypothesis(
        value, f"keypoints are in another order{known}: what is written as {examples}", 1
    )


def _agrees(other: Skeleton, skeleton: Skeleton, located: dict[int, str]) -> bool:
    """Whether another skeleton has the keypoints that it has at the positions of ``located``."""
    if other.keypoints == skeleton.keypoints or len(other) < len(skeleton):
        return False
    shared = [name == other.keypoints[k] for k, name in located.items() if name in other.keypoints]
    return len(shared) >= len(skeleton) // 2 and bool(np.mean(shared) > 0.8)


def _small_areas(sample: Comparison) -> Iterator[Hypothesis]:
    """Test whether the annotated areas are not in px²."""
    truth = sample.truth
    boxes = AREA_OF_BOX * truth.boxes[:, 2] * truth.boxes[:, 3]
    known = ~truth.ignored & (boxes > 0)
    if not known.any():
        return
    ratio = float(np.median(truth.areas[known] / boxes[known]))
    corrected = replace(truth, areas=np.where(boxes > 0, boxes, truth.areas))
    yield Hypothesis(
        _mean_oks(replace(sample, truth=corrected)),
        f"the annotated areas are about {ratio:.2g} of those of the boxes: OKS needs px²",
    )


def _remaining_reason(sample: Comparison, base: float) -> str:
    """Describe what is wrong with the scores, or else how similar people are."""
    of_all = _mean_oks(replace(sample, max_detections=_ALL))
    if of_all >= max(base + _GAIN, _ENOUGH):
        return (
            f"the right detections are not among the best {sample.max_detections} of their image, "
            f"which alone count: their scores are too low (mean similarity {base:.2f}, of all "
            f"{of_all:.2f})"
        )
    scores = sample.found.scores
    if base < _ENOUGH:
        return (
            f"the detections are not similar to the annotated people (mean similarity {base:.2f}), "
            "and neither scale, shift, order of keypoints nor image explains it"
        )
    if len(scores) > 1 and np.ptp(scores) == 0:
        return f"people are found, but every score is {scores[0]:.3g}: their ranking is chance"
    return (
        f"people are found (mean similarity {base:.2f}), but not precisely enough, or wrong "
        f"detections have better scores than right ones: {len(scores)} detections for "
        f"{int((~sample.truth.ignored).sum())} people"
    )


def _mean_oks(comparison: Comparison) -> float:
    """Mean over annotated people of the OKS of the most similar detection."""
    best, _ = comparison.best_oks()
    return float(best[~comparison.truth.ignored].mean())


def _evenly_spaced_images(comparison: Comparison, count: int) -> Comparison:
    """Keep up to ``count`` images with annotated people."""
    truth = comparison.truth
    used = np.unique(truth.images[~truth.ignored])
    kept = used[np.linspace(0, len(used) - 1, min(count, len(used))).astype(int)]
    return comparison.at(kept.tolist())


def _image_sizes(sample: Comparison) -> FloatArray:
    """(M, 2) width and height of each image, px; NaN where not known."""
    if sample.truth.sizes is None:
        return np.full((len(sample.images), 2), np.nan)
    return np.array(sample.truth.sizes, dtype=np.float64)[:, ::-1]
