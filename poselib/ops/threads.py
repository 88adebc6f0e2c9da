"""How threads of libraries that are not loaded yet are to wait for each other."""

from __future__ import annotations

import os

# Threads that wait by spinning take the cores from whatever else runs. A training step with two
# threads took 8.2 s beside eight busy processes with OpenMP's default, 2.1 s with 10,000 spins,
# 0.7 s with 1,000 and 0.6 s with none (OMP_WAIT_POLICY=PASSIVE); with one thread 0.6 to 1.2 s. On
# two quiet cores it took 0.14 s with 10,000 spins, 0.17 s with 1,000, 0.19 s with none, and 0.26 s
# with one thread.
_SPINS = "1000"


def spin_briefly() -> None:
    """Let GNU OpenMP's threads spin for a short time only, in this process and those it starts.

    It is heard where torch has not been imported yet; a setting of the user's own stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
