"""Small notebooks, and finished runs of a study that were never trained."""

from __future__ import annotations

import json
from pathlib import Path

from poselib.engine.checkpoints import save_system
from poselib.experiments.loading import load_or_init
from poselib.experiments.parameters import parse_options
from poselib.experiments.runs import start_run
from poselib.experiments.study import Study
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.training import init_system


def finish_run(study: Study, run: PlannedRun, **metrics: float) -> None:
    """Write the folder of a run as 03_train leaves it: initial weights, a falling loss."""
    system_name = str(run.parameters.get("system", "hae"))
    options = parse_options(str(run.parameters.get("options", "")))
    record = start_run(study.runs_dir, "train", dict(run.parameters), run.run_id)
    system = init_system(
        study.settings, study.test_set.skeleton, run.seed, system_name, pretrained="", **options
    )
    for step in range(1, 5):
        record.log({"step": step, "seconds": 1.0, "loss": 2 / step, "offset": 1e-4 / step})
    save_system(record.folder / f"{system_name}_crowd.safetensors", system)
    record.finish({"steps": 4, **metrics})


def finish_study(study: Study) -> None:
    """Finish all runs of a study."""
    for run in study.runs:
        finish_run(study, run)


def saved_system(name: str, path: Path) -> str:
    """Write a system for clips with its first weights, as the preset smoke has it."""
    save_system(path, load_or_init("", "smoke", "clips", name=name).system)
    return str(path)


def cell(source: str, *tags: str) -> dict:
    """Return a code cell."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"cell{abs(hash(source)) % 10**8}",
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": source,
    }


def write_notebook(path: Path, *cells: dict) -> Path:
    """Write a notebook of some cells and return its path."""
    content = {
        "cells": list(cells),
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content))
    return path
