"""Numbers and names in sentences."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_SHOWN = 200  # characters of a value in a message


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with the noun that it counts, in the form that it asks for.

    Args:
        number: how many.
        noun: of one.
        plural: of several; by default the noun with an s.

    Example:
        >>> counted(1, "clip"), counted(2, "clip"), counted(0, "person", "people")
        ('1 clip', '2 clips', '0 people')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def people_label(count: int) -> str:
    """Return ``1 person``, ``2 people`` and so on."""
    return counted(count, "person", "people")


def shown(value: object) -> str:
    """Return a value as an error message shows it: text in quotes, long ones shortened.

    Example:
        >>> shown([1.5, None] * 9), len(shown([["left"] * 99] * 99))
        ('[1.5, None, 1.5, None, 1.5, None, ...]', 200)
    """
    text = reprlib.repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def meant(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean a or b?`` of the known names that are like a word; "" if none is.

    Example:
        >>> meant("--modle", ["--model", "--out"])
        '; did you mean --model?'
    """
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
