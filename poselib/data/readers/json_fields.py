"""Reading JSON files of annotations and checking the fields that are used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselib.typing import FloatArray

Entry = dict[str, Any]


def load_json(path: Path, kind: str = "annotation") -> Any:
    """Return what a JSON file holds; ``kind`` names it in errors.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{kind} file {path} does not exist")
    try:
        return json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from error


def entry(value: Any, where: str) -> Entry:
    """Return an object; raises ValueError that says where anything else was found."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, found {_short(value)}")
    return value


def entries(value: Any, where: str) -> list[Entry]:
    """Return a list of objects; raises ValueError that says where anything else was found."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list of objects, found {_short(value)}")
    return [entry(item, f"{where}[{i}]") for i, item in enumerate(value)]


def integer(holder: Entry, field: str, where: str) -> int:
    """Return a whole number; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}: {field}: expected a whole number, found {value!r}")
    return value


def number(holder: Entry, field: str, where: str) -> float:
    """Return a finite number; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {field}: expected a finite number, found {value!r}")
    return float(value)


def text(holder: Entry, field: str, where: str) -> str:
    """Return text that is not empty; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {field}: expected text, found {value!r}")
    return value


def numbers(holder: Entry, field: str, count: int, where: str) -> list[float]:
    """Return ``count`` finite numbers; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)}" if isinstance(value, list) else f"{value!r}"
        raise ValueError(f"{where}: {field}: expected {count} numbers, found {found}")
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in value):
        raise ValueError(f"{where}: {field}: expected finite numbers, found {value}")
    return value


def number_rows(
    holders: Sequence[Entry], field: str, count: int, where: Callable[[int], str]
) -> FloatArray:
    """Return ``count`` finite numbers of each of N objects as an (N, count) array.

    Args:
        holders: objects that have the field.
        field: its name.
        count: numbers in each field.
        where: gives the place of an object in the file from its position in ``holders``.

    Raises:
        ValueError: as ``numbers`` does, for the first object that is wrong.
    """
    if not holders:
        return np.zeros((0, count))
    try:
        values = np.array([holder.get(field) for holder in holders])
    except ValueError:  # of different lengths
        values = np.zeros(0)
    plain = values.shape == (len(holders), count) and values.dtype.kind in "iuf"
    if not plain or not np.isfinite(values).all():
        return np.array([numbers(h, field, count, where(n)) for n, h in enumerate(holders)], float)
    return values.astype(np.float64)


def corners(holder: Entry, field: str, where: str) -> list[float]:
    """Return left, top, right, bottom from two opposite corners in any order.

    Raises:
        ValueError: the field is not four finite numbers.
    """
    a, b, c, d = numbers(holder, field, 4, where)
    return [min(a, c), min(b, d), max(a, c), max(b, d)]


def _short(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
