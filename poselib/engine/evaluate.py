"""Average precision of a system on a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from poselib.data.coco import to_coco_results
from poselib.engine.predict import PredictOptions, predict
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.structures import Poses, Sample
from poselib.systems import System


class LabelledImages(Protocol):
    """A dataset that knows its ground truth in COCO's format."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def ground_truth(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        ap: average precision and recall.
        poses: the people of each image, px of the image files.
        results: the same as COCO results.
    """

    ap: APResult
    poses: list[Poses]
    results: list[dict[str, Any]]


def evaluate(
    system: System,
    dataset: LabelledImages,
    options: PredictOptions | None = None,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Evaluated:
    """Predict a dataset and compare with its ground truth as COCO does.

    Args:
        system: what to evaluate.
        dataset: labelled images of the system's skeleton.
        options: how images are presented; defaults to ``PredictOptions()``.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.
    """
    poses = predict(system, dataset, options, device=device, progress=progress)
    return score(system, dataset, poses)


def score(system: System, dataset: LabelledImages, poses: Sequence[Poses]) -> Evaluated:
    """Compare poses that were predicted already, one an image, with the ground truth.

    Raises:
        ValueError: the number of poses is not that of the images.
    """
    if len(poses) != len(dataset):
        raise ValueError(f"{len(poses)} predictions for {len(dataset)} images")
    truth = dataset.ground_truth()
    category = truth["categories"][0]["id"]
    ids = [image["id"] for image in truth["images"]]
    results = [
        entry
        for image_id, found in zip(ids, poses, strict=True)
        for entry in to_coco_results(found, image_id, category)
    ]
    return Evaluated(evaluate_ap(truth, results, system.skeleton), list(poses), results)
