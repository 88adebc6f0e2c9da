from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from poselib.engine.interrupts import defer_interrupts, exit_on_signals


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), defer_interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(True)
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_passes_and_gives_interrupts_back() -> None:
    with pytest.raises(ValueError, match="mine"), defer_interrupts():
        raise ValueError("mine")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_left_alone() -> None:
    handlers = []

    def work() -> None:
        with defer_interrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


TERMINATED = """
import os, signal, sys
from pathlib import Path
from poselib.engine.interrupts import exit_on_signals
from poselib.ops.io import atomic_write
with exit_on_signals(), atomic_write(Path(sys.argv[1]) / "a.txt"):
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_a_process_that_is_asked_to_end_leaves_no_temporary_file(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TERMINATED, str(tmp_path)], check=False)
    assert done.returncode == 128 + signal.SIGTERM and not list(tmp_path.iterdir())


def test_handlers_of_others_are_kept_and_the_usual_ones_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with exit_on_signals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(SystemExit), exit_on_signals():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
