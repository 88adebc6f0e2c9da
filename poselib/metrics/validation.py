"""Many rows of numbers from a file, checked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from poselib.typing import BoolArray, FloatArray


def numbers(rows: list[Any], count: int, name: Callable[[int], str], field: str) -> FloatArray:
    """Return (rows, count) finite numbers.

    Raises:
        ValueError: a row has another length or is not of finite numbers; it names the first.
    """
    if not rows:
        return np.zeros((0, count))
    values = _finite(rows, (len(rows), count))
    if values is not None:
        return values
    wrong = next(row for row, given in enumerate(rows) if _finite(given, (count,)) is None)
    found = rows[wrong][0] if count == 1 else rows[wrong]
    raise ValueError(f"{name(wrong)}: {field}: expected {count} finite numbers, found {found!r}")


def numbers_or(
    values: list[Any], default: list[float] | None, name: Callable[[int], str], field: str
) -> tuple[FloatArray, BoolArray]:
    """Return rows of numbers, with defaults where a value is None, and where that was.

    With no default values are single numbers, and 0 where absent.
    """
    absent = np.array([value is None for value in values], dtype=bool)
    if default is None:
        rows = [[0.0 if value is None else value] for value in values]
        return numbers(rows, 1, name, field), absent
    rows = [default if value is None else value for value in values]
    return numbers(rows, len(default), name, field), absent


def _finite(given: Any, shape: tuple[int, ...]) -> FloatArray | None:
    """Return finite numbers of a shape as an array, None for anything else."""
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return values if values.shape == shape and np.isfinite(values).all() else None
