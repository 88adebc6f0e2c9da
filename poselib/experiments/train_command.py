"""Options of the command that trains on a dataset of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselib.ops.console import complain, interactive, say
from poselib.ops.io import read_json
from poselib.wording import counted

if TYPE_CHECKING:
    import torch

    from poselib.experiments.own_dataset import OwnData
    from poselib.papers.preset import Preset
    from poselib.systems import System

SUMMARY = "train on a dataset in COCO's format"
DESCRIPTION = """Train a system on a dataset in COCO's format.

DATA is a folder with annotation files (annotations/*.json, train and val by their names, or one
JSON file) and its images, wherever they lie in it; or the name of a known dataset, such as coco,
with --data-dir. The dataset is checked as a whole first: --check does this alone. Without a
validation set a tenth of the images is held out.

OUT receives check.json and annotations.png (the first annotated images), checkpoint.pt (the last
weights, to go on from), best.safetensors (the best ones by AP on the held-out images, which predict
takes: poselib predict photos --model OUT --out poses), curves.csv, training.png, validation.png
(poses beside the truth), results.json (COCO's results of the held-out images) and metrics.json.

Ctrl-C ends the step under way and keeps a checkpoint; --resume goes on from it.
"""
# Options that a training records; the others may differ when it goes on.
_RECORDED = {
    **dict.fromkeys(("data", "data_dir", "images", "skeleton", "system", "init", "backbone"), ""),
    **{"option": "", "size": 0, "batch": 0, "steps": 0, "epochs": 0.0, "lr": 0.0, "seed": 0},
    **{"precision": "", "compile": False, "accumulate": 0},
}


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add("--data", metavar="DATA", help="COCO-format folder or file, or the name of a dataset")
    add("--data-dir", metavar="DIR", help="where a dataset lies that is given by its name")
    add("--images", metavar="DIR", help="folder of the images; default: found by their names")
    explained = "of the keypoints, its name or file; default: that of the annotations"
    add("--skeleton", metavar="NAME", help=explained)
    add("--out", required=True, metavar="OUT", help="folder of the training")
    add("--system", metavar="NAME", help="default: that of --init, or hae")
    explained = (
        "weights to start from: a model's name or file; imagenet, or a file of a backbone; none. "
        "Default: the bundled model for hrnet_tiny, imagenet for others"
    )
    add("--init", metavar="NAME", help=explained)
    explained = "default: that of --init; else hrnet_tiny on a CPU, hrnet_w32 on a GPU"
    add("--backbone", metavar="NAME", help=explained)
    explained = "of the system, may be repeated, as --option adaptive=false"
    add("--option", action="append", metavar="NAME=VALUE", help=explained)
    add("--size", type=int, metavar="PX", help="side of the training crops")
    add("--batch", type=int, metavar="N", help="images a step")
    explained = "compute a step in so many parts, one after the other, to save memory (default 1)"
    add("--accumulate", type=int, metavar="N", help=explained)
    add("--steps", type=int, metavar="N", help="length of the training; or --epochs")
    add("--epochs", type=float, metavar="N", help="passes over the images")
    add("--lr", type=float, metavar="RATE", help="peak of the learning rate")
    explained = "processes that prepare images; default: none on a CPU, up to 8 for a GPU"
    add("--workers", type=int, metavar="N", help=explained)
    explained = "of the network; default: bfloat16 where the processor is faster in it, or float32"
    add("--precision", choices=("float32", "bfloat16", "float16"), help=explained)
    explained = "compile the network, which takes minutes; for long trainings on a GPU"
    add("--compile", action="store_true", default=None, help=explained)
    add("--seed", type=int, metavar="N", help="of all chance (default 0)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    explained = (
        "train in so many processes of this machine, which share each batch: one for each GPU, or "
        "on the CPU (default 1); torchrun -m poselib.cli train starts them on several machines"
    )
    add("--processes", type=int, default=1, metavar="N", help=explained)
    add("--check", action="store_true", help="check the dataset and draw some of it; no training")
    add("--resume", action="store_true", help="go on with the training in OUT")
    add("--tensorboard", action="store_true", help="write events for TensorBoard to OUT too")


def run(arguments: argparse.Namespace) -> str:
    """Check, train and evaluate; return a summary.

    Raises:
        FileNotFoundError, ValueError: an option, the dataset or the weights are wrong; before
            anything is trained.
    """
    from poselib.engine.device import get_device
    from poselib.engine.distributed import Together, joined, launched
    from poselib.engine.launch import check_processes, start_processes
    from poselib.engine.training_log import check_tensorboard
    from poselib.experiments.own_results import check_folder
    from poselib.experiments.own_training import describe_plan

    out, device = Path(arguments.out), get_device(arguments.device)
    check_folder(out, (arguments.data, arguments.images), only_checked=arguments.check)
    if arguments.tensorboard:
        check_tensorboard()
    if arguments.processes > 1 and not arguments.check and not launched():
        check_processes(arguments.processes, device)
        _choices(arguments, out)
        command = ("-m", "poselib.cli", *arguments.command_line)
        raise SystemExit(start_processes(arguments.processes, command))
    with joined(device):
        agreed = Together().agreed
        with agreed():
            chosen = _choices(arguments, out)
        with agreed():
            data = _checked_data(chosen, out)
        if arguments.check:
            return _end_of_check(data, out)
        with agreed():
            system, preset, kept = _start(chosen, arguments, data, out, device)
        say(kept)
        say(describe_plan(system, preset, data, device))
        return _train(chosen, arguments, data, system, preset, out, device)


def _choices(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Return the recorded options: as given, or of the training that goes on.

    Raises:
        ValueError: they contradict the training in the folder, or there is none to go on with.
    """
    from poselib.engine.train import CHECKPOINT
    from poselib.experiments.own_dataset import from_anywhere
    from poselib.experiments.own_results import RUN
    from poselib.experiments.runs import load_run

    given = {name: getattr(arguments, name) for name in _RECORDED}
    given["option"] = " ".join(given["option"] or []) or None
    for name in ("size", "batch", "accumulate", "steps", "epochs", "lr"):
        if given[name] is not None and not given[name] > 0:
            raise ValueError(f"--{name} must be positive, not {given[name]}")
    for name, value in (("seed", given["seed"]), ("workers", arguments.workers)):
        if value is not None and value < 0:
            raise ValueError(f"--{name} must be 0 or more, not {value}")
    there = (out / CHECKPOINT).is_file()
    if (out / "run.json").is_file() and (name := load_run(out).name) != RUN:
        raise ValueError(f"{out} holds a run of {name!r}, not of this command: give another --out")
    if arguments.resume and not there:
        raise ValueError(f"{out} holds no training to resume: start it without --resume")
    if there and not (arguments.resume or arguments.check):
        done = (out / "metrics.json").is_file()
        advice = "give another --out" if done else "--resume goes on, or give another --out"
        raise ValueError(f"{out} holds a {'finished ' * done}training: {advice}")
    if arguments.resume and (out / "metrics.json").is_file():
        raise ValueError(f"{out} holds a finished training: give another --out to train more")
    if arguments.resume:
        recorded = read_json(out / "params.json")
        for name, value in given.items():
            if value is not None and from_anywhere(value) != recorded.get(name):
                raise ValueError(
                    f"--{name.replace('_', '-')} is {value!r}, but the training in {out} has "
                    f"{recorded.get(name)!r}: leave it out to resume"
                )
        return {name: recorded.get(name, usual) for name, usual in _RECORDED.items()}
    if not given["data"]:
        raise ValueError("--data is wanted: a COCO-format folder, or the name of a dataset")
    return {k: _RECORDED[k] if value is None else value for k, value in given.items()}


def _checked_data(chosen: dict[str, Any], out: Path) -> OwnData:
    """Open the dataset, after a check of it as a whole whose report is printed and written.

    Raises:
        ValueError: something must be mended first.
    """
    from poselib.experiments import own_dataset as own
    from poselib.ops.processes import process_rank

    known = own.open_known(chosen["data"], chosen["data_dir"]) if chosen["data_dir"] else None
    if known is not None:
        parts, skeleton = own.known_parts(known), known.train.skeleton
    else:
        parts = own.find_parts(chosen["data"], chosen["images"])
        skeleton = own.skeleton_for(parts, chosen["skeleton"])
        say(skeleton.summary())
    first = not process_rank()  # of several processes, one checks and writes
    reports = own.check_parts(parts, skeleton) if first else ()
    path = own.write_check(reports, out) if first else out
    say("\n".join(map(str, reports)))
    if fatal := [finding for report in reports for finding in report.fatal]:
        raise ValueError(
            f"{chosen['data']}: {counted(len(fatal), 'kind')} of faults must be mended first, the "
            f"first: {fatal[0]}; all are in {path}"
        )
    data = known or own.open_own(parts, skeleton, chosen["seed"])
    if first:
        own.draw_annotated(data.train, out / own.ANNOTATED)
    return data


def _end_of_check(data: OwnData, out: Path) -> str:
    from poselib.experiments.own_dataset import ANNOTATED, CHECK

    pictures = f", the first images in {out / ANNOTATED}" if (out / ANNOTATED).is_file() else ""
    return (
        f"{counted(len(data.train), 'image')} to train on, validation on {data.about}; report in "
        f"{out / CHECK}{pictures}"
    )


def _start(
    chosen: dict[str, Any],
    arguments: argparse.Namespace,
    data: OwnData,
    out: Path,
    device: torch.device,
) -> tuple[System, Preset, str]:
    """Build the system with its first weights, or read the training that goes on."""
    from dataclasses import replace

    from poselib.engine.checkpoints import load_checkpoint, read_training
    from poselib.engine.train import CHECKPOINT
    from poselib.engine.train_config import TrainConfig
    from poselib.experiments.own_training import Start, find_start, plan, start_system
    from poselib.experiments.parameters import parse_options
    from poselib.papers.own_data import Wishes

    wishes = Wishes(
        size=chosen["size"], batch=chosen["batch"], accumulate=chosen["accumulate"],
        steps=chosen["steps"], epochs=chosen["epochs"],
        learning_rate=chosen["lr"], workers=arguments.workers, seed=chosen["seed"],
        precision=chosen["precision"], compile=chosen["compile"],
    )  # fmt: skip
    if arguments.resume:
        system = load_checkpoint(out / CHECKPOINT).system
        system.check_dataset(data.train)
        state = read_training(out / CHECKPOINT)
        preset = plan(Start(system.name, system.options), data, device, wishes)
        recipe = replace(TrainConfig(**state["recipe"]), workers=preset.recipe.workers)
        size = system.input_size or preset.input_size
        preset = replace(preset, recipe=recipe, input_size=size)
        return system, preset, f"resume: step {state['step']} of {recipe.steps}"
    options = parse_options(chosen["option"])
    start = find_start(chosen["init"], chosen["system"], chosen["backbone"], options, device)
    preset = plan(start, data, device, wishes)
    system, kept = start_system(start, preset, data.train.skeleton, chosen["seed"])
    if system.clips:
        raise ValueError(f"system {system.name!r} is trained on videos: use notebook 03_train")
    return system, preset, kept


def _train(
    chosen: dict[str, Any],
    arguments: argparse.Namespace,
    data: OwnData,
    system: System,
    preset: Preset,
    out: Path,
    device: torch.device,
) -> str:
    """Train, and evaluate the best weights."""
    from poselib.engine.distributed import Together
    from poselib.engine.train import CHECKPOINT
    from poselib.engine.training_log import TensorBoard, write_curves
    from poselib.experiments.own_results import BestKeeper, finish_training, start_record
    from poselib.experiments.training import train_preset
    from poselib.ops.processes import process_rank

    first = not process_rank()
    with Together().agreed():
        record = start_record(chosen, data, out, arguments.resume) if first else None
        board = TensorBoard(out) if arguments.tensorboard and first else None
        keeper = BestKeeper(out, preset, data, device, board)
    try:
        trained = train_preset(
            preset,
            system,
            data.train,
            out,
            seed=chosen["seed"],
            device=device,
            validate=keeper,
            progress=interactive(),
            report=keeper.record,
        )
    except KeyboardInterrupt:
        complain(
            f"poselib train: stopped; {out} keeps the weights: poselib train --resume --out {out} "
            f"goes on, poselib predict --model {out} uses them"
        )
        raise
    except OSError as error:
        advice = f": poselib train --resume --out {out}" if (out / CHECKPOINT).is_file() else ""
        raise OSError(f"{error}{advice}") from error
    finally:
        if board is not None:
            board.close()
    if record is None:
        return ""
    write_curves(out)
    return finish_training(chosen, data, preset, keeper, trained, record)
