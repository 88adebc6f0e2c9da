"""What is handed to new processes, and how their end is told."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from poselib.engine import launch
from poselib.engine.launch import call_in_processes, check_processes


def _in_notebook() -> None: ...


_in_notebook.__module__ = "__main__"


@pytest.mark.parametrize("call", [lambda: None, partial(print, threading.Lock())])
def test_what_cannot_be_pickled_is_refused(call: partial[None]) -> None:
    with pytest.raises(ValueError, match="cannot be handed what they need"):
        call_in_processes(2, call)


def test_what_a_cell_defines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("__main__._in_notebook", _in_notebook, raising=False)
    with pytest.raises(ValueError, match="a notebook's cell or in a script: define it in a module"):
        call_in_processes(2, _in_notebook)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    check_processes(4, torch.device("cpu"))
    check_processes(1, torch.device("cuda"))
    with pytest.raises(ValueError, match="2 processes need as many GPUs on this machine, which"):
        check_processes(2, torch.device("cuda"))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A module that is run in place of the launcher, which writes, waits and ends."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(launch, "_MODULE", "stand_in")

    def write(lines: str) -> None:
        (tmp_path / "stand_in.py").write_text(f"import signal, sys, time\n{lines}\n")

    return SimpleNamespace(write=write)


def test_what_processes_print_is_shown_and_a_failure_raised(
    stand_in: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.write("print('one\\rtwo', flush=True); print('é', file=sys.stderr); sys.exit(3)")
    with pytest.raises(RuntimeError, match="2 processes ended with status 3"):
        call_in_processes(2, _nothing)
    assert capsys.readouterr().err == "one\rtwo\né\n"


def test_an_interrupt_is_passed_on(stand_in: SimpleNamespace) -> None:
    stand_in.write(
        "signal.signal(signal.SIGINT, lambda *_: (print('saved'), sys.exit(130)))\n"
        "print('ready', flush=True); time.sleep(30)"
    )
    begun = time.monotonic()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        call_in_processes(2, _nothing)
    assert time.monotonic() - begun < 20


def _nothing() -> None: ...
