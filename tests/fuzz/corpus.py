"""The type of every corpus, and how several ways of using an input are tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Rng = np.random.Generator
Action = Callable[[Path], object]


@dataclass(frozen=True)
class Corpus:
    """Inputs of one kind.

    Attributes:
        share: of all inputs.
        prepare: writes what is the same for all inputs into an empty folder.
        write: writes one input into that folder.
        read: does with the folder what a user would; returns if the input is accepted.
    """

    share: float
    prepare: Action
    write: Callable[[Rng, Path], object]
    read: Action


class Refusals(ExceptionGroup):
    """Errors of the uses of an input that refuse it; ``message`` is the outcome."""


def try_all(folder: Path, *uses: Action) -> None:
    """Use an input in several ways; it is accepted if one of them accepts it."""
    errors: list[Exception] = []
    for use in uses:
        try:
            use(folder)
        except (OSError, ValueError, MemoryError) as error:
            errors.append(error)
    if errors:
        raise Refusals("accepted" if len(errors) < len(uses) else "refused", errors)
