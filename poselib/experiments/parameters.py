"""Parameters of a notebook: declared in its tagged cell, checked before they are passed to it."""

from __future__ import annotations

import argparse
import ast
import difflib
import math
import os
import textwrap
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from poselib.experiments.named_files import parameter_digests
from poselib.experiments.path_parameters import is_skeleton_file, resolve_paths
from poselib.ops.io import read_json
from poselib.papers.preset_names import PRESETS
from poselib.skeletons import get_skeleton, stored_form
from poselib.wording import shown

Scalar = str | int | float | bool | None
# Parameters that do not change results: folders, files to write, hardware, the run to resume.
LOCAL = ("runs_dir", "figures_dir", "data_dir", "device", "processes", "run_id", "export")
# The environment variable that tells a notebook's kernel from where its command was called.
CALLER = "POSELIB_CALLER"
_TAG = "parameters"
# What Python's parser raises for text that is no literal, too deep or of other characters.
_NOT_PYTHON = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)


def notebook_parameters(path: Path | str) -> dict[str, Scalar]:
    """Return the names and defaults in a notebook's cell tagged ``parameters``.

    Raises:
        FileNotFoundError: there is no such notebook.
        ValueError: it is no notebook, has no or two such cells, or one that does more than assign.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"notebook {path} does not exist")
    try:
        cells = [cell for cell in read_json(path)["cells"] if cell["cell_type"] == "code"]
        tagged = [cell for cell in cells if _TAG in cell.get("metadata", {}).get("tags", [])]
        sources = ["".join(cell["source"]) for cell in tagged]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a Jupyter notebook: {error!r}") from error
    if len(sources) != 1:
        raise ValueError(f"{path} must have one cell tagged {_TAG!r}, not {len(sources)}")
    return dict(_declared(path, sources[0]))


@lru_cache(maxsize=64)  # a plan asks for each of its runs
def _declared(path: Path, source: str) -> tuple[tuple[str, Scalar], ...]:
    try:
        statements = ast.parse(source).body
    except _NOT_PYTHON as error:
        raise ValueError(f"{path}: its {_TAG} cell is not Python: {error}") from error
    return tuple(_assignment(path, statement) for statement in statements)


def current_parameters(
    notebook: str, namespace: Mapping[str, Any], **derived: Any
) -> dict[str, Any]:
    """Collect the values of a notebook's parameters, for ``start_run`` and ``save_figure``.

    Called inside a notebook, which Jupyter runs in the notebook's own folder::

        params = current_parameters("04_evaluate", globals(), data=about)

    Args:
        notebook: the file's name without ``.ipynb``.
        namespace: ``globals()`` of the notebook.
        derived: values to record as well, or instead of a parameter's own.

    Returns:
        ``notebook``, what ``recorded_values`` has of the parameters, and ``derived``. ``given``
        has those that are not the notebook's defaults, as they were given.

    Raises:
        FileNotFoundError: the working directory holds no such notebook.
        ValueError: it does not have exactly one cell tagged ``parameters``.
    """
    defaults = notebook_parameters(Path(f"{notebook}.ipynb"))
    values = {name: namespace[name] for name in defaults}
    recorded = recorded_values(values)
    given = {k: v for k, v in values.items() if k in recorded and v != defaults[k]}
    return {"notebook": notebook, **recorded, **derived, **({"given": given} if given else {})}


def recorded_values(values: Mapping[str, Any], folder: Path = Path()) -> dict[str, Any]:
    """Return what is recorded of a notebook's parameters.

    Args:
        values: all of them.
        folder: of the notebook, which paths are relative to.

    Returns:
        Those but ``LOCAL`` and other folders (``..._dir``); of a ``skeleton`` that is a file, what
        it states; and ``digests`` of files of data or weights, see ``parameter_digests``.
    """
    kept = {k: v for k, v in values.items() if k not in LOCAL and not k.endswith("_dir")}
    if is_skeleton_file("skeleton", kept.get("skeleton")):
        kept["skeleton"] = stored_form(get_skeleton(folder / kept["skeleton"]))
    digests = parameter_digests(values, folder)
    return {**kept, "digests": digests} if digests else kept


def check_parameters(path: Path | str, given: Mapping[str, Any]) -> dict[str, Scalar]:
    """Return parameters after a check against those of the notebook; a ``Path`` becomes a string.

    Raises:
        ValueError: the notebook has no parameter of that name, or one of another type.
    """
    known = notebook_parameters(path)
    return {name: _fitting(path, known, name, value) for name, value in given.items()}


def parse_parameters(path: Path | str, given: Mapping[str, str]) -> dict[str, Scalar]:
    """Read parameters written as text, as on a command line, by the types of their defaults.

    Raises:
        ValueError: the notebook has no parameter of that name, or one of another type.
    """
    known = notebook_parameters(path)
    values = {name: _parsed(text, known.get(name)) for name, text in given.items()}
    return check_parameters(path, values)


def add_parameter_options(add: Callable[..., Any]) -> None:
    """Add ``--preset`` and ``-p``, which ``cli_parameters`` reads, with a parser's method."""
    add("--preset", help="short for: -p preset PRESET")
    names = ("-p", "--parameter")
    add(
        *names, nargs=2, action="append", metavar=("NAME", "VALUE"),
        help="to be set; a path is looked for in the notebook's folder, then in the working one",
    )  # fmt: skip


