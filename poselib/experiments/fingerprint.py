"""Fingerprints of the code that a notebook executes: what a change of the code makes stale.

Of each definition that the notebook's code refers to, directly or through others, the normalized
source counts; prose and code that it does not reach change nothing.
"""

from __future__ import annotations

import ast
import gc
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import poselib
from poselib.experiments.code_base import Chosen, CodeBase
from poselib.experiments.module_source import Place, form_of, read_source
from poselib.ops.io import read_json

_PACKAGE = Path(poselib.__file__).resolve().parent
# They name, record and execute, and do not change what a run computes.
_RECORDING = (
    "provenance", "runs", "parameters", "own_results", "fingerprint", "code_base", "module_source",
    "executed_code", "plain", "identity", "named_files", "resolved_parameters", "run_record",
    "kept_runs", "notebooks", "kernels", "failed_cells", "run_worker", "reused_weights",
    "run_sweep", "clusters", "sweep_progress", "sweep_report", "sweep_checks", "path_parameters",
    "ablation_checks",
)  # fmt: skip
_BESIDE = (
    "poselib.wording",
    "poselib.ops.console",
    "poselib.widgets",  # shown at the end of a notebook, and never a figure that it saves
    *(f"poselib.experiments.{name}" for name in _RECORDING),
)
# What a preset says counts as it is resolved, not as code, and a paper's claims are prose.
_PAPERS = tuple(
    f"poselib.papers.{name}"
    for name in ("dekr", "grm", "hae", "logocap", "rpstn", "catalog", "common_presets")
)
_DRAWING = ("poselib.plots", "poselib.papers.published")
_INSTEAD = {("poselib.papers.presets", "get_preset"): ("poselib.papers.preset", "Preset")}
_BUNDLED = ("poselib.engine.checkpoints", "BUNDLED")
# Mappings by the names of systems and of datasets, whose other entries a run does not use.
_SYSTEMS = (("poselib.systems", "SYSTEMS"), ("poselib.systems", "_OPTIONS"))
_DATASETS = (("poselib.data.real_datasets", "DATASETS"), ("poselib.data.catalog", "SYNTHETIC"))
# What evaluates, and the functions that a system decodes with: weights do not follow from them.
_EVALUATING = ("poselib.engine.evaluate",)
_DECODING = (("poselib.systems", "poselib.decoders"),)
_TRAINING = ("poselib.engine.train", "train")
_DIGITS = 8
NOTEBOOK = "notebook"  # instead of a module: the cells


