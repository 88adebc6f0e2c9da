"""Writing MATLAB files in the structure that datasets publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

NOTHING = np.zeros((0, 0), np.uint8)


def struct(*rows: dict[str, Any]) -> np.ndarray:
    """A (1, n) structure array; what a row lacks is empty, as MATLAB leaves it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for i, row in enumerate(rows):
        for name in names:
            array[0, i][name] = row.get(name, NOTHING)
    return array


def cell(values: Sequence[Any], *, column: bool = True) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array.reshape((-1, 1) if column else (1, -1))


def save(path: Path, **variables: Any) -> Path:
    savemat(path, variables, do_compression=True)
    return path
