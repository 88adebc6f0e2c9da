"""Reading JSON files of annotations and checking the fields that are used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poselib.data.annotation_table import LARGEST
from poselib.ops.io import parse_json
from poselib.skeleton_rules import letters as letters
from poselib.typing import BoolArray, FloatArray
from poselib.wording import shown as shown

Entry = dict[str, Any]
_WHOLE = 2**63  # numbers and ids are kept in 64 bits


def load_json(path: Path, kind: str = "annotation") -> Any:
    """Return what a JSON file holds; ``kind`` names it in errors.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not JSON, or of a depth or a length of numbers that cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{kind} file {path} does not exist")
    return parse_json(path.read_bytes(), str(path))


def entry(value: Any, where: str) -> Entry:
    """Return an object; raises ValueError that says where anything else was found."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, found {_short(value)}")
    return value


def entries(value: Any, where: str) -> list[Entry]:
    """Return a list of objects; raises ValueError that says where anything else was found."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list of objects, found {_short(value)}")
    for i, item in enumerate(value):
        if not isinstance(item, dict):  # the place is only written where it is wanted
            entry(item, f"{where}[{i}]")
    return value


def integer(holder: Entry, field: str, where: str) -> int:
    """Return a whole number; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not -_WHOLE <= value < _WHOLE:
        raise ValueError(f"{where}: {field}: expected a whole number, found {shown(value)}")
    return value


def number(holder: Entry, field: str, where: str, largest: float = LARGEST) -> float:
    """Return a finite number; raises ValueError that names the field."""
    value: Any = holder.get(field)
    if not _is_number(value, largest):
        found = _found(value, largest)
        raise ValueError(f"{where}: {field}: expected a finite number, found {found}")
    return float(value)


def text(holder: Entry, field: str, where: str) -> str:
    """Return text that is not empty; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {field}: expected text, found {shown(value)}")
    return value


def numbers(
    holder: Entry, field: str, count: int, where: str, largest: float = LARGEST
) -> list[float]:
    """Return ``count`` finite numbers; raises ValueError that names the field."""
    value = holder.get(field)
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)}" if isinstance(value, list) else shown(value)
        raise ValueError(f"{where}: {field}: expected {count} numbers, found {found}")
    for place, one in enumerate(value):
        if not _is_number(one, largest):
            found = f"found {_found(one, largest)} at position {place}"
            raise ValueError(f"{where}: {field}: expected finite numbers, {found}")
    return value


def number_rows(
    holders: Sequence[Entry],
    field: str,
    count: int,
    where: Callable[[int], str],
    largest: float = LARGEST,
) -> FloatArray:
    """Return ``count`` finite numbers of each of N objects as an (N, count) array.

    Args:
        holders: objects that have the field.
        field: its name.
        count: numbers in each field.
        where: gives the place of an object in the file from its position in ``holders``.
        largest: the largest magnitude of a number.

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
    if not plain or not (np.abs(values, dtype=float) <= largest).all():
        rows = [numbers(h, field, count, where(n), largest) for n, h in enumerate(holders)]
        return np.array(rows, float)
    return values.astype(np.float64)


def number_column(holders: Sequence[Entry], field: str, where: Callable[[int], str]) -> FloatArray:
    """Return a finite number of each of N objects, (N,); NaN where it is absent or null.

    Raises:
        ValueError: as ``number`` does, for the first object that is wrong.
    """
    given = [holder.get(field) for holder in holders]
    for n, value in enumerate(given):
        if value is not None and not _is_number(value, LARGEST):
            number(holders[n], field, where(n))
    return np.array([math.nan if value is None else value for value in given], float)


def flags(holders: Sequence[Entry], field: str, where: Callable[[int], str]) -> BoolArray:
    """Return a flag of each of N objects, (N,): 0, 1, true or false; false where it is absent.

    Raises:
        ValueError: another value is found, such as text.
    """
    given = [holder.get(field) for holder in holders]
    for n, value in enumerate(given):
        # A tuple compares by equality, which every type has: True is 1.
        if value not in (None, 0, 1):
            wanted = "expected 0, 1, true or false"
            raise ValueError(f"{where(n)}: {field}: {wanted}, found {shown(value)}")
    return np.array([bool(value) for value in given], bool)


def corners(holder: Entry, field: str, where: str) -> list[float]:
    """Return left, top, right, bottom from two opposite corners in any order.

    Raises:
        ValueError: the field is not four finite numbers.
    """
    a, b, c, d = numbers(holder, field, 4, where)
    return [min(a, c), min(b, d), max(a, c), max(b, d)]


def _found(value: object, largest: float) -> str:
    large = isinstance(value, int | float) and largest < abs(value) < math.inf
    return shown(value) + (f", which is more than {largest:g}" if large else "")


def _is_number(value: object, largest: float) -> bool:
    # The comparison is false for NaN, and takes whole numbers of any length.
    return isinstance(value, int | float) and -largest <= value <= largest


def _short(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
