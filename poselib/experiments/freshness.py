"""Whether figures still tell the truth: of each, what has changed since it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.experiments.fingerprint import (
    Fingerprint,
    fingerprint_of_now,
    module_fingerprint,
    module_of,
)
from poselib.experiments.named_files import (
    file_digest,
    files_of,
    folders_read,
    parameter_digests,
    trained_files,
)
from poselib.experiments.parameters import notebook_parameters
from poselib.experiments.recipes import ABLATION, Recipe, read_recipes, trained_in
from poselib.experiments.resolved_parameters import settings_digest, starts_bundled
from poselib.experiments.runs import KEPT
from poselib.ops.io import read_json

FRESH, STALE, DIRTY, MISSING, WAITING = "fresh", "stale", "dirty", "missing", "waiting"
STATES = (FRESH, STALE, DIRTY, MISSING, WAITING)
_COMMAND = "python -m "
_SHOWN = 3  # modules that a reason names


@dataclass(frozen=True)
class Freshness:
    """How a figure or table stands.

    Attributes:
        file: its name.
        maker: the notebook that makes it, without ``.ipynb``, or the command.
        state: ``"fresh"``; ``"stale"``, made from code, settings, data or runs that have changed;
            ``"dirty"``, made from changes that no commit has; ``"missing"``; or ``"waiting"``,
            absent because it needs a GPU.
        because: why it is not fresh.
    """

    file: str
    maker: str
    state: str
    because: str = ""


def check_figures(
    figures_dir: Path | str, notebooks_dir: Path | str, recipes: Sequence[Recipe] | None = None
) -> list[Freshness]:
    """Compare all figures and tables with the code, settings and runs of now; nothing is run.

    Args:
        figures_dir: holds figures, tables, the JSON file of each, and the runs that are kept.
        notebooks_dir: holds the notebooks that make them.
        recipes: how they are made; by default what ``read_recipes`` finds.

    Returns:
        By name, one for each PNG and CSV file and for each that a recipe makes.

    Raises:
        FileNotFoundError: one of the folders is absent.
        ValueError: as ``read_recipes``.
    """
    figures, notebooks = Path(figures_dir), Path(notebooks_dir)
    for folder in (figures, notebooks):
        if not folder.is_dir():
            raise FileNotFoundError(f"folder {folder} does not exist")
    recipes = read_recipes(notebooks) if recipes is None else recipes
    files = [path.name for kind in ("*.png", "*.csv") for path in figures.glob(kind)]
    makers = {name: recipe for recipe in recipes for name in recipe.names(files)}
    studies = {recipe.study: recipe for recipe in recipes if recipe.study}
    found = {name: _figure(figures / name, notebooks, makers.get(name), studies) for name in files}
    for name in makers.keys() - found.keys():
        found[name] = _not_there(name, makers[name])
    fingerprint_of_now.cache_clear()
    _module_fingerprint.cache_clear()
    for recipe in recipes:  # in the order in which they are made
        others = recipe.names_read(found)
        for name in recipe.names(files):
            found[name] = _among_others(found[name], [found[each] for each in others], figures)
    return [found[name] for name in sorted(found)]


def freshness_table(found: Iterable[Freshness]) -> pd.DataFrame:
    """Return a table of what ``check_figures`` found, one line for each figure."""
    return pd.DataFrame([vars(each) for each in found], columns=list(Freshness.__annotations__))


def states_by_stem(found: Iterable[Freshness]) -> dict[str, str]:
    """Return the state of figures and tables by name without suffix, and in brackets why.

    Of a figure and a table of one name it is the state of the one that is not fresh.
    """
    states: dict[str, str] = {}
    for each in found:
        stem = Path(each.file).stem
        if states.get(stem, FRESH) == FRESH:
            states[stem] = f"{each.state} ({each.because})" if each.because else each.state
    return states


def _not_there(name: str, recipe: Recipe) -> Freshness:
    if recipe.needs:
        return Freshness(name, recipe.maker, WAITING, "it needs a GPU, and was not made yet")
    return Freshness(name, recipe.maker, MISSING, "there is no such file")


def _figure(
    path: Path, notebooks: Path, recipe: Recipe | None, studies: Mapping[str, Recipe]
) -> Freshness:
    about = path.with_suffix(".json")
    maker = recipe.maker if recipe else ""
    if not about.is_file():
        reason = f"{about.name}, which says what made it, is absent"
        return Freshness(path.name, maker, MISSING, reason)
    content = read_json(about)
    maker = str(content.get("notebook") or content.get("command") or maker)
    if reason := _absent(maker, notebooks):
        return Freshness(path.name, maker, MISSING, reason)
    if content.get("git_changed"):
        return Freshness(path.name, maker, DIRTY, _uncommitted(content))
    reason = _made_otherwise(content, path.parent, notebooks, recipe, studies) if recipe else ""
    reason = reason or _changed(content, maker, notebooks, drawing=True)
    reason = reason or _changed_runs(content.get("runs", []), path.parent / KEPT, notebooks)
    return Freshness(path.name, maker, STALE if reason else FRESH, reason)


def _made_otherwise(
    content: Mapping[str, Any],
    figures: Path,
    notebooks: Path,
    recipe: Recipe,
    studies: Mapping[str, Recipe],
) -> str:
    """Say which parameter of a recipe is not what the notebook was given; empty if all are."""
    if not isinstance(given := content.get("given"), dict) or not recipe.parameters:
        return ""  # it was not recorded, and neither was its code
    values = {**notebook_parameters(notebooks / f"{recipe.notebook}.ipynb"), **given}
    for name, wanted in recipe.parameters.items():
        if not (trained := trained_in(wanted)):
            if values.get(name) != wanted:
                return f"changed: {name}, now {wanted!r}"
            continue
        seeds = [each.seeds or _seeds(each.study, figures, notebooks, studies) for each in trained]
        before, now = _seeds_of(values.get(name), figures / KEPT), sorted(" ".join(seeds).split())
        if before != now:
            return f"changed: {name}, now seeds {' '.join(now)} instead of {' '.join(before)}"
    return ""


def _seeds_of(value: object, kept: Path) -> list[str]:
    """Return the seeds of the kept runs whose trained systems a parameter names."""
    files = [kept / f"{Path(file).parent.name}.json" for file in trained_files(value)]
    return sorted(str(read_json(file).get("seed")) for file in files if file.is_file())


def _seeds(study: str, figures: Path, notebooks: Path, studies: Mapping[str, Recipe]) -> str:
    """Return the seeds of a study: of its recipe, else those that it was last made with."""
    about = figures / f"{study}.json"
    given = read_json(about).get("given", {}) if about.is_file() else {}
    chosen = studies[study].parameters if study in studies else {}
    values = {**notebook_parameters(notebooks / f"{ABLATION}.ipynb"), **given, **chosen}
    return str(values["seeds"])


def _absent(maker: str, notebooks: Path) -> str:
    """Say that a notebook, or the module of a command, is not there any more."""
    if not maker:
        return "it names no notebook"
    if not maker.startswith(_COMMAND):
        found = (notebooks / f"{maker}.ipynb").is_file()
        return "" if found else f"its notebook {maker!r} is absent"
    try:
        _module_fingerprint(module_of(maker))
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return ""


def _among_others(figure: Freshness, others: Sequence[Freshness], figures: Path) -> Freshness:
    """Return a figure as stale if those that it reads are, or were made after it."""
    if figure.state != FRESH:
        return figure
    made = _created(figures / figure.file)
    for other in others:
        if other.state == WAITING:
            continue
        if other.state != FRESH:
            reason = f"it reads {other.file}, which is {other.state}"
        elif _created(figures / other.file) > made:
            reason = f"it reads {other.file}, which was made after it"
        else:
            continue
        return replace(figure, state=STALE, because=reason)
    return figure


def _created(path: Path) -> str:
    return str(read_json(path.with_suffix(".json")).get("created", ""))


def _changed_runs(ids: list[str], folder: Path, notebooks: Path) -> str:
    """Say why a run that a figure shows is not what it would be now; empty if all are."""
    for number in ids:
        kept = folder / f"{number}.json"
        if not kept.is_file():
            return f"run {number} is not kept"
        run = read_json(kept)
        if run.get("git_changed"):
            return f"run {number}: {_uncommitted(run)}"
        notebook = str(run.get("notebook", ""))
        if not (notebooks / f"{notebook}.ipynb").is_file():
            return f"run {number}: its notebook {notebook!r} is absent"
        about = {**run, "parameters": run.get("params", {}), "runs": ids}
        if reason := _changed(about, notebook, notebooks, drawing=False):
            return f"run {number}: {reason}"
    return ""


def _changed(content: Mapping[str, Any], maker: str, notebooks: Path, *, drawing: bool) -> str:
    """Say which code, settings or files differ from those recorded; empty if none do."""
    code, params = content.get("code"), content.get("parameters", {})
    if not isinstance(code, dict) or not code.get("modules"):
        return "its code was not recorded"
    try:
        if maker.startswith(_COMMAND):
            now = _module_fingerprint(module_of(maker))
        else:
            file = notebooks / f"{maker}.ipynb"
            which = tuple(code.get("systems", ())), tuple(code.get("datasets", ()))
            files = tuple(files_of(file, params)) if drawing else ()
            options = *which, files, drawing, drawing or starts_bundled(params)
            now = fingerprint_of_now(file.resolve(), file_digest(file), *options)
    except ValueError as error:
        return str(error)
    if names := now.changed(code["modules"]):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"changed: {', '.join(names[:_SHOWN])}{more}"
    if settings_digest(params) != code.get("settings", ""):
        return f"changed: preset {params.get('preset')!r}"
    values = {**params, **content.get("given", {})}
    return _changed_files(values, content.get("runs", []), notebooks)


def _changed_files(values: Mapping[str, Any], runs: Sequence[str], notebooks: Path) -> str:
    """Say which file that a parameter names has changed; empty if none that is there has.

    What the runs of a figure trained is not among them: they count as the runs that they are.
    """
    read = {name: {each.name for each in folders_read({name: v})} for name, v in values.items()}
    others = {name: value for name, value in values.items() if not read[name] & {*runs}}
    before, found = values.get("digests", {}), parameter_digests(others, notebooks)
    changed = [name for name, digest in found.items() if before.get(name, digest) != digest]
    return f"changed: {', '.join(f'{name} {values[name]}' for name in changed)}" if changed else ""


@cache
def _module_fingerprint(module: str) -> Fingerprint:
    return module_fingerprint(module)


def _uncommitted(content: Mapping[str, Any]) -> str:
    return f"made from changes on top of {str(content.get('git_commit', ''))[:10]}"
