"""Folders of runs as commands leave them, with detections that are the truth, moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poselib.data.readers.coco import CocoKeypoints, write_results
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.experiments.runs import RunRecord, start_run
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.experiments.found_truth import moved

MOVES = {"one": (0.0, 8.0, 2.0, 3.0, 0.0), "two": (4.0, 1.0, 2.0, 0.0, 0.0)}  # px


def toy_runs(home: Path) -> Path:
    """Write a training and two evaluations on the same images, and return their folder."""
    runs, dataset = home / "runs", write_dataset(home / "toy")
    for name, by in MOVES.items():
        if not (runs / name).exists():
            evaluation(runs, name, dataset, moved_images(dataset, *by))
    if not (runs / "trained").exists():
        training(runs, "trained", lr=0.5).finish({"AP": 0.75})
    return runs


def write_dataset(folder: Path) -> CocoKeypoints:
    """Write five small images of two people, and open them."""
    write_scenes(folder, SceneConfig(64, people=(2, 2)), 5, 1, COCO)
    return CocoKeypoints(folder / "annotations.json", folder / "images", COCO)


def evaluation(
    runs: Path, name: str, dataset: CocoKeypoints, poses: list[Poses], **params: Any
) -> RunRecord:
    """Write the folder of an evaluation that found some poses."""
    source = str(dataset.table.source)
    usual = {"data": source, "split": "val", "limit": None, "model": "hae_tiny_synthetic"}
    record = start_run(runs, "evaluation", {**usual, **params}, name)
    results = [
        row
        for each, image in zip(poses, dataset.image_ids, strict=True)
        for row in each.to_coco(image, dataset.category_id)
    ]
    write_results(results, record.folder / "results.json")
    record.finish({"AP": 0.5, "AR": 0.6, "measured_on": "5 images", "errors": {"miss": 0.1}})
    return record


def training(runs: Path, name: str, **params: Any) -> RunRecord:
    """Write the folder of a training under way: four lines and a validation."""
    record = start_run(runs, "train", {"system": "hae", "dataset": "synthetic", **params}, name)
    for step in range(1, 5):
        record.log({"step": step, "seconds": 1.0, "lr": 0.1, "loss": 2 / step, "heatmap": 1 / step})
    record.log({"step": 4, "AP": 0.25, "AR": 0.5})
    return record


def moved_images(dataset: CocoKeypoints, *by: float) -> list[Poses]:
    """Return the truth as detections, in each image moved by another number of px."""
    return [moved(dataset, each)[n] for n, each in enumerate(by)]
