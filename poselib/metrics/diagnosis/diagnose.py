"""A reason in plain words why average precision is 0 or near it.

Each suspicion is put to the test: the people found are changed as if it held, and it is believed
if they are then much more similar to the annotated ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from poselib.annotations import DetectionTable
from poselib.metrics.comparison import Comparison
from poselib.metrics.diagnosis.coordinate_fit import Frame, fit_scale_shift, moved
from poselib.metrics.diagnosis.image_mismatch import elsewhere
from poselib.metrics.diagnosis.keypoint_permutation import keypoint_likeness
from poselib.ops.oks import AREA_OF_BOX
from poselib.skeletons import SKELETONS, Skeleton
from poselib.typing import FloatArray

# Average precision from which nothing needs an explanation.
LOW_AP = 0.05
# A suspicion is believed if the mean similarity rises by this much, to this much.
_GAIN, _ENOUGH = 0.2, 0.4
# One that explains less than the best by this is dropped.
_AS_GOOD = 0.05
# Images that are looked at.
_IMAGES, _IMAGES_ONE_BY_ONE = 200, 40
_ALL = 1 << 30


@dataclass(frozen=True)
class Hypothesis:
    """What may be wrong.

    Attributes:
        value: mean greatest similarity of annotated people if it were put right.
        reason: a sentence.
        parameters: how freely it was fitted; the least free wins of those that explain as much.
    """

    value: float
    reason: str
    parameters: int = 0


def diagnose(comparison: Comparison) -> tuple[str, ...]:
    """Find likely reasons for a low average precision, each a sentence.

    The hypotheses are: no annotated people, no detections, detections of other images or
    categories, scores that rank wrong detections first, coordinates that are scaled, shifted,
    scaled or shifted differently in each image, relative to the image's size, mirrored or with x
    and y exchanged, left and right exchanged, keypoints in another order, and annotated areas that
    are too small. If none of them explains it, the one sentence says how similar people are.

    Args:
        comparison: annotated people and detections; sizes of images are used where they are known.
    """
    if (obvious := _obvious(comparison)) is not None:
        return (obvious,)
    sample = _sample(comparison, _IMAGES)
    base = _mean(sample)
    suspicions = [
        *_of_coordinates(sample),
        *_of_frames(sample),
        *_of_order(sample),
        *_of_annotations(sample),
        *(Hypothesis(*found) for found in elsewhere(comparison, sample)),
    ]
    return _believed(suspicions, base) or _of_scores(sample, base)


def _obvious(comparison: Comparison) -> str | None:
    truth, found = comparison.truth, comparison.found
    if truth.ignored.all():
        return (
            "nobody counts: the ground truth has no person with a labeled keypoint in the "
            "images that are evaluated"
        )
    if not len(found):
        return "there are no detections in the evaluated images"
    if not set(found.categories.tolist()) & set(truth.categories[~truth.ignored].tolist()):
        written = sorted({truth.category_ids[c] for c in found.categories.tolist()})
        return f"no annotated person is of the category that the detections name: {written}"
    if not found.present.any():
        return "every keypoint of every detection is written as missing (0, 0, 0)"
    return None


def _believed(suspicions: Sequence[Hypothesis], base: float) -> tuple[str, ...]:
    """Return the reasons that explain the most; of equal ones, those with fewer parameters."""
    good = [s for s in suspicions if s.value >= max(base + _GAIN, _ENOUGH)]
    best = max((s.value for s in good), default=0.0)
    good = [s for s in good if s.value >= best - _AS_GOOD]
    least = min((s.parameters for s in good), default=0)
    kept = sorted((s for s in good if s.parameters == least), key=lambda s: -s.value)
    return tuple(f"{s.reason} (mean similarity {base:.2f}, then {s.value:.2f})" for s in kept)


def _of_coordinates(sample: Comparison) -> Iterator[Hypothesis]:
    """Suspicions without a parameter: x and y, left and right, mirrored, relative."""

    def value(found: DetectionTable) -> float:
        return _mean(replace(sample, found=found))

    found, sizes = sample.found, _sizes(sample)
    size, flip = sizes[found.images][:, None], sample.skeleton.flip_indices
    exchanged = replace(found, keypoints=found.keypoints[:, flip])
    yield Hypothesis(
        value(moved(found, lambda xy: xy[..., ::-1])),
        "x and y are exchanged: keypoints must be written as x, y",
    )
    yield Hypothesis(value(exchanged), "left and right are exchanged")
    if np.isfinite(sizes).all():
        for kept, words in ((found, ""), (exchanged, ", and left and right are exchanged")):
            mirrored = moved(kept, lambda xy: xy * [-1, 1] + (size - 1) * [1, 0])
            yield Hypothesis(
                value(mirrored), f"the images were mirrored, and the coordinates still are{words}"
            )
        if np.abs(found.keypoints[..., :2]).max(initial=0) <= 2:
            yield Hypothesis(
                value(moved(found, lambda xy: xy * size)),
                "coordinates are relative to the size of the image: they must be px",
            )


def _of_frames(sample: Comparison) -> Iterator[Hypothesis]:
    """Suspicions that coordinates are of another frame, the same in all images or in each."""
    for scale, shift in ((False, True), (True, False), (True, True)):
        frame = fit_scale_shift(sample, scale=scale, shift=shift)
        value = _mean(replace(sample, found=frame(sample.found)))
        yield Hypothesis(value, _described(frame, scale, shift), scale + shift)
    few = _sample(sample, _IMAGES_ONE_BY_ONE)
    factors, values = [], []
    for image in few.images:
        one = few.of_images({image})
        frame = fit_scale_shift(one, scale=True, shift=False)
        factors.append(1 / frame.scale)
        each, _ = replace(one, found=frame(one.found)).best_oks()
        values.extend(each[~one.truth.ignored].tolist())
    low, high = np.percentile(factors, [10, 90])
    yield Hypothesis(
        float(np.mean(values)),
        f"coordinates are scaled, by {low:.3g} to {high:.3g} in different images: they must be px "
        "of the image files, not of resized images",
        3,
    )


def _described(frame: Frame, scale: bool, shift: bool) -> str:
    parts = []
    if scale:
        factor, size = (frame.scale, "small") if frame.scale > 1 else (1 / frame.scale, "large")
        parts.append(f"{factor:.3g} times too {size}")
    if shift:
        x, y = (-offset / frame.scale for offset in frame.shift)
        parts.append(f"shifted by {x:.3g}, {y:.3g} px")
    return f"coordinates are {' and '.join(parts)}"


def _of_order(sample: Comparison) -> Iterator[Hypothesis]:
    """The suspicion that keypoints are written in another order than the skeleton's."""
    skeleton, likeness = sample.skeleton, keypoint_likeness(sample)
    rows, columns = linear_sum_assignment(-likeness)
    if (rows == columns).all():
        return
    ordered = replace(sample.found, keypoints=sample.found.keypoints[:, columns])
    value = _mean(replace(sample, found=ordered))
    wrong = [k for k in rows if columns[k] != k and likeness[k, columns[k]] > _ENOUGH]
    names = skeleton.keypoints
    examples = ", ".join(f"{names[columns[k]]} lies on {names[k]}" for k in wrong[:3])
    found = {int(columns[k]): names[k] for k in rows if likeness[k, columns[k]] > _ENOUGH}
    other = next((s.name for s in SKELETONS.values() if _fits(s, skeleton, found)), None)
    like = f", as in skeleton {other!r}" if other else ""
    yield Hypothesis(
        value, f"keypoints are in another order{like}: what is written as {examples}", 1
    )


