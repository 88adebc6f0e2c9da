"""Commands as from a shell."""

from __future__ import annotations

import pytest

from poselib.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Return the exit status of a command, what it says and what it complains of."""
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refusal(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Return the sentence in which a command refuses its options."""
    status, _, error = run(capsys, *words)
    assert status == 2 and error.count("\n") == 1
    return error
