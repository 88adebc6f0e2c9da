"""Recipes of figures and tables: which notebook or command makes each, with which trainings.

The folder of notebooks has a file ``figures.json``::

    {"recipes": [
      {"notebook": "34_dekr_matching",
       "parameters": {"checkpoints": "{dekr_components:AA+SR}"},
       "figures": ["dekr_matching.csv", "dekr_matching.png"]}
    ]}

``{STUDY:ROW}`` in a parameter stands for the trained systems of a row of ``sweeps/STUDY.json``, one
per seed with spaces between, and ``{STUDY:ROW:0 2}`` for those of some seeds. What takes no
notebook has a ``command`` instead, ``python -m MODULE`` and options; it is given ``--out FOLDER``
as well. A recipe that ``reads`` other figures, named by patterns, is made after them, and one that
``needs`` ``cuda`` where there is a GPU. Sweeps with an ablation need no entry; one replaces what
follows from the file, as for other seeds.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from poselib.experiments.ablation import Ablation, read_ablation
from poselib.experiments.parameters import Scalar, check_parameters
from poselib.ops.io import read_json

_FILE, ABLATION, GPU = "figures.json", "14_ablation", "cuda"
_TRAINED = re.compile(r"\{([^{}:]+):([^{}]+?)(?::(\d+(?: \d+)*))?\}")
_TYPES: dict[str, type] = {
    **{"notebook": str, "command": str, "parameters": dict, "figures": list, "reads": list},
    "needs": str,
}


@dataclass(frozen=True)
class Trained:
    """A row of a study whose trained systems a parameter names.

    Attributes:
        study: stem of its sweep file.
        row: of the sweep.
        seeds: of the systems, separated by spaces; empty for all of the study.
        text: the placeholder.
    """

    study: str
    row: str
    seeds: str
    text: str


@dataclass(frozen=True)
class Recipe:
    """How some figures and tables are made, by one execution.

    Attributes:
        figures: names of the files that it writes; patterns for those that it may not write.
        notebook: that is executed, without ``.ipynb``; empty for a command.
        command: that is executed; empty for a notebook.
        parameters: of the notebook, as far as they are not its defaults.
        reads: patterns of the names of other figures that it reads.
        needs: ``"cuda"`` if a CPU would take too long; empty for any machine.
    """

    figures: tuple[str, ...]
    notebook: str = ""
    command: str = ""
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    needs: str = ""

    @property
    def maker(self) -> str:
        """The notebook or command."""
        return self.notebook or self.command

    @property
    def study(self) -> str:
        """The study that an ablation's notebook shows, else an empty text."""
        return str(self.parameters.get("study") or "") if self.notebook == ABLATION else ""

    @property
    def trained(self) -> list[Trained]:
        """Whose trained systems the parameters name."""
        return [each for value in self.parameters.values() for each in trained_in(value)]

    def names(self, files: Iterable[str]) -> list[str]:
        """Return the names of its figures, given the files there are, which patterns may match."""
        matched = (name for name in files if _matches(name, filter(_is_pattern, self.figures)))
        return [*self.always, *matched]

    @property
    def always(self) -> list[str]:
        """The names of the figures that each execution writes."""
        return [name for name in self.figures if not _is_pattern(name)]

    def names_read(self, files: Iterable[str]) -> list[str]:
        """Return which of the files it reads, its own excepted."""
        return sorted(
            name
            for name in files
            if _matches(name, self.reads) and not _matches(name, self.figures)
        )


def trained_in(value: Scalar) -> list[Trained]:
    """Return whose trained systems a parameter of a recipe names."""
    found = _TRAINED.finditer(value if isinstance(value, str) else "")
    return [Trained(each[1], each[2], each[3] or "", each[0]) for each in found]


def read_recipes(notebooks_dir: Path | str) -> list[Recipe]:
    """Read how figures are made, in an order in which they can be: studies first.

    Raises:
        ValueError: a sweep file has a fault, or an entry of ``figures.json`` has another field, one
            of another type, neither or both of notebook and command, a parameter that the notebook
            lacks, or a figure that another one makes too.
    """
    folder = Path(notebooks_dir)
    path = folder / _FILE
    entries = read_json(path).get("recipes") if path.is_file() else []
    if not isinstance(entries, list):
        raise ValueError(f"{path}: recipes: expected a list of objects, not {entries!r}")
    listed = [_recipe(path, number, entry) for number, entry in enumerate(entries)]
    studies = {recipe.study for recipe in listed}
    sweeps = [each for each in sorted(folder.glob("sweeps/*.json")) if each.stem not in studies]
    found = [_study(each) for each in sweeps if "ablation" in read_json(each)]
    return _ordered(path, sorted([*found, *listed], key=lambda recipe: not recipe.study))


