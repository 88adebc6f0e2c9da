"""What a training on a dataset of one's own keeps while it runs, and what it ends with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from poselib.analysis.error_panels import pair_panels
from poselib.analysis.select_images import rank_images
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.coco import write_results
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.evaluate import Evaluation, LabeledImages, evaluate
from poselib.engine.predict_images import RESULTS as PREDICTED
from poselib.engine.train import CHECKPOINT, TrainResult
from poselib.engine.training_log import TensorBoard, write_curves
from poselib.experiments.own_dataset import SPLIT, OwnData, from_anywhere, subset
from poselib.experiments.runs import RunRecord, load_run, save_figure, start_run
from poselib.experiments.training import export_system
from poselib.metrics.diagnosis.diagnose import diagnose
from poselib.ops.console import interactive, say
from poselib.ops.io import check_output, write_json
from poselib.papers.preset import Preset
from poselib.plots.curves import show_training
from poselib.plots.panels import show_panels
from poselib.plots.poses import paint_poses
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System

RUN = "own_training"  # the name of a training's record
BEST, VALIDATION, RESULTS = "best.safetensors", "validation.png", "results.json"
_VALIDATED = 200  # images, now and then
_SHOWN = 4
_EXPLAINED = 0.2  # an AP below it has a reason


class BestKeeper:
    """Validates a system, keeps the best weights so far, and the curves up to date.

    Args:
        folder: of the training.
        preset: how images are presented.
        data: its held-out images are the measure, up to 200 of them at even steps.
        device: of the network.
        board: receives pictures.
    """

    def __init__(
        self,
        folder: Path,
        preset: Preset,
        data: OwnData,
        device: torch.device,
        board: TensorBoard | None = None,
    ) -> None:
        self.folder, self.preset, self.device, self.board = folder, preset, device, board
        count = len(data.val)
        few = np.linspace(0, count - 1, min(count, _VALIDATED)).astype(int)
        self.images = data.val if count <= _VALIDATED else subset(data.val, few)
        self.best, self.better, self.step = -1.0, False, 0
        if (folder / CHECKPOINT).is_file() and (folder / BEST).is_file():
            kept = load_checkpoint(folder / BEST).provenance.get("AP")
            self.best = -1.0 if kept is None else float(kept)

    def record(self, line: dict[str, Any]) -> None:
        """Take a line of the metrics; say what a validation came to."""
        self.step = int(line["step"])
        if "AP" in line:
            best = ", the best so far" if self.better else ""
            with tqdm.external_write_mode():
                say(f"step {self.step}: AP {line['AP']:.3f}{best}")
        if self.board is not None:
            self.board.record(line)

    def __call__(self, system: System) -> dict[str, float]:
        found = evaluate(
            system, self.images, self.preset.predict, device=self.device, explain=False
        )
        figures = found.ap.as_dict()
        score = 0.0 if math.isnan(figures["AP"]) else figures["AP"]
        self.better = score > self.best
        if self.better:
            self.best = score
            save_system(self.folder / BEST, system, provenance={"AP": score})
        write_curves(self.folder)
        if self.board is not None:
            shown = [self.images[n] for n in range(min(_SHOWN, len(self.images)))]
            pairs = zip(shown, found.poses, strict=False)
            least = system.visualization_threshold
            self.board.pictures([beside(s, p.above(least), system.skeleton) for s, p in pairs],
                                self.step)  # fmt: skip
        return {name: figures[name] for name in ("AP", "AP50", "AP75", "AR")}


def beside(sample: Sample, poses: Poses, skeleton: Skeleton) -> NDArray[np.uint8]:
    """Return an image with its annotated people and one with those found, side by side."""
    people = sample.keypoints[(sample.keypoints[..., 2] > 0).any(axis=1)]
    labeled = (people[..., 2] > 0).astype(np.float32)
    truth = Poses(people[..., :2], labeled, np.ones(len(people), np.float32))
    pictures = [paint_poses(sample.image, each, skeleton) for each in (truth, poses)]
    return np.concatenate(pictures, axis=1)


def show_validation(
    dataset: KeypointImages, evaluation: Evaluation, system: System
) -> Figure | None:
    """Draw the annotated people beside those found, in the images with the lowest and highest OKS.

    None where no image has people.
    """
    ranked = rank_images(dataset, evaluation.poses, system.skeleton)
    if not len(ranked):
        return None
    worst = ranked.head(_SHOWN)
    best = ranked[~ranked.index.isin(worst.index)].tail(_SHOWN)[::-1]
    shown = pd.concat([worst, best])
    panels = pair_panels(
        [dataset[i] for i in shown["index"]],
        [evaluation.poses[i] for i in shown["index"]],
        system.skeleton,
        [
            f"{Path(dataset.table.file_names[int(row['index'])]).name}: OKS {row['oks']:.2f}"
            for _, row in shown.iterrows()
        ],
        min_person_score=system.visualization_threshold,
    )
    title = "Validation images with the lowest and the highest OKS"
    return show_panels(panels, system.skeleton, title=title)


def check_folder(
    folder: Path, data: Iterable[str | None] = (), *, only_checked: bool = False
) -> None:
    """Raise ValueError if a training or an evaluation cannot write its results into a folder.

    Those that ``poselib predict`` left there, which have the same name, are not replaced, and
    pictures are not put among the data.

    Args:
        data: files and folders of the data.
        only_checked: data are checked alone, which writes no results.
    """
    check_output(folder, folder=True)
    if folder.resolve() in [Path(each).resolve() for each in data if each]:
        raise ValueError(f"--out {folder}: is the folder of the data: give another one")
    alone = not only_checked and not (folder / "run.json").exists()
    if alone and all((folder / name).is_file() for name in PREDICTED):
        raise ValueError(f"--out {folder}: holds predictions, whose {RESULTS} would be replaced")


def start_record(chosen: Mapping[str, Any], data: OwnData, out: Path, resumed: bool) -> RunRecord:
    """Write what a training begins with: its options, and which images it holds out."""
    folder = out.resolve()
    if not resumed:  # of a training that wrote no checkpoint
        for name in ("run.json", BEST):
            (folder / name).unlink(missing_ok=True)
    recorded = {name: from_anywhere(value) for name, value in chosen.items()}
    if resumed:  # one that began before an option existed lacks it
        recorded = {k: v for k, v in recorded.items() if k in load_run(folder).params}
    record = start_run(folder.parent, RUN, recorded, folder.name)
    if data.drawn:
        source = from_anywhere(str(data.train.table.source))
        about = {"annotations": source, "val": list(data.drawn)}
        write_json(out / SPLIT, about)
    return record


def finish_training(
    chosen: Mapping[str, Any],
    data: OwnData,
    preset: Preset,
    keeper: BestKeeper,
    trained: TrainResult,
    record: RunRecord,
) -> str:
    """Evaluate the best weights on all held-out images and write what a training ends with."""
    out = keeper.folder
    best = load_checkpoint(out / BEST).system
    best.model.to(keeper.device)
    found = evaluate(
        best,
        data.val,
        preset.predict,
        device=keeper.device,
        progress=interactive(),
        explain=False,
    )
    scores = found.as_dict()
    counts = {"train_images": len(data.train), "val_images": len(data.val)}
    source = str(data.train.table.source)
    about = {**chosen, **_settled(preset, best, counts["train_images"]), **counts}
    about |= {"data": source, "metrics": scores, "AP": keeper.best}
    export_system(out / BEST, replace(trained, system=best), preset, about)
    save_results(found, data.val, out)
    figures = {"training.png": show_training(trained.history, title=f"AP {scores['AP']:.3f}"),
               VALIDATION: show_validation(data.val, found, best)}  # fmt: skip
    for name, figure in figures.items():
        if figure is not None:
            save_figure(figure, out / name, chosen, runs=[record], small=False)
    record.finish({**scores, "train_seconds": trained.seconds, "steps": trained.steps})
    lines = [str(found), *(f"AP is low: {reason}" for reason in reasons_of(found)), ""]
    return "\n".join(lines) + (
        f"{out / BEST}: AP {scores['AP']:.3f} on {data.about}; poses beside the truth in "
        f"{out / VALIDATION}\nposelib predict PHOTOS --model {out} --out poses"
    )


def _settled(preset: Preset, system: System, images: int) -> dict[str, Any]:
    """Return what the options became that were left to the data and the machine."""
    recipe = preset.recipe
    return {
        "system": system.name,
        "size": preset.input_size,
        "batch": recipe.batch_size,
        "epochs": round(recipe.steps * recipe.batch_size / max(1, images), 2),
        "lr": recipe.learning_rate,
    }


def reasons_of(found: Evaluation) -> tuple[str, ...]:
    """Return likely reasons of a low AP, or of none."""
    return () if found.ap.AP >= _EXPLAINED else diagnose(found.comparison)


def save_results(found: Evaluation, dataset: LabeledImages, folder: Path) -> Path:
    """Write the poses of a dataset into the folder of a run, in COCO's results format."""
    write_results(results_of(found, dataset), folder / RESULTS)
    return folder / RESULTS


def results_of(found: Evaluation, dataset: LabeledImages) -> list[dict[str, Any]]:
    """Return the poses of a dataset in COCO's results format."""
    table = dataset.annotations()
    pairs = zip(found.poses, table.image_ids, strict=True)
    return [row for poses, image in pairs for row in poses.to_coco(image, table.category_ids[0])]
