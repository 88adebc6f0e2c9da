"""Provenance of a result: commit, versions, machine."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import poselib
from poselib.engine.timing import machine
from poselib.wording import counted

UNKNOWN = "unknown"
_ROOT = Path(poselib.__file__).resolve().parents[1]
_CODE = ("--", ".", ":!figures")  # paths of a git command
_DISTRIBUTIONS = ("torch", "torchvision", "timm", "numpy", "scipy", "pycocotools")
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")


def provenance() -> dict[str, Any]:
    """Return the git commit, whether tracked files differ from it, versions and machine.

    Changes in ``figures/`` do not count: they are results, and after the first figure of a notebook
    all others would be recorded as changed. The commit is ``"unknown"`` where poselib does not
    run from a git repository of its own.
    """
    commit = _git("rev-parse", "HEAD") if _in_own_repository() else None
    changed = _git("status", "--porcelain", "--untracked-files=no", *_CODE) if commit else None
    return {
        "git_commit": commit or UNKNOWN,
        "git_changed": bool(changed),
        "versions": versions(),
        "machine": machine_name(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, poselib and the libraries that affect results."""
    found = {name: _version(name) for name in _DISTRIBUTIONS}
    opencv = next((v for v in map(_version, _OPENCV) if v != "absent"), "absent")
    return {
        "python": platform.python_version(),
        "poselib": poselib.__version__,
        **found,
        "opencv": opencv,
    }


def machine_name() -> str:
    """Return the machine in words: system, processor, GPU and number of cores."""
    found = machine("cuda" if torch.cuda.is_available() else "cpu")
    parts = (f"{platform.system()} {platform.machine()}", found["cpu"], found["gpu"])
    return ", ".join([*filter(None, parts), counted(found["cores"], "core")])


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def _in_own_repository() -> bool:
    # Installed inside another repository, poselib must not report that one's commit.
    top = _git("rev-parse", "--show-toplevel")
    return top is not None and Path(top).resolve() == _ROOT


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
