"""Dask clusters that execute runs: one of this machine's processes, or any other by its address."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselib.experiments.run_worker import execute_run
from poselib.ops.processor import usable_cores

if TYPE_CHECKING:
    from distributed import Client

# How often a run is begun again after its worker was killed: it may be the run that kills workers.
RETRIES = 3
GPU = "GPU"
_CONNECT = 20  # seconds


@dataclass(frozen=True)
class Cluster:
    """A connection to workers.

    Attributes:
        client: of Dask.
        resources: that a run takes of a worker, as ``{"GPU": 1}``.
        threads: of a run; None for what the environment of its worker says.
        gpus: of this machine, one for each of its workers.
    """

    client: Client
    resources: Mapping[str, float]
    threads: int | None = None
    gpus: Sequence[str] = ()

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone."""
        return self.client.status != "running"

    def places(self) -> int:
        """Return how many runs the workers can execute side by side: one each."""
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        except OSError:  # the scheduler is gone
            return 0
        return sum(map(self._suits, workers))

    def _suits(self, worker: Mapping[str, Any]) -> bool:
        has = worker["resources"]
        return all(has.get(name, 0) >= count for name, count in self.resources.items())


@contextmanager
def open_cluster(workers: int, device: str, scheduler: str | None = None) -> Iterator[Cluster]:
    """Start worker processes of this machine, or connect to a scheduler, until the block ends.

    Args:
        workers: how many processes to start; one GPU each if the device is a GPU.
        device: of the runs: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        scheduler: address of a scheduler with workers of its own, as ``"tcp://node1:8786"``, or the
            file that it wrote with ``--scheduler-file``.

    Raises:
        ValueError: there is no GPU, but runs want one, or no scheduler at the address.
    """
    if scheduler:
        with _connect(scheduler) as client:
            yield Cluster(client, _asked_of(client, device, scheduler))
        return
    gpus = _gpus(device)
    count = min(workers, len(gpus)) if gpus else workers
    resources = {GPU: 1.0} if gpus else {}
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, usable_cores() // count))
    with _start(count, resources) as client:
        yield Cluster(client, resources, threads, gpus)


@contextmanager
def _start(count: int, resources: Mapping[str, float]) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    changes = {
        "distributed.scheduler.allowed-failures": RETRIES,
        # Threads are what the environment says: it is that of the kernels as well.
        "distributed.nanny.pre-spawn-environ": {},
    }
    with (
        dask.config.set(changes),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,  # kernels have the memory, and Dask does not see them
            dashboard_address="127.0.0.1:0",  # any free port: without one Dask wants 8787
            silence_logs=logging.CRITICAL,
            resources=dict(resources),
            preload=[execute_run.__module__],
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def _connect(scheduler: str) -> Iterator[Client]:
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    where = {"address" if "://" in scheduler else "scheduler_file": scheduler}
    if "://" not in scheduler and not Path(scheduler).is_file():  # Dask would wait for it
        raise ValueError(f"scheduler {scheduler} is no file, and no address as tcp://node1:8786")
    try:
        client = Client(**where, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        yield client


def _asked_of(client: Client, device: str, scheduler: str) -> dict[str, float]:
    """Return what runs take: a GPU if they want one, or if they use one where workers have it."""
    workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    declared = any(GPU in worker["resources"] for worker in workers.values())
    if device.startswith("cuda") and workers and not declared:
        raise ValueError(
            f"device {device}: no worker of {scheduler} declares a GPU; start workers with "
            f'--resources "{GPU}=1"'
        )
    wanted = device.startswith("cuda") or (device == "auto" and declared)
    return {GPU: 1.0} if wanted else {}


def _gpus(device: str) -> list[str]:
    """Return the names of this machine's GPUs that processes may use; none for the CPU."""
    if device not in ("auto", "cuda"):
        return []
    import torch

    count = torch.cuda.device_count()
    if device == "cuda" and not count:
        raise ValueError("device cuda: this machine has no GPU that PyTorch can use")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
