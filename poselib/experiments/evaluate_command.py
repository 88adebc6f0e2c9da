"""Options of the command that evaluates a model on a labeled dataset."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poselib.experiments.predict_command import (
    add_model_options,
    model_options,
    tell_of_photographs,
)
from poselib.ops.console import interactive, say

SUMMARY = "measure a model on a labeled dataset"
DESCRIPTION = """Measure a model on a labeled dataset: AP and AR as COCO defines them, and errors.

DATA is a folder or file in COCO's format, or the name of a known dataset, such as coco, with
--data-dir. Of a folder without a validation set that MODEL was trained on, the images that were
held out are taken. Of published weights, the published AP stands beside the measured one.

OUT receives metrics.json (all metrics, AP of each keypoint, errors), results.json (COCO's results),
errors.csv (what kinds of errors each keypoint has) and validation.png (the images with the lowest
and the highest OKS, poses beside the truth). On a dataset of a paper's tables, metrics.json has the
row that notebooks/13_comparison shows, given the folder in which OUT lies as runs_dir.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    explained = "a model's name, file, or the folder of a training; default: the bundled model"
    add("--model", metavar="MODEL", help=explained)
    explained = "COCO-format folder or file, or the name of a dataset"
    add("--data", required=True, metavar="DATA", help=explained)
    add("--data-dir", metavar="DIR", help="where a dataset lies that is given by its name")
    add("--images", metavar="DIR", help="folder of the images; default: found by their names")
    explained = "of the keypoints, its name or file; default: that of the model"
    add("--skeleton", metavar="NAME", help=explained)
    add("--split", choices=("train", "val", "test"), default="val", help="default: val")
    explained = "folder of the results; default: a new one in runs/"
    add("--out", metavar="OUT", help=explained)
    add_model_options(add)
    add("--timing", action="store_true", help="print where the time of the prediction goes")
    add("--limit", type=int, metavar="N", help="measure N images at even steps, not all")
    explained = "finds people for systems that see one at a time; default: the annotated boxes"
    add("--detector", metavar="MODEL", help=explained)
    explained = "of people, instead of a detector: a detections file in COCO's results format"
    add("--boxes", metavar="FILE", help=explained)


def run(arguments: argparse.Namespace) -> str:
    """Evaluate, write the results; return a summary.

    Raises:
        FileNotFoundError, ValueError: an option, the model or the dataset is wrong; before anything
            is predicted.
    """
    from poselib.api import load
    from poselib.engine.evaluate import evaluate
    from poselib.engine.given_boxes import given_boxes
    from poselib.engine.stage_times import StageTimes
    from poselib.experiments.evaluation_record import (
        check_kind,
        errors_of,
        measured,
        write_evaluation,
    )
    from poselib.experiments.own_dataset import open_labeled
    from poselib.experiments.own_results import check_folder

    if arguments.out:
        check_folder(Path(arguments.out), (arguments.data, arguments.images))
        check_kind(Path(arguments.out))
    if arguments.boxes and arguments.detector:
        raise ValueError("--boxes and --detector are given: one of them says where people are")
    if arguments.limit is not None and arguments.limit < 1:
        raise ValueError(f"--limit must be 1 or more, not {arguments.limit}")
    model = load(arguments.model, **model_options(arguments))
    dataset, name = open_labeled(vars(arguments), model.skeleton)
    model.system.check_dataset(dataset)
    boxes: Any = load(arguments.detector) if arguments.detector else None
    if arguments.boxes:  # of a system of whole images they are refused below, unread
        of_people = model.system.crop is not None
        boxes = given_boxes(arguments.boxes, dataset.image_ids) if of_people else arguments.boxes
    files = map(dataset.image_path, range(len(dataset)))
    tell_of_photographs("evaluate", "model", arguments.model, files)
    timing = StageTimes() if arguments.timing else None
    found = evaluate(
        model,
        dataset,
        boxes=boxes,
        timing=timing,
        progress=interactive(),
        explain=False,
    )
    result = measured(model, arguments.model or "", dataset, name, found, vars(arguments))
    say(str(found))
    if timing is not None:
        say(str(timing))
    say(errors_of(result))
    return write_evaluation(result, arguments.out)
