"""Sweeps of short notebooks, and the processes that execute them: commands, schedulers, workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SWEEP = "short.json"
_DECLARED = """\
row = ""
seed = 0
work = 0
steps = 4
pause = 0.3
run_id = ""
runs_dir = ""
"""
# It imports nothing of the library, whose imports would take longer than all else.
_BEGIN = """\
import json, time
from pathlib import Path
folder = Path(runs_dir, run_id)
folder.mkdir(parents=True, exist_ok=True)
began = time.time()
about = {"name": "short", "started": str(began)}
Path(folder, "params.json").write_text(json.dumps({"row": row, "seed": seed}))
Path(folder, "run.json").write_text(json.dumps(about))
with open(folder / "begun", "a") as file:
    file.write(f"{began}\\n")
"""
_WORK = """\
for step in range(1, steps + 1):
    time.sleep(pause)
    total = sum(range(work))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": step, "loss": 1 / step}) + "\\n")
    if row == "broken" and step == 2 and not Path(runs_dir, "mended").exists():
        raise RuntimeError("this row is broken")
"""
_END = """\
whole = {"AP": seed / 10, "seconds": time.time() - began, "began": began}
Path(folder, "part").write_text(json.dumps(whole))
Path(folder, "part").rename(folder / "metrics.json")
"""


def write_sweep(folder: Path, rows: Sequence[str], **parameters: float) -> Path:
    """Write a notebook and a sweep of it, and return the path of the sweep.

    Args:
        folder: receives both.
        rows: their names; of ``"broken"`` the second step fails, until ``mended`` lies in the
            folder of runs.
        parameters: ``steps`` of each run, seconds of ``pause`` and the amount of ``work`` in each.
    """
    sources = (_DECLARED, _BEGIN, _WORK, _END)
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {"tags": [] if number else ["parameters"]},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    Path(folder, "short.ipynb").write_text(json.dumps(book))
    content = {
        "about": "short runs",
        "notebook": "short.ipynb",
        "parameters": parameters,
        "rows": {row: {"row": row} for row in rows},
    }
    path = Path(folder, SWEEP)
    path.write_text(json.dumps(content))
    return path


def start(log: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start a Python process with a module and its arguments; its output goes to a file."""
    command = [sys.executable, "-m", *map(str, words)]
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ))


def start_scheduler(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a Dask scheduler of this machine, and return it with its address.

    Raises:
        RuntimeError: it does not answer within a minute.
    """
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    options = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
    process = start(folder / "scheduler.log", "dask", "scheduler", *options)
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if file.is_file() and (content := file.read_text()).rstrip().endswith("}"):
            return process, str(json.loads(content)["address"])
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"no Dask scheduler: see {folder / 'scheduler.log'}")


def start_worker(folder: Path, scheduler: str) -> subprocess.Popen[bytes]:
    """Start a worker of a scheduler, one process of one thread that nobody starts again."""
    options = ("--no-nanny", "--nthreads", 1, "--no-dashboard", "--local-directory", folder)
    return start(folder / "worker.log", "dask", "worker", scheduler, *options)
