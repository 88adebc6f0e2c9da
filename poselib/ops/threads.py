"""Waiting of OpenMP threads: a short spin before they yield their core."""

from __future__ import annotations

import os

# Threads that wait by spinning keep cores from other processes. A training step with two
# threads took 8.2 s beside eight busy processes with OpenMP's default, 2.1 s with 10,000 spins,
# 0.7 s with 1,000 and 0.6 s with none (OMP_WAIT_POLICY=PASSIVE); with one thread 0.6 to 1.2 s. On
# two quiet cores it took 0.14 s with 10,000 spins, 0.17 s with 1,000, 0.19 s with none, and 0.26 s
# with one thread.
_SPINS = "1000"


def spin_briefly() -> None:
    """Limit the spinning of GNU OpenMP's threads, in this process and those that it starts.

    Call it before torch is imported: OpenMP reads the setting once. A setting of the user's stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
