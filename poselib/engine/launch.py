"""Start several processes of this machine that train together, as ``torchrun`` does."""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

import torch
from torch import distributed as dist

from poselib.ops.console import complain

_MODULE = "poselib.engine.launch"  # run as a program, it starts processes
_CALL = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))()"


def check_processes(count: int, device: torch.device) -> None:
    """Raise ValueError if a device is a GPU and there are fewer of them than processes."""
    if device.type == "cuda" and count > (gpus := torch.cuda.device_count()):
        raise ValueError(f"{count} processes need as many GPUs on this machine, which has {gpus}")


def start_processes(count: int, command: Sequence[str]) -> int:
    """Run a command of Python in several processes, each with its number, and wait for them.

    If one fails, the others are ended, and so they all are by a signal to this process: they get
    it too, and half a minute to end by themselves.

    Args:
        count: of the processes; each takes the GPU of its number, if it uses one.
        command: what follows ``python``, such as ``("-m", "poselib.cli", "train")``.

    Returns:
        The exit status, 0 if all went well.
    """
    if not dist.is_available():
        raise ValueError("this PyTorch is built without torch.distributed: use one process")
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What processes print says what happened; the launcher would add a page to it.
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with TemporaryDirectory() as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.2,  # seconds
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode < 0:
                name = signal.Signals(-failure.exitcode).name
                complain(f"process {rank} of {count} was ended by {name}")
            return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def call_in_processes(count: int, call: Callable[[], object]) -> None:
    """Call a function in several processes, as from a notebook, and show what they print.

    A notebook's kernel cannot fork once it uses a GPU, and what its cells define exists there
    alone: the processes are new ones, and are handed the function by pickle. An interrupt is passed
    on to them.

    Args:
        count: of the processes.
        call: takes no arguments; what it returns is lost.

    Raises:
        ValueError: the function holds something that a cell defines or that cannot be pickled.
        RuntimeError: a process failed; what it printed says why.
        KeyboardInterrupt: when all have ended after an interrupt.
    """
    try:
        data = pickle.dumps(call)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"several processes cannot be handed what they need: {error}") from error
    if b"__main__" in data:
        raise ValueError(
            "several processes know nothing that is defined in a notebook's cell or in a script: "
            "define it in a module, or use one process"
        )
    with TemporaryDirectory() as folder:
        path = Path(folder, "call.pickle")
        path.write_bytes(data)
        status = _relay([_MODULE, str(count), "-c", _CALL, str(path)])
    if status:
        raise RuntimeError(f"{count} processes ended with status {status}; see what they printed")


def _relay(module: Sequence[str]) -> int:
    """Run a module with arguments, copy to standard error what it prints, return its status."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a notebook interrupts its kernel's whole group
    )
    # Without translation, a progress bar stays in its line.
    text = io.TextIOWrapper(cast(IO[bytes], process.stdout), errors="replace", newline="")
    interrupted, status = False, None
    while status is None:
        try:
            for line in text:
                sys.stderr.write(line)
            status = process.wait()
        except KeyboardInterrupt:
            interrupted = True
            process.send_signal(signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt
    return status


if __name__ == "__main__":
    sys.exit(start_processes(int(sys.argv[1]), sys.argv[2:]))
