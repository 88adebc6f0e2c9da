"""Several processes that train together: how they join, and how they end together.

They are started by ``torchrun``, or by ``poselib train --processes``, and share each batch: see
``engine.gradient``. The first one writes files and validates; the others wait for it.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from types import FrameType

import torch
from torch import distributed as dist

from poselib.ops.processes import process_count, process_rank

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_INTERRUPTED, _FAILED = 130, 2  # exit statuses
_STATUSES = 1000  # more than there are
# The others wait while the first validates.
_PATIENCE = timedelta(days=2)


def launched() -> bool:
    """Whether this process was started by ``torchrun``."""
    return dist.is_available() and dist.is_torchelastic_launched()


@contextmanager
def joined(device: torch.device | str = "cpu") -> Iterator[None]:
    """Join the other processes of ``torchrun``, if it started this one, and leave them at the end.

    On GPUs each process takes the one of its own number on its machine.

    Raises:
        ValueError: there are fewer GPUs than processes.
    """
    if not launched() or dist.is_initialized() or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    backend = "gloo"
    if torch.device(device).type == "cuda":
        number, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if number >= gpus:
            wanted = os.environ["LOCAL_WORLD_SIZE"]
            raise ValueError(f"{wanted} processes on this machine need as many GPUs, not {gpus}")
        torch.cuda.set_device(number)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        with warnings.catch_warnings():  # small convolutions' gradients are copied, which is cheap
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    finally:
        dist.destroy_process_group()


@contextmanager
def lost_process_named() -> Iterator[None]:
    """Say in one sentence that another process has ended, as by a kill or for want of memory.

    Raises:
        ConnectionError: it has.
    """
    try:
        yield
    except RuntimeError as error:
        if process_count() == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise ConnectionError("another of the processes that train together has ended") from error


class Together:
    """Lets all processes leave a block alike; with one process it does nothing.

    Signals, as that of Ctrl-C, reach processes at different steps, and errors often only one. What
    processes compute together must not be left by one alone: the others would wait for ever.
    """

    def __init__(self) -> None:
        self._inside = False
        self._pending: tuple[int, FrameType | None] | None = None

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Run what each process does by itself; all end if it fails or is interrupted in one.

        The first process that failed raises its error, and the others ``SystemExit``, in silence;
        if interrupted, the first process of all raises ``KeyboardInterrupt``.
        """
        if process_count() == 1:
            yield
            return
        mine: BaseException | None = None
        try:
            self._inside = True
            if self._pending is not None:
                signal.raise_signal(self._pending[0])
            yield
        except BaseException as error:
            mine = error
        finally:
            self._inside = False
        rank, status = _first_failure(mine)
        if status == _INTERRUPTED and process_rank() == 0:
            raise KeyboardInterrupt
        if status and rank == process_rank() and isinstance(mine, Exception):
            raise mine
        if status:
            raise SystemExit(status) from mine

    @contextmanager
    def signals_held(self) -> Iterator[None]:
        """Let signals take effect within ``agreed`` alone."""
        main = threading.current_thread() is threading.main_thread()
        with ExitStack() as undo:
            for number in (getattr(signal, name, None) for name in _SIGNALS):
                if number is None or not main or process_count() == 1:
                    continue
                before = signal.getsignal(number)
                if not callable(before):
                    continue

                def hold(n: int, frame: FrameType | None, before=before) -> None:  # type: ignore[no-untyped-def]
                    if self._inside:
                        before(n, frame)
                    else:
                        self._pending = (n, frame)

                signal.signal(number, hold)
                undo.callback(signal.signal, number, before)
            yield


def _first_failure(mine: BaseException | None) -> tuple[int, int]:
    """Return which process failed first by number, and its exit status; 0 if none did."""
    status = 0
    if mine is not None:
        status = _FAILED
        if isinstance(mine, KeyboardInterrupt):
            status = _INTERRUPTED
        elif isinstance(mine, SystemExit) and isinstance(mine.code, int) and mine.code:
            status = mine.code
    count = process_count()
    worst = torch.tensor((count - process_rank()) * _STATUSES + status if status else 0)
    dist.all_reduce(worst, dist.ReduceOp.MAX)
    before, status = divmod(int(worst), _STATUSES)
    return count - before, status


def values_of_all(own: Sequence[int]) -> list[int]:
    """Return the numbers of all processes, each of which has as many."""
    if process_count() == 1:
        return list(own)
    values = torch.tensor(own)
    found = [torch.empty_like(values) for _ in range(process_count())]
    dist.all_gather(found, values)
    return torch.cat(found).tolist()


def seconds_of_first(seconds: float) -> float:
    """Return the seconds that the first process gives, so that all go by one clock."""
    if process_count() == 1:
        return seconds
    value = torch.tensor(seconds, dtype=torch.float64)
    dist.broadcast(value, 0)
    return float(value)
