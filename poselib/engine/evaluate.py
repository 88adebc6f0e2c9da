"""Evaluation of a system, or of poses, on a labeled dataset by every metric that it allows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions, device_of
from poselib.engine.person_boxes import AnnotatedBoxes, BoxSource, box_source
from poselib.engine.predict import detected_boxes, predict
from poselib.engine.speed import SpeedOptions
from poselib.engine.stage_times import StageTimes
from poselib.engine.video_metrics import video_metrics
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.metrics.comparison import Comparison, compare
from poselib.metrics.diagnosis.diagnose import LOW_AP, diagnose
from poselib.metrics.keypoint_ap import keypoint_ap
from poselib.metrics.pck import PartAP, multi_person_ap, single_person_pckh
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System
from poselib.typing import FloatArray
from poselib.wording import counted, people_label

logger = logging.getLogger(__name__)


class LabeledImages(SampleSource, Protocol):
    """A dataset that knows its annotated people."""

    def annotations(self) -> AnnotationTable: ...


@runtime_checkable
class HeadSizedImages(LabeledImages, Protocol):
    """A dataset that is measured in head sizes, as MPII is.

    ``unit`` is ``"person"`` if a sample is a single person, anything else if it is several, and
    empty where people have no head sizes.
    ``head_sizes`` gives (n,) px of the image file for the people of a sample, in the order of the
    annotations and without crowds; NaN where unknown.
    """

    @property
    def unit(self) -> str: ...

    def head_sizes(self, index: int, /) -> NDArray[np.floating]: ...


@runtime_checkable
class LoadedModel(Protocol):
    """A system with the options and the device of its use, as ``poselib.load`` returns it."""

    @property
    def system(self) -> System: ...

    @property
    def options(self) -> PredictOptions: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def speed(self) -> SpeedOptions: ...


@dataclass(frozen=True)
class Evaluation:
    """The metrics of detections on a labeled dataset, rates as fractions from 0 to 1.

    Attributes:
        ap: average precision and recall; also of easy, medium and hard images where all images
            have crowd indices.
        poses: the detections of each image, px of the image files.
        comparison: annotated people and detections, as all metrics take them.
        keypoint_ap: average precision of each keypoint type, by name.
        pckh_ap: MPII's average precision of parts, where groups of people have head sizes.
        pckh, pckh_tenth: PCKh of parts at 0.5 and at 0.1, where single people have head sizes.
        videos: metrics of frames of videos, see ``engine.video_metrics``; empty for photographs.
        reasons: likely reasons for an AP below 0.05, or for the lack of one.
    """

    ap: APResult
    poses: list[Poses]
    comparison: Comparison
    keypoint_ap: dict[str, float] = field(default_factory=dict)
    pckh_ap: PartAP | None = None
    pckh: PartAP | None = None
    pckh_tenth: PartAP | None = None
    videos: dict[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def __repr__(self) -> str:
        truth, found = self.comparison.truth, self.comparison.found
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in self.as_dict().items())
        lines = (
            f"Evaluation of {counted(len(found), 'detection')} of "
            f"{people_label(int((~truth.ignored).sum()))} in "
            f"{counted(len(truth.image_ids), 'image')}",
            numbers,
            *self.reasons,
        )
        return "\n  ".join(lines)

    def to_dataframe(self) -> pd.DataFrame:
        """Return a table of all metrics: ``value``, by ``metric``, those of keypoints last."""
        keypoints = {f"AP {name}": value for name, value in self.keypoint_ap.items()}
        values = pd.Series({**self.as_dict(), **keypoints}, name="value", dtype=float)
        return values.rename_axis("metric").to_frame()

    def as_dict(self) -> dict[str, float]:
        """Return the metrics of whole people and of parts by name, but not of each keypoint."""
        named = (("pckh_ap", self.pckh_ap), ("pckh", self.pckh), ("pckh_tenth", self.pckh_tenth))
        parts = {
            f"{name}_{part}": value
            for name, scores in named
            if scores is not None
            for part, value in scores.as_dict().items()
        }
        return {**self.ap.as_dict(), **parts, **self.videos}


def evaluate(
    model: LoadedModel | System,
    dataset: LabeledImages,
    options: PredictOptions | None = None,
    *,
    boxes: BoxSource | LoadedModel | System | str | Path | None = None,
    device: torch.device | str | None = None,
    speed: SpeedOptions | None = None,
    timing: StageTimes | None = None,
    progress: bool = False,
    explain: bool = True,
) -> Evaluation:
    """Predict the images of a dataset and compare with its annotations.

    Args:
        model: what ``poselib.load`` returned, or a system.
        dataset: labeled images of the model's skeleton.
        options: how images are presented; by default those of the model.
        boxes: where the people are, for a system that sees one at a time: a model that finds them,
            a file of a detector's results in COCO's format, or a source of boxes; by default those
            of the annotated people, whatever detector the model has.
        device: where the network runs; by default that of the model.
        speed: what the network is computed with; by default that of the model.
        timing: receives where the time of the prediction goes.
        progress: show a bar.
        explain: look for reasons if AP is low, and log them as warnings.

    Returns:
        Metrics, poses and the comparison that they are computed from.

    Raises:
        ValueError: the model is neither, or the dataset has no annotations or other keypoints;
            before anything is predicted.
    """
    if isinstance(model, LoadedModel):
        options, device = options or model.options, device or model.device
        speed = speed or model.speed
        model = model.system
    if not isinstance(model, System):
        kind = type(model).__name__
        raise ValueError(f"a model from poselib.load, or a System, is wanted, not {kind}")
    model.check_dataset(dataset)
    annotations = dataset.annotations()  # refused before the network runs on all images
    source = _boxes(model, boxes, annotations, device)
    shown: dict[str, Any] = {"boxes": source, "device": device, "progress": progress}
    poses = predict(model, dataset, options, speed=speed, timing=timing, **shown)
    return evaluate_poses(
        dataset,
        poses,
        model.skeleton,
        annotations=annotations,
        exact=source is not None and source.exact,
        explain=explain,
    )


def _boxes(
    system: System,
    boxes: Any,
    annotations: AnnotationTable,
    device: torch.device | str | None,
) -> BoxSource | None:
    """Return where the people of a dataset are, for a system of one person."""
    if boxes is None:
        return AnnotatedBoxes() if system.crop is not None else None
    device = device or device_of(system)
    if isinstance(boxes, LoadedModel):
        return detected_boxes(boxes.system, boxes.options, device=device)
    if isinstance(boxes, System):
        return detected_boxes(boxes, device=device)
    return box_source(boxes, annotations.image_ids)


def evaluate_poses(
    dataset: LabeledImages | AnnotationTable,
    poses: Sequence[Poses],
    skeleton: Skeleton,
    *,
    annotations: AnnotationTable | None = None,
    exact: bool = False,
    explain: bool = True,
) -> Evaluation:
    """Evaluate poses that were predicted already, by whatever program.

    Which metrics are measured depends on what the dataset knows; see ``Evaluation``.

    Args:
        dataset: labeled images, or their annotated people alone.
        poses: one for each image, in their order, px of the image files.
        skeleton: of both.
        annotations: of the dataset, where they have been read already.
        exact: the poses of an image are those of its labeled people, in order.
        explain: look for reasons if AP is low, and log them as warnings.

    Raises:
        ValueError: the dataset has no annotations, or the number of poses is not that of the
            images.
    """
    if annotations is None:
        annotations = dataset if isinstance(dataset, AnnotationTable) else dataset.annotations()
    comparison = compare(annotations, poses, skeleton)
    ids = annotations.image_ids
    crowded = bool(ids) and all(image in annotations.crowd_indices for image in ids)
    ap = evaluate_ap(comparison, by_crowding=crowded)
    reasons: tuple[str, ...] = ()
    if explain and (math.isnan(ap.AP) or ap.AP < LOW_AP):
        reasons = diagnose(comparison)
    for reason in reasons:
        logger.warning("AP is %.3f: %s", ap.AP, reason)
    return Evaluation(
        ap=ap,
        poses=list(poses),
        comparison=comparison,
        keypoint_ap=keypoint_ap(comparison),
        reasons=reasons,
        videos=video_metrics(annotations, poses, skeleton, exact=exact),
        **_in_head_sizes(dataset, annotations, poses, skeleton),
    )


def _in_head_sizes(
    dataset: object, annotations: AnnotationTable, poses: Sequence[Poses], skeleton: Skeleton
) -> dict[str, PartAP]:
    """Measure MPII's metrics, by their names in ``Evaluation``, if the dataset has head sizes."""
    if not isinstance(dataset, HeadSizedImages) or not dataset.unit:
        return {}
    people = [_people(annotations, image) for image in range(len(poses))]
    sizes = [dataset.head_sizes(i) for i in range(len(poses))]
    if dataset.unit != "person":
        return {"pckh_ap": multi_person_ap(poses, people, sizes, skeleton)}
    single = [n for n, annotated in enumerate(people) if len(annotated) == 1]
    if not single:
        return {}
    of_person = partial(
        single_person_pckh,
        [poses[n] for n in single],
        np.concatenate([people[n] for n in single]),
        np.concatenate([sizes[n] for n in single]),
        skeleton,
    )
    return {"pckh": of_person(), "pckh_tenth": of_person(threshold=0.1)}


def _people(annotations: AnnotationTable, image: int) -> FloatArray:
    """The annotated people (n, K, 3) of an image, px with pixel centers at integer + 0.5."""
    rows = annotations.rows(image)
    people = annotations.keypoints[rows[~annotations.crowds[rows]]]
    return people + np.array([PIXEL_CENTER, PIXEL_CENTER, 0.0])
