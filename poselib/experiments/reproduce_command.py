"""Options of the command that makes figures again, and says whether they still tell the truth."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselib.experiments.freshness import Freshness
    from poselib.experiments.reproduction import Folders

SUMMARY = "make figures and tables again that are stale, dirty or missing, or say which are"
DESCRIPTION = """Make figures and tables again that are stale, dirty or missing: first the trainings
that they need and that are not finished, then tables, then figures.

Fresh: the code that its notebook and its runs reach, the preset's settings and the runs are those
of now. Stale: one of them has changed, and is named. Dirty: made from changes that no commit has.
Missing: the file, what says how it was made, or its notebook is absent. Waiting: it needs a GPU,
and was not made yet; without one it is left out unless it is named.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add(
        "figure",
        nargs="*",
        default=(),
        help="only these, as hae_runtime or hae_runtime.png; fresh ones too",
    )
    add("--check", action="store_true", help="run nothing, only say how all stand")
    add("--dry-run", action="store_true", help="run nothing, only say what would be run, and why")
    states = ("stale", "dirty", "missing")
    text = "with --check: end with status 1 if a figure is in one of these states"
    add("--fail-on", nargs="+", choices=states, default=(), metavar="STATE", help=text)
    add("--preset", help="of notebooks and trainings; default: that of each figure")
    add("--workers", type=int, default=1, help="trainings side by side; default: 1")
    text = "train on the workers of this Dask scheduler, as tcp://node1:8786 or its file, instead"
    add("--scheduler", metavar="ADDRESS", help=text)
    add("--device", help="where to train: cpu, cuda or auto")
    add("--runs", default="runs", metavar="FOLDER", help="default: runs")
    add("--figures", default="figures", metavar="FOLDER", help="default: figures")
    add("--notebooks", default="notebooks", metavar="FOLDER", help="default: notebooks")


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """Check, plan or make figures; return what came out, and the status."""
    from poselib.experiments.reproduction import Folders

    _check_together(arguments)
    folders = Folders(
        Path(arguments.figures), Path(arguments.notebooks), Path(arguments.runs).resolve()
    )
    return _check(arguments, folders) if arguments.check else _make(arguments, folders)


def _check_together(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options that mean nothing together."""
    others = ("figure", "dry_run", "preset", "device", "scheduler")
    if arguments.check and (given := [name for name in others if getattr(arguments, name)]):
        name = "names of figures" if given[0] == "figure" else f"--{given[0].replace('_', '-')}"
        raise ValueError(f"--check runs nothing and checks all figures: leave out {name}")
    if arguments.fail_on and not arguments.check:
        raise ValueError("--fail-on is an option of --check")


def _check(arguments: argparse.Namespace, folders: Folders) -> tuple[str, int]:
    from poselib.experiments.freshness import FRESH, STATES, WAITING, check_figures

    found = check_figures(folders.figures, folders.notebooks)
    lines = _lines(each for each in found if each.state != FRESH)
    counts = Counter(each.state for each in found)
    failed = any(counts[state] for state in arguments.fail_on)
    shown = [state for state in STATES if counts[state] or state != WAITING]
    summary = ", ".join(f"{counts[state]} {state}" for state in shown)
    return "\n".join([*lines, summary]), int(failed)


def _make(arguments: argparse.Namespace, folders: Folders) -> tuple[str, int]:
    from poselib.experiments.reproduce import describe, report, reproduce
    from poselib.experiments.reproduction import plan_reproduction
    from poselib.experiments.sweep_checks import check_device
    from poselib.ops.console import say
    from poselib.ops.io import check_output

    elsewhere = bool(arguments.scheduler) or arguments.dry_run
    check_device(arguments.device or "", elsewhere=elsewhere)
    for folder in () if arguments.dry_run else (folders.runs, folders.figures):
        check_output(folder, folder=True)
    plan = plan_reproduction(folders, arguments.figure, arguments.preset, gpu=_finds_gpu(arguments))
    lines, waiting = _lines(plan.unmade), _lines(plan.waiting)
    unmade = ["no recipe says how these are made:", *lines] if lines else []
    left = ["left out, as they need a GPU (name them to make them here):"] if waiting else []
    text = "\n".join([describe(plan, arguments.workers), *left, *waiting, *unmade])
    if arguments.dry_run or not plan.executions:
        return text, 0 if arguments.dry_run else int(bool(unmade))
    say(text)
    ends = reproduce(plan, folders, arguments.workers, arguments.device, arguments.scheduler)
    return "\n".join([report(ends), *unmade]), int(bool(unmade) or any(e.failed for e in ends))


def _finds_gpu(arguments: argparse.Namespace) -> bool:
    """Whether to make what needs a GPU: with one, elsewhere, or as a trial that needs none."""
    if arguments.scheduler or arguments.preset == "smoke":
        return True
    if arguments.device in ("cpu", "cuda"):
        return bool(arguments.device == "cuda")
    import torch

    return torch.cuda.is_available()


def _lines(figures: Iterable[Freshness]) -> list[str]:
    """Return a line for each figure: its name, its state and why."""
    found = list(figures)
    width = max((len(each.file) for each in found), default=0)
    return [f"{each.file:{width}}  {each.state:7}  {each.because}" for each in found]
