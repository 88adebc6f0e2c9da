"""What a planned run is named for, and whether what runs is what was planned.

The id of a run is ``<name>-<parameters>-<basis>``, two digests. The basis is what the parameters
mean: the code that the run executes, what its preset resolves to, and the files that parameters
name. The process of a run derives it anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.executed_code import executed_code
from poselib.experiments.parameters import (
    Scalar,
    notebook_parameters,
    parse_options,
    recorded_values,
    unnumbered,
)
from poselib.experiments.resolved_parameters import settings_digest

_PARAMETERS, _BASIS = 12, 8  # hexadecimal digits
_PLANNED = re.compile(rf"(?P<name>.+)-[0-9a-f]{{{_PARAMETERS}}}-(?P<basis>[0-9a-f]{{{_BASIS}}})")
# Options in one parameter, whose order does not matter.
OPTIONS = ("options", "recipe", "decode_options")


def planned_id(notebook: Path, given: Mapping[str, Scalar]) -> str:
    """Return the id of a notebook's run.

    Of the parameters those count that are given or mean something by default: one that is None,
    zero, false or empty unless it is given leaves the ids of runs as they were.

    Args:
        notebook: its file.
        given: parameters that differ from its defaults; others do no harm.
    """
    defaults = notebook_parameters(notebook)
    values = {**defaults, **given}
    params, code = meaning(notebook, given)
    digests = params.get("digests", {})
    counted = {
        # Of files the content counts, wherever they lie.
        name: _names(str(value)) if name in digests else _in_order(name, params[name])
        for name, value in values.items()
        if name in params and (value or not _same(value, defaults[name]))
    }
    return f"{unnumbered(notebook)}-{_digest(counted, _PARAMETERS)}-{basis(params, code)}"


def meaning(notebook: Path, given: Mapping[str, Scalar]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is recorded of a notebook's run: all parameters, and ``executed_code`` of now."""
    values = {**notebook_parameters(notebook), **given}
    params = {"notebook": notebook.stem, **recorded_values(values, notebook.parent)}
    return params, executed_code(params, drawing=False, folder=notebook.parent)


def basis(params: Mapping[str, Any], code: Mapping[str, Any]) -> str:
    """Return a digest of what parameters mean.

    Args:
        params: as ``current_parameters`` has them.
        code: what ``executed_code`` found for them.
    """
    settings = code.get("settings", "") if code else settings_digest(params)
    return _digest([code.get("digest", ""), settings, params.get("digests", {})], _BASIS)


def is_as_planned(run_id: str, params: Mapping[str, Any], code: Mapping[str, Any]) -> bool:
    """Whether code, settings and files are those that the id of a run states.

    Ids that were given by hand state nothing, and neither does a run without recorded code.
    """
    planned = _PLANNED.fullmatch(run_id)
    return not code or planned is None or planned["basis"] == basis(params, code)


def _same(value: Scalar, default: Scalar) -> bool:
    return value == default and type(value) is type(default)


def _names(paths: str) -> list[str]:
    return [Path(path).name for path in re.split(r"[,\s]+", paths)]


def _in_order(name: str, value: Any) -> Any:
    if name not in OPTIONS or not isinstance(value, str):
        return value
    try:
        return dict(sorted(parse_options(value).items()))
    except ValueError:  # the notebook says so
        return value


def _digest(content: Any, digits: int) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
