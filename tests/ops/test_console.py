"""Printing whatever the terminal is, and errors in one line."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from poselib.ops.console import one_line, out_of_memory, parse, say

SAY = "from poselib.ops.console import say; say('caf\\udce9 \u5bf9')"


def test_letters_that_a_terminal_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, wanted in (
        ("ascii", b"caf\\udce9 \\u5bf9\n"),
        ("utf-8", b"caf\\udce9 \xe5\xaf\xb9\n"),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        say("caf\udce9 \u5bf9")
        assert stream.buffer.getvalue() == wanted  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("redirection", [">&-", "| true", "> /dev/full"])
def test_an_output_that_takes_nothing_is_skipped(redirection: str) -> None:
    command = f"set -o pipefail; {sys.executable} -c {SAY!r} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_too_little_memory_is_a_sentence() -> None:
    for work in (
        lambda: np.zeros(2**46, np.float64),
        lambda: torch.zeros(2**46),
        lambda: cv2.resize(np.zeros((1, 1, 3), np.uint8), (2**30, 2**30)),
    ):
        with pytest.raises(Exception) as caught:
            work()
        assert out_of_memory(caught.value), caught.value
        assert str(one_line(caught.value)).startswith("not enough memory: ")
    assert one_line(MemoryError()) == "not enough memory"


def test_other_errors_are_told_apart() -> None:
    assert one_line(ValueError("a\n \x1b[1mb")) == "a [1mb"
    assert one_line(OSError(2, "no such file", "x.png")) == "[Errno 2] no such file: 'x.png'"
    assert one_line(ValueError("a.png: out of memory")) == "a.png: out of memory"
    assert one_line(RuntimeError("sizes must match")) is None


def test_an_unknown_option_is_answered_with_those_like_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    command = parser.add_subparsers(dest="command").add_parser("run")
    command.add_argument("--model")
    command.set_defaults(parser=command)
    assert parse(parser, ["run", "--model", "a"]).model == "a"
    for given, message in (
        ("--modle=a", "unrecognized arguments: --modle=a; did you mean --model?\n"),
        ("--zzz", "unrecognized arguments: --zzz\n"),
    ):
        with pytest.raises(SystemExit):
            parse(parser, ["run", given])
        assert capsys.readouterr().err.endswith(message)
