"""Settings of explorers: a frozen dataclass each, whose fields are the names of its controls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import ipywidgets as ipw
import numpy as np

T = TypeVar("T")


def settings_of(kind: type[T], function: str, given: Mapping[str, Any]) -> T:
    """Return settings from keyword arguments.

    Raises:
        ValueError: one of them is unknown.
    """
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{function} has no setting {unknown[0]!r}; known: {', '.join(known)}")
    return kind(**given)


def plain(value: Any) -> Any:
    """Return a value as controls take it: no type of NumPy, tuples for lists, text for paths."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(plain(each) for each in value)
    return str(value) if isinstance(value, Path) else value


def as_text(value: Any) -> str:
    """Return a value as code that gives exactly the same one."""
    if isinstance(value, tuple):
        return f"({', '.join(map(as_text, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"  # nan and inf are no names in Python
    return repr(value)


def argument(value: Any, name: str) -> str:
    """Return an argument as code: the path it is, or the name that stands for an object."""
    return repr(str(value)) if isinstance(value, str | Path) else name


def as_code(
    values: Mapping[str, Any], defaults: Mapping[str, Any], controls: Mapping[str, Any]
) -> list[str]:
    """Return the arguments that give the values again: those of hidden controls mean nothing."""
    shown = [name for name in values if controls[name].layout.display != "none"]
    return [f"{name}={as_text(values[name])}" for name in shown if values[name] != defaults[name]]


def reach(controls: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Let sliders reach the values that are wanted of them: a model's own, and those of code.

    What is no finite number is left to ``set_control``, which says so.
    """
    for name in controls.keys() & wanted.keys():
        value = plain(wanted[name])
        if isinstance(value, int | float) and _finite(value) and hasattr(controls[name], "max"):
            controls[name].max = max(controls[name].max, value)


def set_control(control: Any, name: str, value: Any) -> None:
    """Set a control.

    Raises:
        ValueError: it cannot have the value, and keeps its own; the setting is named.
    """
    value, before = plain(value), control.value
    try:
        control.value = value
    except Exception as error:  # traitlets' own errors are of several kinds
        raise ValueError(f"{name} cannot be {value!r}{_known(control, before)}") from error
    if control.value is None:  # what controls of options have without a choice
        control.value = before
        raise ValueError(f"{name} cannot be {value!r}{_known(control, before)}")
    if not (_finite(value) and (control.value == value or isinstance(value, str))):
        control.value = before
        raise ValueError(f"{name} must be {_limits(control, value)}, not {value!r}")


def _finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _known(control: Any, value: Any) -> str:
    options = getattr(control, "options", None) or ()
    known = [str(each[1] if isinstance(each, tuple) else each) or "''" for each in options]
    if known:
        return f"; known: {', '.join(known)}"
    if isinstance(value, tuple):
        return "; two numbers are wanted, the lower one first"
    kinds = {bool: "True or False", str: "a text"}
    return f"; it must be {kinds.get(type(value)) or _limits(control, value)}"


def _limits(control: Any, value: Any) -> str:
    whole = isinstance(control.value, int) and isinstance(value, float)
    kind = "a whole number" if whole else "a number"
    if not hasattr(control, "min"):
        return kind
    low, high = control.min, control.max
    if isinstance(control, ipw.FloatLogSlider):
        low, high = control.base**low, control.base**high
    return f"{kind + ' ' if whole else ''}from {low} to {high}"
