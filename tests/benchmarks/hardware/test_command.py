from __future__ import annotations

import sys
from pathlib import Path

import pytest

from poselib.benchmarks.hardware.bench import NETWORKS
from poselib.benchmarks.hardware.command import _KINDS, _SYSTEMS, main
from poselib.benchmarks.hardware.plan import KINDS
from poselib.ops.io import read_json

TINY = ["--device", "cpu", "--backbone", "hrnet_tiny", "--size", "64", "--crop", "64"]
TINY += ["--batches", "1", "--people", "2", "--repeats", "1", "--seconds", "0"]
TINY += ["--systems", "jre", "--kinds", "inference"]


def test_a_record_and_its_figure_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TINY, "--out", str(tmp_path)]) == 0
    content = read_json(tmp_path / "hardware.json")
    assert {row["system"] for row in content["rows"]} == {"jre"}
    assert content["parameters"]["size"] == 64 and content["done"]
    assert "HigherHRNet" in capsys.readouterr().out
    picture = tmp_path / "hardware.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    assert main(["--draw", str(tmp_path / "hardware.json")]) == 0
    assert picture.exists() and read_json(tmp_path / "hardware.json") == content


def test_without_the_drawing_library_the_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "poselib.benchmarks.hardware.figure", None)
    assert main([*TINY, "--minutes", "0", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "hardware.json").exists() and not (tmp_path / "hardware.png").exists()
    assert "no figure, as " in capsys.readouterr().err


def test_a_missing_module_and_a_wrong_file_are_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--draw", str(tmp_path / "none.json")]) == 2
    (tmp_path / "other.json").write_text("{}")
    assert main(["--draw", str(tmp_path / "other.json")]) == 2
    assert "no record of hardware: it lacks rows" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "poselib.benchmarks.hardware.bench", None)
    assert main([*TINY, "--out", str(tmp_path)]) == 2
    assert "the module 'poselib.benchmarks.hardware.bench' is missing" in capsys.readouterr().err


def test_the_help_names_what_there_is() -> None:
    assert set(_SYSTEMS) == set(NETWORKS) and _KINDS == KINDS
