"""The command line: ``poselib predict``, ``train``, ``decode``, ``synthetic`` and others."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from poselib import __version__
from poselib.engine.interrupts import exit_on_signals
from poselib.ops.console import complain, interactive, one_line, parse, say
from poselib.ops.processor import spin_briefly

# What takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    # What a command says, and its status if that is not 0.
    Run = Callable[[argparse.Namespace], str | tuple[str, int]]

_EXAMPLES = """examples:
  poselib predict street.jpg --out poses
  poselib predict photos/ --model dekr_w32_coco --out poses
  poselib predict photos/ "more/*.png" --model runs/x --out poses --size 512
  poselib predict photos/ --out poses --batch-size 8 --scales 0.5 1 2 --device cuda
  poselib predict clip.mp4 --out poses --smooth one-euro
  poselib predict walk/ run/ --video --fps 30 --out poses
  poselib train --data hands/ --out runs/hands
  poselib train --data hands/ --init dekr_w32_coco --steps 2000 --out runs/hands
  poselib evaluate --model runs/hands --data hands/
  poselib evaluate --model dekr_w32_coco --data coco --data-dir data/coco --out runs/dekr_w32
  poselib sweep notebooks/sweeps/hae_components.json --seeds 0 1 2 --workers 2
  poselib decode maps.npz --out poses.npz --order associative --threads 2
  poselib synthetic data/train --count 5000 --people 1 4
  poselib synthetic data/crowd --count 500 --size 256 --people 3 6 --crowd-index 0.5
  poselib synthetic data/clips --clips 50 --frames 30
"""
_SYNTHETIC = "Write images or clips of synthetic people and annotations to a new folder."
# Options that are counts of at least one; what the library checks itself is not among them.
_COUNTS = ("threads", "repeats", "processes", "count", "clips")
# Commands in files of their own, each with SUMMARY, DESCRIPTION, add_options and run.
_FILES = {
    "predict": "poselib.experiments.predict_command",
    "train": "poselib.experiments.train_command",
    "evaluate": "poselib.experiments.evaluate_command",
    "weights": "poselib.engine.weights.command",
    "decode": "poselib.engine.decode_command",
    "export": "poselib.engine.export.command",
    "sweep": "poselib.experiments.sweep_command",
    "reproduce": "poselib.experiments.reproduce_command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for bad input, 130 when interrupted.

    Commands that report of several things return 1 where one of them is not as it should be.
    """
    spin_briefly()
    arguments = parse(_parser(), argv)
    try:
        _check_options(arguments)
        with exit_on_signals():
            said = arguments.run(arguments)
            text, status = said if isinstance(said, tuple) else (said, 0)
            say(text)
    except KeyboardInterrupt:
        complain(f"poselib {arguments.command}: interrupted")
        return 130
    except Exception as error:
        if (reason := one_line(error)) is None:
            raise
        complain(f"poselib {arguments.command}: {reason}")
        return 2
    return status


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise ValueError for an option that is empty, no number, or less than its command can use."""
    for name, value in vars(arguments).items():
        option = f"--{name.replace('_', '-')}"
        if value == []:  # what argparse makes of --seed=--
            raise ValueError(f"{option}: a value is missing")
        for each in value if isinstance(value, list | tuple) else [value]:
            if each == "":
                raise ValueError(f"{option}: an empty text is no name")
            if isinstance(each, float) and not math.isfinite(each):
                raise ValueError(f"{option} must be a finite number, not {each}")
            if name in _COUNTS and each is not None and each < 1:
                raise ValueError(f"{option} must be 1 or more, not {each}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poselib",
        description="Multi-person human pose estimation.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poselib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_synthetic(commands)
    for name, module in _FILES.items():
        file = importlib.import_module(module)
        add = _command(commands, name, file.run, file.SUMMARY, file.DESCRIPTION).add_argument
        file.add_options(add)
    return parser


def _command(
    commands: Commands, name: str, run: Run, summary: str, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_synthetic(commands: Commands) -> None:
    from poselib.data.synthetic.command import add_options

    summary = "render a synthetic dataset in COCO's format, or clips in PoseTrack18's"
    add_options(_command(commands, "synthetic", _synthetic, summary, _SYNTHETIC).add_argument)


def _synthetic(arguments: argparse.Namespace) -> str:
    from poselib.data.synthetic.command import write

    return write(arguments, progress=interactive())


if __name__ == "__main__":
    sys.exit(main())
