"""Settings of explorers: a frozen dataclass each, whose fields are the names of its controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

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
    """Return a value as code shows it."""
    return round(value, 6) if isinstance(value, float) else value  # 0.1 + 0.2 is 0.3


def argument(value: Any, name: str) -> str:
    """Return an argument as code: the path it is, or the name that stands for an object."""
    return repr(str(value)) if isinstance(value, str | Path) else name


def as_code(
    values: Mapping[str, Any], defaults: Mapping[str, Any], controls: Mapping[str, Any]
) -> list[str]:
    """Return the arguments that give the values again: those of hidden controls mean nothing."""
    shown = [name for name in values if controls[name].layout.display != "none"]
    return [f"{name}={plain(values[name])!r}" for name in shown if values[name] != defaults[name]]


def reach(controls: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Let sliders reach the values that are wanted of them: a model's own, and those of code."""
    for name in controls.keys() & wanted.keys():
        if wanted[name] is not None and hasattr(controls[name], "max"):
            controls[name].max = max(controls[name].max, wanted[name])


def set_control(control: Any, name: str, value: Any) -> None:
    """Set a control; raises ValueError that names the setting if it cannot have the value."""
    try:
        control.value = value
    except Exception as error:  # traitlets' own errors are of several kinds
        options = getattr(control, "options", None) or ()
        known = [str(each[1] if isinstance(each, tuple) else each) for each in options]
        wanted = f"; known: {', '.join(known)}" if known else ""
        raise ValueError(f"{name} cannot be {value!r}{wanted}") from error
    if control.value != value and not isinstance(value, str):
        raise ValueError(f"{name} must be from {control.min} to {control.max}, not {value!r}")
