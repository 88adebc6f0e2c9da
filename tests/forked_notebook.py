"""Notebooks run in processes that are forked from one which has imported the library already."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.parameters import check_parameters
from poselib.ops.io import read_json

IMPORTED = (
    "IPython.core.interactiveshell",
    "cv2",
    "matplotlib.pyplot",
    "pycocotools.cocoeval",
    "scipy.optimize",
    "scipy.signal",
    "seaborn",
    "timm",
    "torch",
    "torch._dynamo",
    "torchvision",
    "poselib.api",
    "poselib.engine.evaluate",
    "poselib.experiments.training",
)


def run_forked(path: Path, given: Mapping[str, Any], log: Path, timeout: float) -> None:
    """Run a notebook's cells in IPython, in the notebook's folder, with parameters of its own.

    Unlike ``run_notebook`` this starts no interpreter, whose imports take longer than most
    notebooks with the preset smoke. What the cells print goes to ``log``.

    Raises:
        AssertionError: a cell raised an error or all took longer than ``timeout`` seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    process = context.Process(target=_run, args=(path, check_parameters(path, given), log))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{path.name} took longer than {timeout:.0f} s\n{log.read_text()}")
    assert process.exitcode == 0, f"{path.name} failed\n{log.read_text()}"


def _run(path: Path, given: Mapping[str, Any], log: Path) -> None:
    # Imported here: only those who execute notebooks need IPython.
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from poselib.experiments import runs

    gc.freeze()  # what was imported before the fork stays, and no page of it is copied
    runs._DPI = 50  # nobody looks at the figures
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(path.parent)
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    for cell in read_json(path)["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()
        if "parameters" in cell["metadata"].get("tags", []):
            shell.push(dict(given))
