"""Plan how figures are made again: which trainings, then which notebooks and commands, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poselib.experiments.ablation import study_runs
from poselib.experiments.freshness import FRESH, Freshness, check_figures
from poselib.experiments.kept_runs import KeptRun
from poselib.experiments.parameters import (
    LOCAL,
    Scalar,
    check_parameters,
    check_preset,
    notebook_parameters,
)
from poselib.experiments.provenance import provenance
from poselib.experiments.recipes import ABLATION, Recipe, read_recipes, select_figures
from poselib.experiments.recorded_times import RecordedTimes
from poselib.experiments.reused_weights import earlier_training, weights_basis
from poselib.experiments.run_record import RunRecord
from poselib.experiments.study import Study, open_study
from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import read_json


@dataclass(frozen=True)
class Training:
    """A training that is to be executed.

    Attributes:
        run: it.
        seconds: how long it may take; None if nothing tells.
        weights_of: the id of an earlier run whose weights it evaluates again instead of training:
            see ``reused_weights``; empty if there is none.
    """

    run: PlannedRun
    seconds: float | None
    weights_of: str = ""


@dataclass(frozen=True)
class Execution:
    """A notebook or command that is to be executed.

    Attributes:
        recipe: of its figures.
        parameters: of the notebook, with the names of trained systems not yet replaced.
        because: why, by the name of each figure or table that is asked for.
        trained: the trainings whose systems each placeholder in ``parameters`` stands for.
        runs: all trainings that it needs.
        waiting: those of them that are to be executed.
        seconds: what it took when it was last recorded; None if it was not.
    """

    recipe: Recipe
    parameters: Mapping[str, Scalar]
    because: Mapping[str, str]
    trained: Mapping[str, tuple[PlannedRun, ...]] = field(default_factory=dict)
    runs: tuple[PlannedRun, ...] = ()
    waiting: tuple[PlannedRun, ...] = ()
    seconds: float | None = None

    @property
    def call(self) -> str:
        """The command, or the notebook and the parameters that are not its defaults."""
        given = (f"{name}={value!r}" for name, value in self.parameters.items())
        return " ".join([self.recipe.maker, *given])


@dataclass(frozen=True)
class Reproduction:
    """What is to be done, in this order.

    Attributes:
        trainings: those that are not finished, each once. One whose weights are absent is among
            them where they are needed: for its trained system, or for an evaluation that is not
            kept with it.
        executions: notebooks and commands.
        unmade: figures for which there is no recipe, and how they stand.
        waiting: figures that are not made because this machine has no GPU.
    """

    trainings: tuple[Training, ...]
    executions: tuple[Execution, ...]
    unmade: tuple[Freshness, ...]
    waiting: tuple[Freshness, ...] = ()


@dataclass(frozen=True)
class Folders:
    """Where everything is.

    Attributes:
        figures: figures, tables, the JSON file of each and the runs that are kept.
        notebooks: notebooks, their sweeps and ``figures.json``.
        runs: the runs.
    """

    figures: Path = Path("figures")
    notebooks: Path = Path("notebooks")
    runs: Path = Path("runs")


def plan_reproduction(
    folders: Folders, names: Sequence[str] = (), preset: str | None = None, *, gpu: bool = True
) -> Reproduction:
    """Plan how figures and tables are made that are not fresh; nothing is run.

    Args:
        names: of figures and tables, with or without suffix; only these are made then, also if they
            are fresh, and what they read if that is not.
        preset: of all notebooks; by default that of each figure's recipe, else that with which it
            was made, else the notebook's own.
        gpu: whether to make what needs a GPU as well; what is named is made in any case.

    Raises:
        FileNotFoundError: a folder is absent.
        ValueError: a name or the preset is unknown, or a recipe or sweep has a fault.
    """
    if preset is not None:
        check_preset(preset)
    recipes = read_recipes(folders.notebooks)
    found = check_figures(folders.figures, folders.notebooks, recipes)
    states = {each.file: each for each in found}
    wanted = {name for name, each in states.items() if each.state != FRESH}
    if names:
        wanted = select_figures(names, states)
    needing = {name for each in recipes if each.needs for name in each.names(states)}
    left = needing - (wanted if names else set()) if not gpu else set()
    asked = _chosen(recipes, wanted, states, left)
    plans = _Plans(folders, recipes, preset)
    executions = tuple(plans.execution(recipe, states, some) for recipe, some in asked)
    made = {name for _, some in asked for name in some}
    waiting = {run.run_id: run for each in executions for run in each.waiting}
    return Reproduction(
        tuple(map(plans.training, waiting.values())),
        executions,
        tuple(states[name] for name in sorted(wanted - made - left)),
        tuple(states[name] for name in sorted(wanted & left)),
    )


def _chosen(
    recipes: Sequence[Recipe],
    wanted: Iterable[str],
    states: Mapping[str, Freshness],
    left: Collection[str],
) -> list[tuple[Recipe, list[str]]]:
    """Return the recipes of figures, and of those that they read and that are not fresh.

    Those that are left out are not among them.
    """
    needed, chosen = set(wanted) - {*left}, []
    for recipe in reversed(recipes):  # each comes after what it reads
        if some := [name for name in recipe.names(states) if name in needed]:
            chosen.append((recipe, some))
            read = {name for name in recipe.names_read(states) if states[name].state != FRESH}
            needed |= read - {*left}
    return chosen[::-1]


def _reason(figure: Freshness) -> str:
    return f"{figure.state}: {figure.because}" if figure.because else "fresh, but named"


class _Plans:
    """Plans executions, with what was recorded when their figures were last made."""

    def __init__(self, folders: Folders, recipes: Sequence[Recipe], preset: str | None) -> None:
        self.folders, self.preset = folders, preset
        self.studies = {recipe.study: recipe for recipe in recipes if recipe.study}
        self.times = RecordedTimes(folders.figures, folders.runs)
        self.clean = not provenance()["git_changed"]

    def execution(
        self, recipe: Recipe, states: Mapping[str, Freshness], names: Sequence[str]
    ) -> Execution:
        because = {name: _reason(states[name]) for name in names}
        seconds = self.times.making(recipe.names(states))
        if recipe.command:
            return Execution(recipe, {}, because, seconds=seconds)
        parameters = self.parameters(recipe)
        trained = {
            each.text: tuple(self.runs(each.study, each.row, each.seeds)) for each in recipe.trained
        }
        runs = [run for several in trained.values() for run in several]
        waiting = [run for run in runs if self.absent(run.record(self.folders.runs))]
        if recipe.study:
            runs += self.runs(recipe.study)
            waiting += self.unevaluated(parameters, self.runs(recipe.study))
        return Execution(recipe, parameters, because, trained, tuple(runs), tuple(waiting), seconds)

    def training(self, run: PlannedRun) -> Training:
        if earlier := earlier_training(run, self.folders.runs, weights_basis(run)):
            return Training(run, None, earlier.id)
        return Training(run, self.times.training(run))

    def parameters(self, recipe: Recipe) -> dict[str, Scalar]:
        """Return those of a recipe, those that its figures were last made with, and the preset."""
        notebook = self.folders.notebooks / f"{recipe.notebook}.ipynb"
        known = notebook_parameters(notebook)
        given = {name: value for name, value in self.given(recipe).items() if name in known}
        preset = {"preset": self.preset} if self.preset and "preset" in known else {}
        values = check_parameters(notebook, {**given, **recipe.parameters, **preset})
        if "preset" in values:
            check_preset(values["preset"])
        return values

    def given(self, recipe: Recipe) -> dict[str, Any]:
        """Return what the sidecar of one of its figures says that the notebook was given."""
        for name in recipe.always:
            path = (self.folders.figures / name).with_suffix(".json")
            if path.is_file() and (content := read_json(path)).get("notebook") == recipe.notebook:
                return {k: v for k, v in content.get("given", {}).items() if k not in LOCAL}
        return {}

    def runs(self, study: str, row: str = "", seeds: str = "") -> list[PlannedRun]:
        """Return the trainings of a study, of all rows and seeds or of some."""
        recipe = self.studies.get(study)
        given = self.parameters(recipe) if recipe else {"study": study}
        path, preset, every, steps = study_arguments(given, self.folders)
        rows = [row] if row else None
        return list(study_runs(path, preset, seeds or every, steps=steps, rows=rows))

    def absent(self, record: RunRecord | None) -> bool:
        """Whether a training is to be executed: unfinished, or dirty where that can be mended."""
        return record is None or (self.clean and record.uncommitted)

    def unevaluated(
        self, parameters: Mapping[str, Scalar], runs: Sequence[PlannedRun]
    ) -> list[PlannedRun]:
        """Return the trainings of a study that are absent, or kept without its evaluations."""
        records = [run.record(self.folders.runs, self.folders.figures) for run in runs]
        study = None
        found = []
        for run, record in zip(runs, records, strict=True):
            if not self.absent(record) and isinstance(record, KeptRun):
                study = study or open_execution(parameters, self.folders)
                try:
                    study.evaluate_run(record)
                except FileNotFoundError:
                    record = None
            if self.absent(record):
                found.append(run)
        return found


def open_execution(parameters: Mapping[str, Scalar], folders: Folders) -> Study:
    """Open the study that an execution of the notebook of ablations shows."""
    path, preset, seeds, steps = study_arguments(parameters, folders)
    return open_study(path, preset, seeds, folders.runs, steps=steps, figures_dir=folders.figures)


def study_arguments(
    parameters: Mapping[str, Scalar], folders: Folders
) -> tuple[Path, str, str, int]:
    """Return sweep file, preset, seeds and steps of an execution of the notebook of ablations."""
    values = {**notebook_parameters(folders.notebooks / f"{ABLATION}.ipynb"), **parameters}
    path = folders.notebooks / "sweeps" / f"{values['study']}.json"
    return path, str(values["preset"]), str(values["seeds"]), int(values["steps"] or 0)
