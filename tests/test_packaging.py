"""The files that say what is installed and shipped agree with each other."""

from __future__ import annotations

import os
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import poselib

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13")


def requirements() -> list[Requirement]:
    everything = [*PROJECT["project"]["dependencies"], *chain(*EXTRAS.values())]
    return [Requirement(text) for text in everything]


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def conda() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def pinned(name: str) -> str:
    (specifier,) = constraints()[name].specifier
    return specifier.version


def test_names() -> None:
    assert PROJECT["project"]["name"] != "poselib"  # taken by an unrelated package
    assert PROJECT["project"]["scripts"] == {"poselib": "poselib.cli:main"}
    assert set(EXTRAS) == {"notebooks", "test", "dev", "docs", "video", "tensorboard", "export"}


def test_every_constraint_is_one_exact_version() -> None:
    for name, pin in constraints().items():
        (specifier,) = pin.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, name
        assert not pin.extras and pin.url is None, name


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    pins = constraints()
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} has no line in constraints.txt"
        assert requirement.specifier.contains(pinned(name)), f"{requirement} excludes {pins[name]}"


def test_every_requirement_has_a_lower_bound() -> None:
    for requirement in requirements():
        assert any(s.operator == ">=" for s in requirement.specifier), str(requirement)


def test_pythons_agree() -> None:
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    candidates = [f"3.{minor}" for minor in range(8, 20)]
    assert tuple(v for v in candidates if allowed.contains(f"{v}.5")) == PYTHONS
    prefix = "Programming Language :: Python :: 3."
    classifiers = PROJECT["project"]["classifiers"]
    assert tuple(c.rpartition(" ")[2] for c in classifiers if c.startswith(prefix)) == PYTHONS
    python = next(d for d in conda()["dependencies"] if str(d).startswith("python"))
    assert SpecifierSet(python.removeprefix("python")) == allowed
    low, high = (tuple(map(int, v.split("."))) for v in (PYTHONS[0], PYTHONS[-1]))
    assert f"{low} <= sys.version_info < {(high[0], high[1] + 1)}" in makefile()
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == PYTHONS[0]


def test_conda_installs_the_same_project() -> None:
    names = [d for d in conda()["dependencies"] if isinstance(d, str)]
    assert [re.split(r"[<>= ]", name)[0] for name in names] == ["python", "pip"]
    (pip,) = [d["pip"] for d in conda()["dependencies"] if isinstance(d, dict)]
    (editable,) = [line for line in pip if line.startswith("--editable")]
    extras = re.fullmatch(r"--editable \.\[([a-z,]+)\]", editable)
    assert extras and set(extras[1].split(",")) <= set(EXTRAS)
    assert f"EXTRAS := {extras[1]}\n" in makefile()  # what make demo and make test install
    assert "--constraint constraints.txt" in pip and len(pip) == 2


def test_hooks_are_the_pinned_tools_with_the_same_options() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: (repo, hook) for repo in repos for hook in repo["hooks"]}
    assert hooks["ruff-check"][0]["rev"] == f"v{pinned('ruff')}"
    assert hooks["nbstripout"][0]["rev"] == pinned("nbstripout")
    keys = re.search(r"^NOTEBOOK_KEYS := (.+)$", makefile(), re.MULTILINE)
    assert keys and hooks["nbstripout"][1]["args"] == ["--extra-keys", keys[1]]
    assert {"metadata.papermill", "cell.metadata.papermill"} <= set(keys[1].split())


def test_no_file_is_larger_than_the_hook_allows() -> None:
    config = (ROOT / ".pre-commit-config.yaml").read_text()
    limit = 1024 * int(re.search(r"--maxkb=(\d+)", config)[1])  # type: ignore[index]
    folders = [ROOT / name for name in ("poselib", "notebooks", "figures", "tests")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.stat().st_size > limit]


def test_the_version_is_said_once() -> None:
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "poselib/__init__.py"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == poselib.__version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_files_that_are_read_at_run_time_lie_inside_the_package() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["poselib"]
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "!/poselib/checkpoints/*.safetensors" in ignored
    assert "/figures/" not in ignored and "figures/" not in ignored


@pytest.mark.skipif(os.name == "nt", reason="no executable bits")
def test_the_script_for_ci_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
