"""Whether figures still tell the truth: of each, what has changed since it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from poselib.experiments.fingerprint import (
    Fingerprint,
    files_of,
    notebook_fingerprint,
    settings_digest,
)
from poselib.experiments.runs import KEPT
from poselib.ops.io import read_json
from poselib.papers.outcomes import listed_papers, paper_items

FRESH, STALE, DIRTY, MISSING = "fresh", "stale", "dirty", "missing"
STATES = (FRESH, STALE, DIRTY, MISSING)
_SHOWN = 3  # modules that a reason names


@dataclass(frozen=True)
class Freshness:
    """How a figure or table stands.

    Attributes:
        file: its name.
        notebook: that makes it, without ``.ipynb``.
        state: ``"fresh"``; ``"stale"``, made from code, settings or runs that have changed;
            ``"dirty"``, made from changes that no commit has; or ``"missing"``.
        because: why it is not fresh.
    """

    file: str
    notebook: str
    state: str
    because: str = ""


def check_figures(figures_dir: Path | str, notebooks_dir: Path | str) -> list[Freshness]:
    """Compare all figures and tables with the code, settings and runs of now; nothing is run.

    Args:
        figures_dir: holds figures, tables, the JSON file of each, and the runs that are kept.
        notebooks_dir: holds the notebooks that make them.

    Returns:
        By name, one for each PNG and CSV file and for each that the papers' lists ask for.

    Raises:
        FileNotFoundError: one of the folders is absent.
    """
    figures, notebooks = Path(figures_dir), Path(notebooks_dir)
    for folder in (figures, notebooks):
        if not folder.is_dir():
            raise FileNotFoundError(f"folder {folder} does not exist")
    files = sorted(path.name for kind in ("*.png", "*.csv") for path in figures.glob(kind))
    found = [_figure(figures / name, notebooks) for name in files]
    stems = {Path(name).stem for name in files}
    for artifact, notebook in _asked().items():
        if artifact not in stems:
            found.append(Freshness(artifact, notebook, MISSING, "there is no such file"))
    _fingerprint.cache_clear()
    return sorted(found, key=lambda each: each.file)


def freshness_table(found: list[Freshness]) -> pd.DataFrame:
    """Return a table of what ``check_figures`` found, one line for each figure."""
    return pd.DataFrame([vars(each) for each in found], columns=list(Freshness.__annotations__))


def _asked() -> dict[str, str]:
    """Return the notebook of each figure or table that a paper's list asks for."""
    items = [item for paper in listed_papers() for item in paper_items(paper).to_dict("records")]
    return {str(i["artifact"]): str(i["notebook"]) for i in items if i["artifact"]}


def _figure(path: Path, notebooks: Path) -> Freshness:
    about = path.with_suffix(".json")
    if not about.is_file():
        return Freshness(
            path.name, "", MISSING, f"{about.name}, which says what made it, is absent"
        )
    content = read_json(about)
    notebook = str(content.get("notebook") or _asked().get(path.stem, ""))
    if not (notebooks / f"{notebook}.ipynb").is_file():
        reason = f"its notebook {notebook!r} is absent" if notebook else "it names no notebook"
        return Freshness(path.name, notebook, MISSING, reason)
    if content.get("git_changed"):
        return Freshness(path.name, notebook, DIRTY, _uncommitted(content))
    params = {"notebook": notebook, **content.get("parameters", {})}
    reason = _changed(content.get("code"), notebook, params, notebooks, drawing=True)
    reason = reason or _changed_runs(content.get("runs", []), path.parent / KEPT, notebooks)
    return Freshness(path.name, notebook, STALE if reason else FRESH, reason)


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
        params = run.get("params", {})
        if reason := _changed(run.get("code"), notebook, params, notebooks, drawing=False):
            return f"run {number}: {reason}"
    return ""


def _changed(
    code: Any, notebook: str, params: Mapping[str, Any], notebooks: Path, *, drawing: bool
) -> str:
    """Say which code or settings differ from those recorded; empty if none do."""
    if not isinstance(code, dict) or not code.get("modules"):
        return "its code was not recorded"
    which = tuple(code.get("systems", ())), tuple(code.get("datasets", ()))
    file = notebooks / f"{notebook}.ipynb"
    try:
        files = tuple(files_of(file, params)) if drawing else ()
        now = _fingerprint(file, *which, files, drawing)
    except ValueError as error:
        return str(error)
    if names := now.changed(code["modules"]):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"changed: {', '.join(names[:_SHOWN])}{more}"
    if settings_digest(params) != code.get("settings", ""):
        return f"changed: preset {params.get('preset')!r}"
    return ""


@cache
def _fingerprint(
    notebook: Path,
    systems: tuple[str, ...],
    datasets: tuple[str, ...],
    files: tuple[Path, ...],
    drawing: bool,
) -> Fingerprint:
    return notebook_fingerprint(
        notebook, systems=systems, datasets=datasets, files=files, drawing=drawing
    )


def _uncommitted(content: Mapping[str, Any]) -> str:
    return f"made from changes on top of {str(content.get('git_commit', ''))[:10]}"
