"""Waiting of OpenMP threads: a short spin before they yield their core."""

from __future__ import annotations

import os

# Threads that wait by spinning keep cores from other processes: beside eight busy ones a training
# step took 8.2 s with OpenMP's default and 0.7 s so. On quiet cores few spins cost little.
_SPINS = "1000"


def spin_briefly() -> None:
    """Limit the spinning of GNU OpenMP's threads, in this process and those that it starts.

    Call it before torch is imported: OpenMP reads the setting once. A setting of the user's stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
