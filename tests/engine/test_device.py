"""Tests of how the CPU's memory is handled."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from poselib.engine.device import keep_freed_memory, release_freed_memory

# Fetches and frees 64 tensors of 1 MB, and prints how many pages the system gave for the last. The
# library raises its thresholds as it runs, depending on what else is freed; here they are fixed.
_PAGES = """
import ctypes, resource, torch
from poselib.engine.device import keep_freed_memory
for threshold in (-1, -3):
    ctypes.CDLL(None).mallopt(threshold, 2**17)
def last():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        tensors = [torch.ones(2**18) for _ in range(64)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(last(), int(keep_freed_memory()), last(), resource.getpagesize())
"""
# The same, in MB: what the process holds after that, and after it gave back what is free.
_HELD = """
import torch
from pathlib import Path
from poselib.engine.device import keep_freed_memory, release_freed_memory
def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1000
keep_freed_memory()
tensors = [torch.ones(2**18) for _ in range(64)]
del tensors
print(held(), int(release_freed_memory()), held())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs GNU's C library")
def test_freed_memory_is_fetched_once() -> None:
    done = subprocess.run([sys.executable, "-c", _PAGES], stdout=subprocess.PIPE, check=True)
    fetched, kept, again, page = map(int, done.stdout.split())
    assert fetched > 2**26 // page // 2  # else there is nothing to mend
    assert kept
    assert again < 2**26 // page // 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs GNU's C library")
def test_what_is_kept_can_be_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _HELD], stdout=subprocess.PIPE, check=True)
    before, released, after = map(int, done.stdout.split())
    assert released
    assert after < before - 55


@pytest.mark.parametrize(
    ("given", "left"), [((), [-1, -3]), (("TRIM", "MMAP"), []), (("MMAP",), [-1])]
)
def test_thresholds_of_the_environment_stay(
    given: tuple[str, ...], left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIM", "MMAP"):
        monkeypatch.delenv(f"MALLOC_{name}_THRESHOLD_", raising=False)
    for name in given:
        monkeypatch.setenv(f"MALLOC_{name}_THRESHOLD_", "131072")
    adjusted: list[int] = []

    def adjust(number: int, _: int) -> int:
        adjusted.append(number)
        return 1

    library = SimpleNamespace(mallopt=adjust)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert keep_freed_memory.__wrapped__()
    assert adjusted == left


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    assert not keep_freed_memory.__wrapped__()
    assert not release_freed_memory()
