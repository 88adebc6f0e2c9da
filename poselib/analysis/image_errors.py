"""The errors of each image of a dataset, from tables alone: no image is read to rank thousands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from poselib.annotations import PIXEL_CENTER, DetectionTable
from poselib.metrics.association_errors import PredictionError, classify_keypoints
from poselib.metrics.comparison import Comparison
from poselib.metrics.localization_errors import (
    ERRORS,
    LocalizationError,
    LocalizationErrors,
    classify_localization,
)
from poselib.metrics.matching import match_people, matched_people
from poselib.plots.poses import MIN_SCORE
from poselib.structures import AffineTransform, Poses, Sample
from poselib.typing import BoolArray, FloatArray, IntArray

# Kinds of errors, by the column that counts them.
KINDS = {
    "miss": "keypoints far off or not found",
    "swap": "keypoints on another person's",
    "inversion": "keypoints on the other side",
    "jitter": "keypoints a little off",
    "missed": "people not found",
    "false": "detections that match no person",
    "wrong_person": "keypoints grouped with another person",
    "fragment": "keypoints apart from their person",
}
_FOUND = 0.5  # OKS from which a person counts as found, COCO's lowest


def errors_by_image(comparison: Comparison) -> pd.DataFrame:
    """Count the errors in each image.

    Returns:
        One row per image with annotated people or detections, by its position in the dataset:
        ``id``, ``people`` (with a labeled keypoint), ``detections``, ``oks`` as in
        ``rank_images``, NaN without people, and for each of ``KINDS`` how many there are:
        localization errors as ``classify_localization`` defines them, people and detections
        without a match from an OKS of 0.5 on, association errors as ``classify_keypoints`` does.
    """
    truth, count = comparison.truth, len(comparison.images)
    rows = rows_by_image(comparison.found, count)
    columns: dict[str, IntArray] = _localization(comparison, count)
    columns |= _unmatched(comparison, count)
    people, oks = np.zeros(count, np.int64), np.full(count, np.nan)
    association = np.zeros((count, 2), np.int64)
    for image, found in enumerate(rows):
        sample, poses = table_sample(comparison, image), poses_of(comparison.found, found)
        people[image] = len(sample.keypoints)
        if people[image]:
            oks[image] = float(np.mean(matched_people(poses, sample, comparison.skeleton)[1]))
        if people[image] and len(found):
            kinds = classify_keypoints(
                poses, sample, comparison.skeleton, min_score=MIN_SCORE
            ).kinds
            association[image] = [
                int((kinds == kind).sum())
                for kind in (PredictionError.WRONG_PERSON, PredictionError.FRAGMENT)
            ]
    columns |= {"wrong_person": association[:, 0], "fragment": association[:, 1]}
    about = {"id": list(truth.image_ids), "people": people}
    about |= {"detections": [len(each) for each in rows], "oks": oks}
    index = pd.Index(comparison.positions, name="image")
    table = pd.DataFrame(about | {kind: columns[kind] for kind in KINDS}, index)
    return table[(table["people"] > 0) | (table["detections"] > 0)].sort_index()


def worst_images(errors: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the images of ``errors_by_image`` by an error, most first, then the lowest OKS.

    Args:
        kind: one of ``KINDS``, whose images without it are left out; or ``"oks"``.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind == "oks":
        return errors[errors["people"] > 0].sort_values("oks", kind="stable")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of error {kind!r}; known: oks, {', '.join(KINDS)}")
    chosen = errors[errors[kind] > 0]
    return chosen.sort_values([kind, "oks"], ascending=[False, True], kind="stable")


@dataclass(frozen=True)
class Marks:
    """Where the errors of an image are, px of the image.

    Attributes:
        truth, found: (n, 2) keypoints to mark among the annotated people, and in the detections.
        boxes: left, top, right, bottom of annotated people that were missed.
        false_boxes: of detections that match no person.
    """

    truth: FloatArray
    found: FloatArray
    boxes: tuple[tuple[float, ...], ...] = ()
    false_boxes: tuple[tuple[float, ...], ...] = ()


def mark_errors(comparison: Comparison, position: int, kind: str, sample: Sample) -> Marks:
    """Return where the errors of a kind are in the image at a position of the dataset.

    Args:
        kind: one of ``KINDS``; for any other nothing is marked.
        sample: the image, with its annotated people.
    """
    none = np.zeros((0, 2))
    one = _one_image(comparison, position)
    if one is None or kind not in KINDS:
        return Marks(none, none)
    if kind in ("missed", "false"):
        missed, false = _unmatched_rows(one)
        people = one.truth.keypoints[missed], one.truth.labeled[missed]
        there = one.found.keypoints[false], one.found.present[false]
        truth_boxes, found_boxes = (_boxes(*each, sample) for each in (people, there))
        if kind == "missed":
            return Marks(none, none, truth_boxes)
        return Marks(none, none, (), found_boxes)
    if kind in ("wrong_person", "fragment"):
        poses = poses_of(one.found, np.arange(len(one.found)))
        here = table_sample(one, 0)
        kinds = classify_keypoints(poses, here, one.skeleton, min_score=MIN_SCORE).kinds
        wrong = poses.keypoints[kinds == PredictionError[kind.upper()]].astype(np.float64)
        return Marks(none, sample.to_original.inverse()(wrong))
    judged = classify_localization(one)
    rows, types = np.nonzero(judged.kinds == LocalizationError[kind.upper()])
    present = one.found.present[judged.found[rows], types]
    right = one.truth.keypoints[judged.truth[rows], types, :2] + PIXEL_CENTER
    wrong = one.found.keypoints[judged.found[rows], types, :2][present] + PIXEL_CENTER
    inside = sample.to_original.inverse()
    return Marks(inside(right), inside(wrong))


def image_poses(comparison: Comparison, position: int, sample: Sample) -> Poses:
    """Return the detections in the image at a position of the dataset, px of the sample's image."""
    (places,) = np.nonzero(comparison.positions == position)
    rows = np.flatnonzero(np.isin(comparison.found.images, places))
    return poses_of(comparison.found, rows).warped(sample.to_original.inverse())