def _fits(other: Skeleton, skeleton: Skeleton, found: dict[int, str]) -> bool:
    """Whether a skeleton has keypoints where they were found, so far as it has them at all."""
    if other.keypoints == skeleton.keypoints or len(other) < len(skeleton):
        return False
    shared = [name == other.keypoints[k] for k, name in found.items() if name in other.keypoints]
    return len(shared) >= len(skeleton) // 2 and bool(np.mean(shared) > 0.8)


def _of_annotations(sample: Comparison) -> Iterator[Hypothesis]:
    """The suspicion that areas in the ground truth are no px²."""
    truth = sample.truth
    boxes = AREA_OF_BOX * truth.boxes[:, 2] * truth.boxes[:, 3]
    known = ~truth.ignored & (boxes > 0)
    if not known.any():
        return
    share = float(np.median(truth.areas[known] / boxes[known]))
    put_right = replace(truth, areas=np.where(boxes > 0, boxes, truth.areas))
    yield Hypothesis(
        _mean(replace(sample, truth=put_right)),
        f"the annotated areas are about {share:.2g} of what the boxes have: OKS needs px²",
    )


def _of_scores(sample: Comparison, base: float) -> tuple[str, ...]:
    """Say how the ranking fails, or else that the people do."""
    beyond = _mean(replace(sample, max_detections=_ALL))
    if beyond >= max(base + _GAIN, _ENOUGH):
        return (
            f"the right detections are not among the best {sample.max_detections} of their image, "
            f"which alone count: their scores are too low (mean similarity {base:.2f}, of all "
            f"{beyond:.2f})",
        )
    scores = sample.found.scores
    if base < _ENOUGH:
        return (
            f"whoever was found is like nobody annotated (mean similarity {base:.2f}), and "
            "neither scale, shift, order of keypoints nor image explains it",
        )
    if len(scores) > 1 and np.ptp(scores) == 0:
        return (f"people are found, but every score is {scores[0]:.3g}: their ranking is chance",)
    return (
        f"people are found (mean similarity {base:.2f}), but not precisely enough, or wrong "
        f"detections have better scores than right ones: {len(scores)} detections for "
        f"{int((~sample.truth.ignored).sum())} people",
    )


def _mean(comparison: Comparison) -> float:
    best, _ = comparison.best_oks()
    return float(best[~comparison.truth.ignored].mean())


def _sample(comparison: Comparison, most: int) -> Comparison:
    """Keep some images with annotated people, evenly spread."""
    truth = comparison.truth
    used = np.unique(truth.images[~truth.ignored])
    some = used[np.linspace(0, len(used) - 1, min(most, len(used))).astype(int)]
    return comparison.of_images({comparison.images[i] for i in some})


def _sizes(sample: Comparison) -> FloatArray:
    """(M, 2) width and height of each image, px; NaN where not known."""
    if sample.truth.sizes is None:
        return np.full((len(sample.images), 2), np.nan)
    return np.array(sample.truth.sizes, dtype=np.float64)[:, ::-1]
