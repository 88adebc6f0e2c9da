"""How well a system finds the people of a dataset, by every measure that the dataset allows."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from poselib.data.readers.coco import PIXEL_CENTER, to_coco_results
from poselib.engine.predict import PredictOptions, predict
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.metrics.crowding import has_crowd_indices
from poselib.metrics.diagnosis.diagnose import LOW_AP, diagnose
from poselib.metrics.keypoint_ap import keypoint_ap
from poselib.metrics.pck import PartAP, multi_person_ap, single_person_pckh
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System

logger = logging.getLogger(__name__)

Entry = dict[str, Any]


class LabeledImages(Protocol):
    """A dataset that knows its ground truth in COCO's format."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def ground_truth(self) -> Entry: ...


@runtime_checkable
class HeadSizedImages(LabeledImages, Protocol):
    """A dataset that is measured in head sizes, as MPII is.

    ``unit`` says what a sample is: ``"person"`` for one person alone, anything else for people
    together. ``head_sizes`` gives (n,) px of the image file for the people of a sample, in the
    order of the ground truth and without crowds; NaN where unknown.
    """

    @property
    def unit(self) -> str: ...

    def head_sizes(self, index: int, /) -> NDArray[np.floating]: ...


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        ap: average precision and recall; of easy, medium and hard images too where all images
            have crowd indices.
        poses: the people of each image, px of the image files.
        results: the same as COCO results.
        keypoint_ap: average precision of each keypoint type, by name.
        pckh_ap: MPII's average precision of parts, where people together have head sizes.
        pckh, pckh_tenth: PCKh of parts at 0.5 and at 0.1, where single people have head sizes.
        reasons: why AP may be as low as it is, if it is below 0.05 or nobody counts.
    """

    ap: APResult
    poses: list[Poses]
    results: list[Entry]
    keypoint_ap: dict[str, float] = field(default_factory=dict)
    pckh_ap: PartAP | None = None
    pckh: PartAP | None = None
    pckh_tenth: PartAP | None = None
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, float]:
        """Return the numbers of whole people and of parts by name, but not of each keypoint."""
        named = (("pckh_ap", self.pckh_ap), ("pckh", self.pckh), ("pckh_tenth", self.pckh_tenth))
        parts = {
            f"{name}_{part}": value
            for name, scores in named
            if scores is not None
            for part, value in scores.as_dict().items()
        }
        return {**self.ap.as_dict(), **parts}


def evaluate(
    system: System,
    dataset: LabeledImages,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
    explain: bool = True,
) -> Evaluation:
    """Predict a dataset and compare with its ground truth.

    Args:
        system: what to evaluate.
        dataset: labeled images of the system's skeleton.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.
        explain: look for reasons if AP is low, and log them as warnings.

    Raises:
        ValueError: nobody is annotated; before anything is predicted.
    """
    truth = dataset.ground_truth()  # refused before the network looks at all images
    poses = predict(system, dataset, options, device=device, progress=progress)
    return _compared(system, dataset, truth, poses, explain)


def score(
    system: System, dataset: LabeledImages, poses: Sequence[Poses], *, explain: bool = True
) -> Evaluation:
    """Compare poses that were predicted already, one an image, with the ground truth.

    What is measured depends on what the dataset knows; see ``Evaluation``.

    Args:
        system: gives the skeleton.
        dataset: labeled images.
        poses: of its images, in their order, px of the image files.
        explain: look for reasons if AP is low, and log them as warnings.

    Raises:
        ValueError: the number of poses is not that of the images.
    """
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    return _compared(system, dataset, dataset.ground_truth(), poses, explain)


def _compared(
    system: System, dataset: LabeledImages, truth: Entry, poses: Sequence[Poses], explain: bool
) -> Evaluation:
    skeleton = system.skeleton
    category = truth["categories"][0]["id"]
    results = [
        entry
        for image, found in zip(truth["images"], poses, strict=True)
        for entry in to_coco_results(found, image["id"], category)
    ]
    crowded = has_crowd_indices(truth["images"])
    ap = evaluate_ap(truth, results, skeleton, by_crowding=crowded)
    reasons: tuple[str, ...] = ()
    if explain and (math.isnan(ap.AP) or ap.AP < LOW_AP):
        reasons = diagnose(truth, results, skeleton)
    for reason in reasons:
        logger.warning("AP is %.3f: %s", ap.AP, reason)
    return Evaluation(
        ap=ap,
        poses=list(poses),
        results=results,
        keypoint_ap=keypoint_ap(truth, results, skeleton),
        reasons=reasons,
        **_in_head_sizes(dataset, truth, poses, skeleton),
    )


def _in_head_sizes(
    dataset: LabeledImages, truth: Entry, poses: Sequence[Poses], skeleton: Skeleton
) -> dict[str, PartAP]:
    """The measures of MPII by their names in ``Evaluation``, if the dataset has head sizes."""
    if not isinstance(dataset, HeadSizedImages):
        return {}
    people = _people(truth, len(skeleton))
    sizes = [dataset.head_sizes(i) for i in range(len(poses))]
    if dataset.unit != "person":
        return {"pckh_ap": multi_person_ap(poses, people, sizes, skeleton)}
    alone = [n for n, here in enumerate(people) if len(here) == 1]
    if not alone:
        return {}
    found, one = [poses[n] for n in alone], np.concatenate([people[n] for n in alone])
    size = np.concatenate([sizes[n] for n in alone])
    return {
        "pckh": single_person_pckh(found, one, size, skeleton),
        "pckh_tenth": single_person_pckh(found, one, size, skeleton, threshold=0.1),
    }


def _people(truth: Entry, keypoints: int) -> list[NDArray[np.float64]]:
    """The annotated people (n, K, 3) of each image, px with pixel centers at integer + 0.5."""
    rows: dict[Any, list[list[float]]] = {image["id"]: [] for image in truth["images"]}
    for person in truth["annotations"]:
        if not person.get("iscrowd", 0):
            rows[person["image_id"]].append(person["keypoints"])
    center = np.array([PIXEL_CENTER, PIXEL_CENTER, 0.0])
    return [np.array(p, np.float64).reshape(-1, keypoints, 3) + center for p in rows.values()]