def poses_of(found: DetectionTable, rows: IntArray) -> Poses:
    """Return some detections of a table as poses, px with pixel centers at integer + 0.5."""
    points, present = found.keypoints[rows], found.present[rows]
    centered = np.where(present[..., None], points[..., :2] + PIXEL_CENTER, 0.0)
    return Poses(
        centered.astype(np.float32),
        np.where(present, points[..., 2], 0.0).astype(np.float32),
        found.scores[rows].astype(np.float32),
    )


def rows_by_image(found: DetectionTable, images: int) -> list[IntArray]:
    """Return the rows of the detections in each of a number of images."""
    order = np.argsort(found.images, kind="stable")
    ends = np.searchsorted(found.images[order], np.arange(1, images))
    return np.split(order, ends)


def table_sample(comparison: Comparison, image: int) -> Sample:
    """Return the people of an image of the table as a sample whose image is one black pixel."""
    keypoints, areas = comparison.truth.people(image)
    blank, same = np.zeros((3, 1, 1), np.uint8), AffineTransform.identity()
    shown = comparison.images[image]
    return Sample(blank, keypoints, areas, np.zeros((1, 1), bool), shown, same)


def _localization(comparison: Comparison, count: int) -> dict[str, IntArray]:
    judged: LocalizationErrors = classify_localization(comparison)
    images = comparison.truth.images[judged.truth]
    return {
        error.name.lower(): np.bincount(
            images, (judged.kinds == error).sum(axis=1), minlength=count
        ).astype(np.int64)
        for error in ERRORS
    }


def _unmatched(comparison: Comparison, count: int) -> dict[str, IntArray]:
    missed, false = _unmatched_rows(comparison)
    return {
        "missed": np.bincount(comparison.truth.images[missed], minlength=count),
        "false": np.bincount(comparison.found.images[false], minlength=count),
    }


def _unmatched_rows(comparison: Comparison) -> tuple[IntArray, IntArray]:
    """Return the rows of people and of detections that have no match."""
    truth, order = comparison.truth, comparison.pairs.order
    matched = match_people(comparison, _FOUND)
    counted = ~truth.ignored & truth.labeled.any(axis=1)
    counted[matched[matched >= 0]] = False
    return np.flatnonzero(counted), order[matched < 0]


def _one_image(comparison: Comparison, position: int) -> Comparison | None:
    (places,) = np.nonzero(comparison.positions == position)
    return comparison.at(places.tolist()) if len(places) else None


def _boxes(
    keypoints: FloatArray, there: BoolArray, sample: Sample
) -> tuple[tuple[float, ...], ...]:
    """Return the boxes of people (n, K, 3) around the keypoints that are there, px."""
    boxes = []
    for person, present in zip(keypoints, there, strict=True):
        points = sample.to_original.inverse()(person[present, :2] + PIXEL_CENTER)
        if len(points):
            boxes.append((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()))
    return tuple(boxes)