@dataclass(frozen=True)
class Fingerprint:
    """The code that is executed.

    Attributes:
        modules: by the name of a module, without that of the package, a digest of what is reached
            in it; ``"notebook"`` is the notebook's own code.
    """

    modules: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return a digest of all of it."""
        return _digest(f"{name} {value}" for name, value in sorted(self.modules.items()))

    def changed(self, before: Mapping[str, str]) -> list[str]:
        """Return the modules that differ from those of an earlier fingerprint, sorted."""
        # What is not reached any more does not count alone: what reached it has changed as well.
        names = [name for name, digest in self.modules.items() if before.get(name) != digest]
        return sorted({*names, *(before.keys() - self.modules.keys())}) if names else []


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: among so many nodes of code it takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def notebook_fingerprint(
    notebook: Path | str,
    *,
    systems: Iterable[str] = (),
    datasets: Iterable[str] = (),
    files: Iterable[Path] = (),
    drawing: bool = True,
    bundled: bool = True,
    package: Path = _PACKAGE,
) -> Fingerprint:
    """Return the fingerprint of the code that a notebook executes.

    Data that come with a module count with it: files of its name, and the bundled weights.

    Args:
        notebook: its file. The cell tagged ``parameters`` does not count.
        systems: that it builds, as in ``poselib.systems.SYSTEMS``; by default any.
        datasets: that it opens, as in ``poselib.data.catalog``; by default any.
        files: that it reads besides, see ``files_of``.
        drawing: whether figures depend on it; what only draws does not count for a training.
        bundled: whether the bundled weights count where they are reached, see ``starts_bundled``.
        package: the sources.

    Raises:
        FileNotFoundError: there is no such notebook.
        ValueError: it is no notebook, or its code is not Python.
    """
    excluded = (*_BESIDE, *_PAPERS) if drawing else (*_BESIDE, *_PAPERS, *_DRAWING)
    chosen = _chosen(frozenset(systems), frozenset(datasets))
    cells, reached = _executed(Path(notebook), package, excluded, chosen)
    found = _digests(package, reached, files, chosen, bundled=bundled)
    return Fingerprint({**found, NOTEBOOK: _digest(map(form_of, cells))})


@lru_cache(maxsize=256)
@_uncollected()
def weights_digest(
    notebook: Path,
    content: str,
    systems: tuple[str, ...],
    datasets: tuple[str, ...],
    bundled: bool,
    package: Path = _PACKAGE,
) -> str:
    """Return a digest of the code that the weights follow from which a notebook trains.

    That is its fingerprint without what evaluates and decodes. It is empty for a notebook that
    trains nothing. Arguments are those of ``notebook_fingerprint`` and ``fingerprint_of_now``.
    """
    excluded = (*_BESIDE, *_PAPERS, *_DRAWING, *_EVALUATING)
    chosen = _chosen(frozenset(systems), frozenset(datasets))
    cells, reached = _executed(notebook, package, excluded, chosen, _DECODING)
    if _TRAINING not in reached:
        return ""
    found = _digests(package, reached, (), chosen, bundled=bundled)
    return Fingerprint({**found, NOTEBOOK: _digest(map(form_of, cells))}).digest


def _executed(
    notebook: Path,
    package: Path,
    excluded: Iterable[str],
    chosen: Chosen,
    not_called: Collection[tuple[str, str]] = (),
) -> tuple[list[ast.stmt], set[Place]]:
    """Return the statements of a notebook and all definitions that they reach."""
    source, base = read_source(NOTEBOOK, _code(notebook)), _code_base(package)
    cells = [*source.rest, *(each for several in source.definitions.values() for each in several)]
    roots = {place for cell in cells for place in base.uses(cell, source) if place[0] != NOTEBOOK}
    return cells, base.reached(roots, excluded, chosen, _INSTEAD, not_called)


@lru_cache(maxsize=64)
def code_digest(
    roots: tuple[Place, ...], systems: tuple[str, ...], datasets: tuple[str, ...]
) -> str:
    """Return a digest of the code that some definitions reach, without what only draws."""
    base, chosen = _code_base(_PACKAGE), _chosen(frozenset(systems), frozenset(datasets))
    reached = base.reached(roots, (*_BESIDE, *_PAPERS, *_DRAWING), chosen, _INSTEAD)
    return Fingerprint(_digests(_PACKAGE, reached, (), chosen, bundled=False)).digest


def module_fingerprint(module: str, package: Path = _PACKAGE) -> Fingerprint:
    """Return the fingerprint of the code that ``python -m MODULE`` executes.

    What the module starts in other processes counts if it names those modules, ``STARTS = (...)``.

    Raises:
        FileNotFoundError: the package has no such module.
        ValueError: a module is not Python.
    """
    base = _code_base(package)
    stated: list[Any] = [*base.source(module).definitions.get("STARTS", [])]
    measured = [module, *(name for each in stated for name in ast.literal_eval(each.value))]
    roots = {(each, name) for each in measured for name in ("", *base.source(each).definitions)}
    excluded = [each for each in (*_BESIDE, *_PAPERS) if each not in measured]
    return Fingerprint(_digests(package, base.reached(roots, excluded, instead=_INSTEAD)))


def module_of(command: str) -> str:
    """Return the module that a command runs, as of ``python -m poselib.benchmarks.kills``.

    Raises:
        ValueError: the command is of another form.
    """
    words = command.split()
    if words[:2] != ["python", "-m"] or len(words) < 3:
        raise ValueError(f"the command of a figure must be 'python -m MODULE', not {command!r}")
    return words[2]


def _digests(
    package: Path,
    reached: Iterable[Place],
    files: Iterable[Path] = (),
    chosen: Chosen | None = None,
    *,
    bundled: bool = True,
) -> dict[str, str]:
    """Return a digest of what is reached in each module, and of the files that belong to them."""
    base, forms = _code_base(package), defaultdict(list)
    for module, name in sorted(reached):
        form = base.form((module, name), chosen)
        forms[module.removeprefix(f"{package.name}.")].append(f"{name} {form}")
    found = {name: _digest(each) for name, each in forms.items()}
    weights = package.glob("checkpoints/*.safetensors") if bundled and _BUNDLED in reached else ()
    for path in (*_siblings(base, reached), *weights, *files):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]
    return found


def _siblings(base: CodeBase, reached: Iterable[Place]) -> list[Path]:
    """Return the files of data that have the names of modules and lie beside them."""
    files = [base.file(module) for module in sorted({module for module, _ in reached})]
    beside = (file.with_suffix(kind) for file in files if file for kind in (".csv", ".json"))
    return [path for path in beside if path.is_file()]


@lru_cache(maxsize=256)
def fingerprint_of_now(
    notebook: Path,
    content: str,
    systems: tuple[str, ...],
    datasets: tuple[str, ...],
    files: tuple[Path, ...],
    drawing: bool,
    bundled: bool,
) -> Fingerprint:
    """Return ``notebook_fingerprint``, computed once; ``cache_clear`` forgets it.

    Args:
        content: digest of the notebook's file: one that was edited has another fingerprint.
    """
    which: dict[str, Any] = {"systems": systems, "datasets": datasets, "files": files}
    return notebook_fingerprint(notebook, **which, drawing=drawing, bundled=bundled)


@lru_cache(maxsize=4)
def _code_base(package: Path) -> CodeBase:
    """Return the sources as they are when this process first asks: those that it has imported."""
    return CodeBase(package)


def _code(notebook: Path) -> str:
    if not notebook.is_file():
        raise FileNotFoundError(f"notebook {notebook} does not exist")
    content: Any = read_json(notebook)
    try:
        cells = [each for each in content["cells"] if each["cell_type"] == "code"]
        counted = [c for c in cells if "parameters" not in c.get("metadata", {}).get("tags", [])]
        return "\n".join("".join(cell["source"]) for cell in counted)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{notebook} is not a Jupyter notebook: {error!r}") from error


def _chosen(systems: frozenset[str], datasets: frozenset[str]) -> Chosen:
    pairs = [*((place, systems) for place in _SYSTEMS), *((place, datasets) for place in _DATASETS)]
    return {place: names for place, names in pairs if names}


def _digest(parts: Iterable[str]) -> str:
    text = "\n".join(parts).encode(errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]
