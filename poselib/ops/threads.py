"""How threads of libraries that are not loaded yet are to wait for each other."""

from __future__ import annotations

import os

# Threads that wait by spinning take the cores from whatever else runs: on a busy machine training
# was five times slower with OpenMP's default. Never to spin (OMP_WAIT_POLICY=PASSIVE) costs 40% on
# a quiet one; a short spin costs neither.
_SPINS = "10000"


def spin_briefly() -> None:
    """Let GNU OpenMP's threads spin for a short time only, in this process and those it starts.

    It is heard where torch has not been imported yet; a setting of the user's own stays.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
