"""Reading MATLAB files of datasets: structures, cells and empty values.

MATLAB has empty fields where Python would have none, writes a single structure as an array of one,
and counts from 1. The functions accept every form of the same value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from poselib.data.annotation_table import LARGEST

Value = NDArray[Any]

# Added to pixel coordinates that count from 1, so that the first pixel's center is 0.5.
PIXEL_CENTER = -0.5


def read_mat(path: Path, name: str) -> Value:
    """Return one variable of a MATLAB file; see ``read_variables``."""
    return read_variables(path, (name,))[name]


def read_variables(path: Path, names: Sequence[str]) -> dict[str, Value]:
    """Return variables of a MATLAB file by their names.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not a MATLAB file of version 4 to 7.2, is truncated, or lacks a variable.
    """
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    with path.open("rb") as file:
        if file.read(10) == b"MATLAB 7.3":
            raise ValueError(f"{path}: a MATLAB 7.3 file; save it again in MATLAB with -v7")
    try:
        content = loadmat(str(path), variable_names=list(names))
    except Exception as error:  # scipy raises errors of every kind for what is no such file
        raise ValueError(f"{path}: not a MATLAB file, or truncated: {error}") from error
    for name in names:
        if name not in content:
            raise ValueError(f"{path}: expected a variable named {name!r}")
    return {name: np.asarray(content[name]) for name in names}


def matrix(value: Value, shape: tuple[int | None, ...], where: str) -> NDArray[np.float64]:
    """Return numbers of a shape, of which None is any length.

    Raises:
        ValueError: they are no numbers, not finite, or of another shape.
    """
    fits = value.ndim == len(shape) and value.dtype.kind in "iufb"
    if not fits or any(n is not None and n != m for n, m in zip(shape, value.shape, strict=True)):
        wanted = " x ".join("N" if n is None else str(n) for n in shape)
        found = f"{value.dtype} {' x '.join(map(str, value.shape))}"
        raise ValueError(f"{where}: expected numbers, {wanted}, found {found}")
    numbers = value.astype(np.float64)
    for place in np.argwhere(~(np.abs(numbers) <= LARGEST))[:1].tolist():
        found = f"{numbers[tuple(place)]:g} at {', '.join(str(n + 1) for n in place)}"
        raise ValueError(f"{where}: expected finite numbers, found {found}, counted from 1")
    return numbers


def structures(value: Value | None) -> list[np.void]:
    """Return the elements of a structure array; none if it is empty or not a structure."""
    if value is None or value.dtype.names is None:
        return []
    return list(value.ravel())


def cells(value: Value | None) -> list[Value]:
    """Return the elements of a cell array; none if it is empty or not a cell array."""
    if value is None or value.dtype != object:
        return []
    return [np.asarray(element) for element in value.ravel()]


def field(entry: np.void, name: str) -> Value | None:
    """Return a field of a structure, or None if it is missing or empty."""
    names = entry.dtype.names or ()
    value = np.asarray(entry[name]) if name in names else None
    return value if value is not None and value.size else None


def number(entry: np.void, name: str, where: str) -> float:
    """Return a field that holds one number, as a number or as text; NaN if missing or empty.

    Raises:
        ValueError: it holds something else.
    """
    value = field(entry, name)
    if value is None:
        return math.nan
    try:
        found = float(value.item())
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {name}: expected a number, found {_shown(value)}") from error
    if abs(found) > LARGEST:
        raise ValueError(f"{where}: {name}: expected a finite number, found {found:g}")
    return found


def flag(entry: np.void, name: str, where: str) -> float:
    """Return a field that holds 0 or 1; NaN if missing or empty.

    Raises:
        ValueError: it holds something else.
    """
    value = number(entry, name, where)
    if not (math.isnan(value) or value in (0, 1)):
        raise ValueError(f"{where}: {name}: expected 0 or 1, found {value:g}")
    return value


def text(entry: np.void, name: str, where: str) -> str:
    """Return a field that holds text.

    Raises:
        ValueError: it is missing, empty or something else.
    """
    value = field(entry, name)
    if value is None or value.dtype.kind != "U" or value.size != 1:
        raise ValueError(f"{where}: {name}: expected text, found {_shown(value)}")
    return str(value.item())


def indices(value: Value, count: int, where: str) -> tuple[int, ...]:
    """Return numbers that count from 1 as indices that count from 0.

    Raises:
        ValueError: they are not whole numbers from 1 to ``count``.
    """
    if value.dtype.kind not in "iufb" or not np.isin(value, np.arange(1, count + 1)).all():
        raise ValueError(
            f"{where}: expected whole numbers from 1 to {count}, found {_shown(value)}"
        )
    return tuple((value.ravel().astype(np.int64) - 1).tolist())


def _shown(value: Value | None) -> str:
    if value is None:
        return "nothing"
    return repr(value.tolist()) if value.size < 9 else f"{value.dtype} {value.shape}"
