"""What a prediction is computed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedOptions:
    """What a prediction is computed with; the defaults change no digit of the results.

    Attributes:
        workers: threads that read and resize images while the network runs; 0 for none. One thread
            reads a dataset in order, and never from two places at a time; more are for datasets
            that allow it, as image files do.

    Raises:
        ValueError: an option is out of range or unknown.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if not (isinstance(self.workers, int) and self.workers >= 0):
            raise ValueError(f"workers must be 0 or more and whole, not {self.workers!r}")
