"""Measure every system on this machine within some minutes: JSON row by row, then a figure.

Example::

    python -m poselib.benchmarks.hardware --device cuda --minutes 9 --out figures
"""

from __future__ import annotations

import os
import sys

from poselib.benchmarks.hardware.command import main

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Compilers whose time was up go on in threads and processes, which Python would wait for.
    os._exit(status)
