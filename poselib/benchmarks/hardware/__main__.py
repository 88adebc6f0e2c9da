"""Measure every system on this machine within some minutes: JSON row by row, then a figure.

Example::

    python -m poselib.benchmarks.hardware --device cuda --minutes 9 --out figures
"""

from __future__ import annotations

import sys

from poselib.benchmarks.hardware.command import main

if __name__ == "__main__":
    sys.exit(main())
