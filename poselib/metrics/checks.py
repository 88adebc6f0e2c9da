"""Many rows of numbers from a file, checked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


def numbers(rows: list[Any], count: int, name: Callable[[int], str], field: str) -> Float:
    """Return (rows, count) finite numbers.

    Raises:
        ValueError: a row has another length or is not of finite numbers; it names the first.
    """
    try:
        values = np.array(rows, dtype=np.float64)
        if values.shape == (len(rows), count) and np.isfinite(values).all():
            return values
    except (TypeError, ValueError):
        pass
    # Something is wrong: look for it row by row.
    for row, given in enumerate(rows):
        found = given[0] if isinstance(given, list) and len(given) == 1 else given
        try:
            one = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name(row)}: {field}: expected {count} numbers, found {found!r}"
            ) from error
        if one.shape != (count,) or not np.isfinite(one).all():
            raise ValueError(
                f"{name(row)}: {field}: expected {count} finite numbers, found {found!r}"
            )
    return np.zeros((0, count))


def numbers_or(
    values: list[Any], default: list[float] | None, name: Callable[[int], str], field: str
) -> tuple[Float, Bool]:
    """Return rows of numbers, with defaults where a value is None, and where that was.

    With no default values are single numbers, and 0 where absent.
    """
    absent = np.array([value is None for value in values], dtype=bool)
    if default is None:
        rows = [[0.0 if value is None else value] for value in values]
        return numbers(rows, 1, name, field), absent
    rows = [default if value is None else value for value in values]
    return numbers(rows, len(default), name, field), absent
