"""Finished runs of a study without training: initial weights, and a loss that falls."""

from __future__ import annotations

from poselib.engine.checkpoints import save_system
from poselib.experiments.parameters import parse_options
from poselib.experiments.runs import start_run
from poselib.experiments.study import Study
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.training import init_system


def finish_run(study: Study, run: PlannedRun, **metrics: float) -> None:
    """Write the folder of a run as the training notebook would leave it."""
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
