"""The setting of OpenMP's spinning before torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from poselib.ops.threads import spin_briefly


def test_spin_setting_of_the_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_spin_is_set_before_torch_is_imported() -> None:
    code = """
import os, sys
from poselib import cli
calls = []
cli.spin_briefly = lambda: calls.append("torch" in sys.modules)
try:
    cli.main(["--help"])
except SystemExit:
    pass
sys.exit(calls != [False])
"""
    bare = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    assert subprocess.run([sys.executable, "-c", code], env=bare, check=False).returncode == 0
