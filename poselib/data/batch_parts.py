"""The parts of each batch, one for each process and micro-batch of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class BatchParts:
    """The parts of each batch that one of several processes loads.

    A batch is divided into micro-batches, which follow each other, and each of them among the
    processes.

    Attributes:
        processes: their number.
        process: which one this is, from 0.
        micro_batches: their number.
    """

    processes: int = 1
    process: int = 0
    micro_batches: int = 1

    def check(self, size: int) -> None:
        """Raise ValueError if a batch of a size cannot be divided evenly."""
        if size % (number := self.processes * self.micro_batches):
            raise ValueError(
                f"a step of {size} samples cannot be divided among {self.processes} processes "
                f"with {self.micro_batches} micro-batches each: it must be a multiple of {number}"
            )

    def of(self, batch: Sequence[Key]) -> list[list[Key]]:
        """Return the keys of this process in each of the micro-batches.

        Example:
            >>> BatchParts(processes=2, process=1, micro_batches=2).of("abcdefgh")
            [['c', 'd'], ['g', 'h']]
        """
        size = len(batch) // (self.processes * self.micro_batches)
        starts = range(self.process * size, len(batch), size * self.processes)
        return [list(batch[start : start + size]) for start in starts]


WHOLE = BatchParts()
