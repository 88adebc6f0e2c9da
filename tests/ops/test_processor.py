"""What a process may use: OpenMP's spinning, set before torch is imported, cores, instructions."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from poselib.ops.processor import onednn_allows, spin_briefly, suitable_workers, usable_cores


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


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert usable_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(
    ("gpu", "cores", "sharing", "workers"),
    [(False, 16, "", 0), (True, 16, "", 8), (True, 4, "", 3), (True, 1, "", 1), (True, 16, "4", 3)],
)
def test_workers_follow_from_cores_and_device(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, cores: int, sharing: str, workers: int
) -> None:
    monkeypatch.setattr("poselib.ops.processor.usable_cores", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if sharing:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", sharing)
    assert suitable_workers(gpu) == workers


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [("", True), ("all", True), ("DEFAULT", True), ("AVX512_CORE_AMX", True), ("avx2", False)],
)
def test_limits_of_onednn(monkeypatch: pytest.MonkeyPatch, limit: str, allowed: bool) -> None:
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert onednn_allows("512") == allowed
