"""The command: choices of what is measured, and what is missing said in a sentence."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poselib.ops.console import complain, one_line, parse, say

_SYSTEMS = ("hae", "grm", "dekr", "logocap", "rpstn", "jre")
_KINDS = ("inference", "decoding", "training", "adaptation", "stream", "accuracy", "input")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure this machine, or draw a record; return the exit status.

    Modules that measure are imported here, so that a missing one is an error of the command.
    """
    given = parse(_parser(), argv)
    try:
        if given.draw is None:
            path = _measure(given)
        else:
            path = given.draw
        return _draw(path, wanted=given.draw is not None)
    except ModuleNotFoundError as error:
        complain(f"the module {error.name!r} is missing: install it, or carry its wheel here")
    except (OSError, ValueError) as error:
        complain(str(one_line(error)))
    return 2


def _measure(given: argparse.Namespace) -> Path:
    """Measure and return the path of the record."""

    from poselib.benchmarks.hardware.bench import Bench
    from poselib.benchmarks.hardware.plan import Choice, make_plan
    from poselib.benchmarks.hardware.record import Record
    from poselib.engine.device import get_device
    from poselib.ops.processor import usable_cores
    from poselib.wording import counted

    device = get_device(given.device)
    on_gpu = device.type == "cuda"
    bench = Bench(
        device,
        size=given.size,
        crop=given.crop,
        people=given.people[0],
        repeats=given.repeats,
        seconds=given.seconds,
        backbone=given.backbone,
        seed=given.seed,
    )
    choice = Choice(
        systems=given.systems,
        kinds=given.kinds,
        batches=given.batches,
        training_batch=given.training_batch,
        people=given.people,
        compiled=on_gpu if given.compile is None else given.compile,
        scenes=given.scenes,
        workers=given.workers or [0, usable_cores()],
    )
    parameters = {k: v for k, v in vars(given).items() if k not in ("parser", "draw", "out")}
    record = Record(given.out / f"{given.name}.json", bench, parameters, given.resume)
    record.run(make_plan(bench, choice), 60 * given.minutes)
    for each in record.content["verdicts"]:
        met = {True: "met", False: "missed", None: "-"}[each["met"]]
        say(f"{met:7} {each['target']}: {each['measured']}; wanted: {each['wanted']}")
    if skipped := record.content["skipped"]:
        first = f"{skipped[0]['task']} ({skipped[0]['reason']})"
        say(f"{counted(len(skipped), 'task')} left out, the first {first}; --resume goes on")
    say(str(record.path))
    return record.path


def _draw(path: Path, wanted: bool) -> int:
    try:
        from poselib.benchmarks.hardware.figure import draw_record

        say(str(draw_record(path)))
    except ModuleNotFoundError as error:
        if wanted:
            raise
        complain(f"no figure, as {error.name!r} is missing; elsewhere: --draw {path}")
    except ValueError as error:
        if wanted:
            raise
        complain(f"no figure: {one_line(error)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m poselib.benchmarks.hardware",
        description="Measure prediction, decoding, training, refinement, streams and AP of every "
        "system under several setups: images a second, latency, memory. Weights are random.",
    )
    add = parser.add_argument
    add("--device", default="auto", help="cuda, cpu or auto, a GPU if there is one (the default)")
    add("--out", type=Path, default=Path("figures"), help="folder of the JSON and PNG")
    add("--name", default="hardware", help="their name without its ending")
    add("--minutes", type=float, default=9.0, help="what does not fit is left out (default: 9)")
    add("--resume", action="store_true", help="keep what the JSON has, and measure what it lacks")
    add("--draw", type=Path, metavar="JSON", help="measure nothing: draw this record")
    listed: dict[str, Any] = {"nargs": "+", "metavar": "NAME"}
    add("--systems", default=_SYSTEMS, choices=_SYSTEMS, help=", ".join(_SYSTEMS), **listed)
    add("--kinds", default=_KINDS, choices=_KINDS, help=", ".join(_KINDS), **listed)
    numbers: dict[str, Any] = {"nargs": "+", "type": int, "metavar": "N"}
    add("--batches", default=[1, 32], help="images in a batch (default: 1 32)", **numbers)
    add("--people", default=[10, 30], help="in decoded images (default: 10 30)", **numbers)
    add("--training-batch", type=int, default=32, metavar="N", help="images, or clips, of a step")
    add("--size", type=int, default=512, help="side of images, px (default: 512)")
    add("--crop", type=int, default=256, help="side of crops of one person, px (default: 256)")
    add("--backbone", default="", help="of all systems, such as hrnet_tiny; default: published")
    compiling = argparse.BooleanOptionalAction
    add("--compile", action=compiling, help="torch.compile too (default: on a GPU alone)")
    add("--seconds", type=float, default=0.5, help="of each timing at least (default: 0.5)")
    add("--repeats", type=int, default=5, help="calls of each timing at least (default: 5)")
    add("--scenes", type=int, default=200, help="images of which AP is measured (default: 200)")
    add("--workers", help="processes that prepare images (default: 0 and one a core)", **numbers)
    add("--seed", type=int, default=0, help="of weights and inputs (default: 0)")
    parser.set_defaults(parser=parser)
    return parser
