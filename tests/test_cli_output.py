"""The command line: where it writes, what it prints, and which options it refuses."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from poselib.benchmarks.workloads import decode_inputs
from poselib.cli import main
from poselib.data.image_io import encode_image
from poselib.engine.predict_images import RESULTS
from poselib.experiments.runs import start_run

COMMAND = (sys.executable, "-m", "poselib.cli")
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    path.write_bytes(encode_image(np.full((40, 48, 3), 120, np.uint8), ".png"))
    return path


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    outputs = decode_inputs(2, (48, 64), keypoints=5)
    tags = outputs.tags[0].permute(0, 2, 3, 1)
    np.savez(tmp_path / "maps.npz", heatmaps=outputs.heatmaps[0][0], tags=tags)
    return tmp_path / "maps.npz"


def small(image: Path | str, out: Path | str, *more: object) -> list[str]:
    return ["predict", str(image), "--out", str(out), "--size", "64", "--no-flip", *map(str, more)]


def test_a_folder_that_holds_a_run_is_refused_before_a_model_is_loaded(
    image: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = start_run(image.parent, "own_training", {}, "mine")
    (record.folder / "results.json").write_text("[]")
    monkeypatch.setattr("poselib.api.load", None)
    assert main(small(image, record.folder)) == 2
    assert "mine: holds a run, whose results these would replace" in capsys.readouterr().err
    assert (record.folder / "results.json").read_text() == "[]"
    assert not (record.folder / "images.json").exists()


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("predict", ["--min-score", "nan"], "--min-score must be a finite number, not nan"),
        ("predict", ["--draw-score", "inf"], "--draw-score must be a finite number, not inf"),
        ("predict", ["--scales", "1", "nan"], "--scales must be a finite number, not nan"),
        ("predict", ["--out", ""], "--out: an empty text is no name"),
        ("predict", ["--checkpoint", ""], "--checkpoint: an empty text is no name"),
        ("predict", [""], "--images: an empty text is no name"),
        ("decode", ["--out", ""], "--out: an empty text is no name"),
        ("synthetic", ["--processes", "-3"], "--processes must be 1 or more, not -3"),
        ("synthetic", ["--crowd-index", "nan"], "--crowd-index must be a finite number, not nan"),
    ],
)  # fmt: skip
def test_options_without_a_meaning_are_refused(
    command: str, arguments: list[str], named: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    usual = {
        "predict": [*arguments, "--out", "o"] if "--out" not in arguments else ["a", *arguments],
        "decode": ["maps.npz", *arguments],
        "synthetic": ["scenes", *arguments],
    }[command]
    if command == "predict" and arguments[:1] != [""] and "--out" not in arguments:
        usual = ["a.png", *usual]
    assert main([command, *usual]) == 2
    assert capsys.readouterr().err == f"poselib {command}: {named}\n"
    assert not list(tmp_path.iterdir())


@POSIX
def test_a_pipe_receives_the_poses(maps: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert main(["decode", str(maps), "--out", str(pipe), "--repeats", "1"]) == 0
        received = reader.communicate(timeout=30)[0]
    assert received.startswith(b"PK") and stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a" * 251 + b".png", "对".encode() * 80])
def test_images_of_any_name_are_predicted(
    image: Path, tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    named, out = image.with_name(os.fsdecode(name)), tmp_path / "out"
    image.rename(named)
    assert main(small(named, out)) == 0
    assert "people found" in capsys.readouterr().out
    (entry,) = json.loads((out / "images.json").read_text())["images"]
    assert (out / entry["drawing"]).is_file() and Path(entry["file_name"]) == named
    assert len(list(out.iterdir())) == 1 + len(RESULTS)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["", ">&-", "| true"])
def test_what_is_done_is_no_failure_whatever_the_output_is(
    image: Path, tmp_path: Path, redirection: str
) -> None:
    named = image.with_name("对.png")
    image.rename(named)
    words = [*COMMAND, *small(named, tmp_path / "out", "--model", "hae_tiny_synthetic")]
    script = 'set -o pipefail; "$@" ' + redirection
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"\\u5bf9" in done.stdout) == (redirection == "")
    assert (tmp_path / "out" / "results.json").is_file()


@pytest.mark.parametrize("name", ["a.png", *RESULTS])
def test_a_folder_in_the_place_of_a_result_is_found_before_predicting(
    image: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "out" / name).mkdir(parents=True)
    monkeypatch.setattr("poselib.api.load", lambda *_, **__: pytest.fail("loaded"))
    assert main(small(image, tmp_path / "out")) == 2
    assert f"{name}: this is a folder; a file is wanted" in capsys.readouterr().err


def test_too_little_memory_is_one_line(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("poselib.engine.predictor.predict", lambda *_, **__: np.zeros(2**46))
    assert main(small(image, tmp_path / "out")) == 2
    error = capsys.readouterr().err
    assert error.startswith("poselib predict: not enough memory: Unable to allocate 512")
    assert error.count("\n") == 1


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_dataset_that_is_terminated_leaves_nothing(tmp_path: Path, processes: str) -> None:
    words = ["synthetic", str(tmp_path / "scenes"), "--count", "100000", "--processes", processes]
    with subprocess.Popen([*COMMAND, *words]) as process:
        while not list(tmp_path.glob(".poselib.*/new/images/*.png")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
