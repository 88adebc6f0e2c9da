"""Make figures again: trainings first, then the notebooks and commands that show them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from poselib.experiments.ablation import trained_file
from poselib.experiments.fingerprint import module_of
from poselib.experiments.kept_runs import keep_run
from poselib.experiments.notebooks import NotebookError, is_newer, run_notebook
from poselib.experiments.parameters import Scalar, notebook_parameters
from poselib.experiments.reproduction import (
    Execution,
    Folders,
    Reproduction,
    Training,
    open_execution,
)
from poselib.experiments.run_sweep import DAY, Outcome, execute_runs
from poselib.experiments.runs import new_id
from poselib.experiments.study import Study
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.sweep_progress import name_of, span
from poselib.ops.console import say

_SMOKE = "figures"  # in the folder of runs: those of the preset smoke mean nothing


@dataclass(frozen=True)
class End:
    """How a training, notebook or command ended.

    Attributes:
        name: of it.
        state: ``"done"``, ``"done before"``, ``"failed"`` or ``"not begun"``.
        about: how long it took, why it failed or was not begun, or where a training's log is.
    """

    name: str
    state: str
    about: str = ""

    @property
    def failed(self) -> bool:
        """Whether it was not made."""
        return self.state in ("failed", "not begun")


def describe(plan: Reproduction, workers: int = 1) -> str:
    """Return what is to be done, why, and about how long it takes, in lines."""
    lines = [f"trainings: {len(plan.trainings)}"]
    lines += [f"  {_training(each.run)}: {_how(each)}" for each in plan.trainings]
    lines.append(f"notebooks and commands: {len(plan.executions)}")
    for each in plan.executions:
        lines.append(f"  {each.call}: {_span(each.seconds)}")
        reasons: dict[str, list[str]] = {}
        for name, reason in each.because.items():
            reasons.setdefault(reason, []).append(name)
        lines += [f"    {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    trainings = [each.seconds for each in plan.trainings]
    seconds = [*trainings, *(each.seconds for each in plan.executions)]
    known = sum(filter(None, trainings)) / max(1, min(workers, len(trainings)))
    known += sum(filter(None, seconds[len(trainings) :]))
    more = f", and {seconds.count(None)} of them of unknown time" if None in seconds else ""
    return "\n".join([*lines, f"in all: {_span(known)}{more}"])


def reproduce(
    plan: Reproduction,
    folders: Folders,
    workers: int = 1,
    device: str | None = None,
    scheduler: str | None = None,
) -> list[End]:
    """Execute a plan, and go on after what fails.

    What needs a training, a figure or a table that could not be made is not begun. Notebooks and
    commands run one after another, since some measure time.

    Args:
        workers: trainings side by side.
        device: of trainings and notebooks.
        scheduler: whose workers train instead: see ``execute_runs``.
    """
    given = {"device": device} if device else {}
    runs = [each.run for each in plan.trainings]
    _put_aside(runs, folders)
    keep = _keeping(plan, folders, device or "auto")
    trained = execute_runs(runs, folders.runs, workers, given, scheduler=scheduler, on_end=keep)
    ends = [End(f"training {name_of(each.run)}", each.state, _about(each)) for each in trained]
    failed = {each.run.run_id for each in trained if each.state == "failed"}
    absent: set[str] = set()
    for execution in plan.executions:
        lacking = [name_of(run) for run in execution.runs if run.run_id in failed]
        lacking += execution.recipe.names_read(absent)
        if lacking:
            end = End(execution.call, "not begun", f"it needs {lacking[0]}")
        else:
            end = _execute(execution, folders, given)
        say(f"{end.name}: {end.state} {end.about}".rstrip())
        if end.failed:
            absent |= set(execution.recipe.always)
        ends.append(end)
    return ends


def report(ends: Sequence[End]) -> str:
    """Return a table of how all ended, and how many there are of each state."""
    counts = Counter(end.state for end in ends)
    table = pd.DataFrame([vars(end) for end in ends])
    states = ", ".join(f"{number} {state}" for state, number in counts.items())
    return f"{table.to_string(index=False, header=False)}\n{states}"


def _put_aside(runs: Sequence[PlannedRun], folders: Folders) -> None:
    """Move the folders of finished runs that are to be executed again; nothing is lost."""
    for run in runs:
        if record := run.record(folders.runs):
            target = folders.runs / "replaced" / f"{run.run_id}-{time.time_ns()}"
            target.parent.mkdir(exist_ok=True)
            record.folder.rename(target)


def _keeping(plan: Reproduction, folders: Folders, device: str) -> Callable[[Outcome], None]:
    """Return what keeps each finished training of a study, with what the study evaluates of it."""
    executions = [each for each in plan.executions if each.recipe.study]
    studies: dict[str, Study] = {}

    def keep(outcome: Outcome) -> None:
        run = outcome.run
        record = run.record(folders.runs)
        if record is None or run.parameters.get("preset") == "smoke":
            return
        try:
            for each in executions:
                if run.run_id in [other.run_id for other in each.runs]:
                    name = each.recipe.study
                    studies[name] = studies.get(name) or open_execution(each.parameters, folders)
                    studies[name].evaluate_run(record, device)
            keep_run(record, folders.figures)
        except (ValueError, OSError, RuntimeError) as error:
            say(f"{name_of(run)}: it is not kept yet: {error}")

    return keep


def _execute(execution: Execution, folders: Folders, given: Mapping[str, str]) -> End:
    """Execute a notebook or command, and see that it wrote its figures."""
    logs, start = folders.runs / "notebooks", time.time()
    smoke = execution.parameters.get("preset") == "smoke"
    figures = (folders.runs / _SMOKE if smoke else folders.figures).resolve()
    figures.mkdir(parents=True, exist_ok=True)
    try:
        if execution.recipe.command:
            _run_command(execution.recipe.command, figures, logs)
        else:
            notebook = folders.notebooks / f"{execution.recipe.notebook}.ipynb"
            values = {**_with_trained(execution, folders), "figures_dir": str(figures), **given}
            values["runs_dir"] = str(folders.runs)
            known = notebook_parameters(notebook)
            values = {name: value for name, value in values.items() if name in known}
            run_notebook(notebook, logs, values, DAY)
    except (NotebookError, ValueError, OSError) as error:
        return End(execution.call, "failed", _reason(error))
    old = [name for name in execution.recipe.always if not is_newer(figures / name, start)]
    if old and not smoke:
        return End(execution.call, "failed", f"it wrote no {old[0]}")
    return End(execution.call, "done", _span(time.time() - start))


def _with_trained(execution: Execution, folders: Folders) -> dict[str, Scalar]:
    """Return parameters with the files of trained systems, relative to the notebook where it is."""
    values = dict(execution.parameters)
    for placeholder, runs in execution.trained.items():
        records = [run.record(folders.runs) for run in runs]
        files = [trained_file(record) for record in records if record is not None]
        paths = " ".join(os.path.relpath(file, folders.notebooks.resolve()) for file in files)
        for name, value in values.items():
            if isinstance(value, str):
                values[name] = value.replace(placeholder, paths)
    return values


def _run_command(command: str, figures: Path, logs: Path) -> None:
    words = [sys.executable, *command.split()[1:], "--out", str(figures)]
    log = logs / f"{new_id(module_of(command))}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        status = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        raise ValueError(f"status {status.returncode}; see {log}")


def _reason(error: Exception) -> str:
    """Return what failed in one line: of a notebook, its cell, error and partial copy."""
    first, line = str(error).partition("\n")[0], getattr(error, "line", "")
    return f"{line} ({first})" if line else first


def _about(outcome: Outcome) -> str:
    return f"{outcome.error} ({outcome.log})" if outcome.error else ""


def _training(run: PlannedRun) -> str:
    return f"{name_of(run)}, preset {run.parameters.get('preset', 'of its notebook')}"


def _how(training: Training) -> str:
    if training.weights_of:
        return f"evaluated again, with the weights of {training.weights_of}"
    return _span(training.seconds)


def _span(seconds: float | None) -> str:
    return "time unknown" if seconds is None else span(seconds)