def study_figures(study: str, ablation: Ablation) -> tuple[str, ...]:
    """Return the names of the files that the notebook of ablations writes for a study."""
    within = f"{study}_{ablation.within.get('name')}"
    wanted = {
        f"{study}.csv": True,
        f"{study}_seeds.csv": True,
        f"{study}.png": bool(ablation.panels),
        f"{study}_loss.png": bool(ablation.loss),
        f"{within}.csv": bool(ablation.within),
        f"{within}.png": bool(ablation.within.get("figure")),
    }
    return tuple(name for name, made in wanted.items() if made)


def select_figures(names: Sequence[str], known: Iterable[str]) -> set[str]:
    """Return the files that names mean: a name without suffix means both its figure and table.

    Raises:
        ValueError: there is none of a name; the message lists names that are close.
    """
    files, found = list(known), set()
    stems = {Path(file).stem for file in files}
    for name in (Path(each).name for each in names):
        matching = {file for file in files if name in (file, Path(file).stem)}
        if not matching:
            close = difflib.get_close_matches(name, [*files, *stems], n=3)
            hint = f"; close to it: {', '.join(close)}" if close else ""
            raise ValueError(f"there is no figure or table {name!r}{hint}")
        found |= matching
    return found


def _ordered(path: Path, recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return recipes after those of the figures that they read, else in their order."""
    makers: dict[str, int] = {}
    for number, recipe in enumerate(recipes):
        for name in recipe.figures:
            if name in makers:
                raise ValueError(f"{path}: {name} is made by two recipes")
            makers[name] = number
    before = {
        number: {makers[name] for name in recipe.names_read(makers)}
        for number, recipe in enumerate(recipes)
    }
    try:
        return [recipes[number] for number in TopologicalSorter(before).static_order()]
    except CycleError as error:
        names = [recipes[number].figures[0] for number in error.args[1]]
        raise ValueError(f"{path}: figures read each other: {', '.join(names)}") from error


def _is_pattern(name: str) -> bool:
    return "*" in name


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _study(sweep: Path) -> Recipe:
    figures = study_figures(sweep.stem, read_ablation(sweep))
    return Recipe(figures, ABLATION, parameters={"study": sweep.stem})


def _recipe(path: Path, number: int, entry: Any) -> Recipe:
    where = f"{path}: entry {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, not {entry!r}")
    for name, value in entry.items():
        if name not in _TYPES:
            raise ValueError(f"{where}: unknown field {name!r}; known: {', '.join(_TYPES)}")
        if not isinstance(value, _TYPES[name]):
            raise ValueError(f"{where}: {name} must be a {_TYPES[name].__name__}, not {value!r}")
        if isinstance(value, list) and not all(each and isinstance(each, str) for each in value):
            raise ValueError(f"{where}: {name} must hold names of files, not {value!r}")
    if bool(entry.get("notebook")) == bool(entry.get("command")):
        raise ValueError(f"{where}: expected either a notebook or a command")
    parameters = dict(entry.get("parameters", {}))
    if notebook := entry.get("notebook", ""):
        try:
            check_parameters(path.with_name(f"{notebook}.ipynb"), parameters)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{where}: {error}") from error
    elif parameters:
        raise ValueError(f"{where}: a command has its options in itself, and no parameters")
    figures = tuple(entry.get("figures", []))
    if not figures:
        if not (study := str(parameters.get("study") or "")) or notebook != ABLATION:
            raise ValueError(f"{where}: expected the names of its figures")
        figures = study_figures(study, read_ablation(path.parent / "sweeps" / f"{study}.json"))
    if (needs := entry.get("needs", "")) not in ("", GPU):
        raise ValueError(f"{where}: needs must be {GPU!r} or absent, not {needs!r}")
    command, reads = entry.get("command", ""), tuple(entry.get("reads", []))
    return Recipe(figures, notebook, command, parameters, reads, needs)
