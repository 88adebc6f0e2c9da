"""Options of the command that says whether figures still tell the truth."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUMMARY = "say of every figure and table whether it is fresh, and if not, why"
DESCRIPTION = """Say of every figure and table whether it is fresh, and if not, why; nothing is run.

Fresh: the code that its notebook and its runs reach, the preset's settings and the runs are those
of now. Stale: one of them has changed, and is named. Dirty: made from changes that no commit has.
Missing: the file, what says how it was made, or its notebook is absent.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add("--check", action="store_true", required=True, help="run nothing, only say how all stand")
    add("--figures", default="figures", metavar="FOLDER", help="default: figures")
    add("--notebooks", default="notebooks", metavar="FOLDER", help="default: notebooks")


def run(arguments: argparse.Namespace) -> str:
    """Return a line for each figure that is not fresh, and how many there are of each state."""
    from poselib.experiments.freshness import FRESH, STATES, check_figures

    found = check_figures(Path(arguments.figures), Path(arguments.notebooks))
    width = max((len(each.file) for each in found), default=0)
    lines = [
        f"{each.file:{width}}  {each.state:7}  {each.because}"
        for each in found
        if each.state != FRESH
    ]
    counts = Counter(each.state for each in found)
    return "\n".join([*lines, ", ".join(f"{counts[state]} {state}" for state in STATES)])
