"""Values from files and command lines against the types of a dataclass's fields."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from poselib.wording import shown


def check_field_types(kind: type, values: Mapping[str, Any]) -> None:
    """Check that values have the types of the fields of their names.

    Lists are taken for sequences and tuples, and whole numbers for fractions, as JSON has them.
    Which texts a ``Literal`` allows is left to the dataclass.

    Args:
        kind: a dataclass.
        values: of some of its fields.

    Raises:
        ValueError: a value is of another type; the message names the field.

    Example:
        >>> from poselib.losses.associative_options import PushOptions
        >>> check_field_types(PushOptions, {"form": "hinge", "sigma": 1})
        >>> check_field_types(PushOptions, {"sigma": "1"})
        Traceback (most recent call last):
        ValueError: sigma must be a number, not '1'
    """
    hints = get_type_hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} must be {_wanted(hints[name])}, not {shown(value)}")


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return isinstance(value, str)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple and parts[-1] is not Ellipsis:
        return (
            isinstance(value, list | tuple)
            and len(value) == len(parts)
            and all(_fits(each, part) for each, part in zip(value, parts, strict=True))
        )
    if origin in (tuple, Sequence):
        return isinstance(value, list | tuple) and all(_fits(each, parts[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(each, parts[1]) for each in value.values())
    if hint in (int, float) and (isinstance(value, bool) or value != value):  # NaN is no number
        return False
    return isinstance(value, int | float if hint is float else hint)


def _wanted(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_wanted, parts)))
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"{len(parts)} values"
    if origin in (tuple, Sequence):
        return f"a list, each of it {_wanted(parts[0])}"
    if origin is Mapping:
        return f"an object of named values, each {_wanted(parts[1])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(hint, "text" if origin is Literal else "none")
