"""Start several processes of this machine that train together, as ``torchrun`` does."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from tempfile import TemporaryDirectory

import torch
from torch import distributed as dist

from poselib.ops.console import complain


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


if __name__ == "__main__":
    sys.exit(start_processes(int(sys.argv[1]), sys.argv[2:]))
