"""Numbers in sentences."""

from __future__ import annotations


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