def cli_parameters(path: Path | str, options: argparse.Namespace) -> dict[str, Scalar]:
    """Return what ``--preset`` and ``-p`` set.

    Paths are those that ``resolve_paths`` finds.

    Raises:
        FileNotFoundError: there is no such notebook, or no such file to be read, in either folder.
        ValueError: as ``parse_parameters``, or the preset is unknown.
    """
    preset = {} if options.preset is None else {"preset": options.preset}
    values = parse_parameters(path, {**dict(options.parameter or ()), **preset})
    check_preset(values.get("preset", PRESETS[0]))
    return {**values, **resolve_paths(values, Path(path).resolve().parent)}


def check_preset(name: object) -> None:
    """Raise ValueError for a preset that is unknown."""
    if name not in PRESETS:
        raise ValueError(f"unknown preset {shown(name)}; known: {', '.join(PRESETS)}")


def display_path(path: Path | str) -> str:
    """Return a path relative to the folder that a command was called from, to print it.

    Within a notebook too, whose working directory is another. Absolute if it lies elsewhere.
    """
    path, caller = Path(path).resolve(), Path(os.environ.get(CALLER) or Path.cwd()).resolve()
    return str(path.relative_to(caller)) if path.is_relative_to(caller) else str(path)


def parse_options(text: str) -> dict[str, Scalar]:
    """Read the options of a system, written as one parameter: ``"adaptive=false width=8"``.

    Raises:
        ValueError: a part has no name or no ``=``, or a name occurs twice.
    """
    options: dict[str, Scalar] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not (name and equals) or name in options:
            raise ValueError(
                f"options must be name=value pairs of different names, not {shown(part)} in "
                f"{textwrap.shorten(text, 200)!r}"
            )
        options[name] = _parsed(value, None)
        _check_finite(options[name], f"option {name!r}")
    return options


def format_options(options: Mapping[str, Scalar]) -> str:
    """Write the options of a system as one parameter; the inverse of ``parse_options``."""
    parts = []
    for name, value in options.items():
        plain = str(value).lower() if value is None or isinstance(value, bool) else str(value)
        parts.append(f"{name}={plain}")
    return " ".join(parts)


def unnumbered(path: Path) -> str:
    """Return a notebook's name without its number: the name of its runs."""
    return path.stem.partition("_")[2] if path.stem[:1].isdigit() else path.stem


def fits(value: Any, default: Scalar) -> bool:
    """Whether a value is a plain scalar of the default's type; None fits all and any fits None."""
    if not isinstance(value, str | bool | int | float | None):
        return False
    if value is None or default is None:
        return True
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(value, int | float if isinstance(default, float) else type(default))


def _fitting(path: Path | str, known: dict[str, Scalar], name: str, value: Any) -> Scalar:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"{path} has no parameter {name!r}{hint}; it has {', '.join(known)}")
    value = str(value) if isinstance(value, Path) else value
    if not fits(value, known[name]):
        wanted = "plain scalar" if known[name] is None else type(known[name]).__name__
        raise ValueError(f"{path}: parameter {name!r} must be a {wanted}, not {shown(value)}")
    _check_finite(value, f"{path}: parameter {name!r}")
    return value


def _parsed(text: str, default: Scalar) -> Scalar:
    if isinstance(default, str):
        return text
    spelled = {"true": "True", "false": "False", "none": "None"}.get(text.lower(), text)
    try:
        return ast.literal_eval(spelled)
    except _NOT_PYTHON:
        pass
    try:
        return float(text)  # what is no literal: nan and infinity, which are refused by name
    except ValueError:
        return text


def _check_finite(value: Scalar, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}")


def _assignment(path: Path, statement: ast.stmt) -> tuple[str, Scalar]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pass
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            pass
        case _:
            raise ValueError(
                f"{path}: its {_TAG} cell must only assign plain scalars to names, not do "
                f"{ast.unparse(statement)!r}"
            )
    try:
        default = ast.literal_eval(value)
    except _NOT_PYTHON:
        default = ()
    if not isinstance(default, str | bool | int | float | None):
        raise ValueError(f"{path}: parameter {name!r} must be a plain scalar")
    return name, default
