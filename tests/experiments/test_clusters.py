"""What workers have and runs take: places, GPUs and threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("distributed")

from poselib.experiments import clusters
from poselib.experiments.clusters import Cluster, open_cluster


def client_of(*workers: tuple[int, dict[str, float]]) -> Any:
    """Return what is asked of a client of some workers: threads and resources of each."""
    told = {str(n): {"nthreads": t, "resources": r} for n, (t, r) in enumerate(workers)}
    return SimpleNamespace(status="running", scheduler_info=lambda n_workers: {"workers": told})


def test_runs_that_take_a_gpu_find_places_where_one_is_declared() -> None:
    client = client_of((1, {}), (1, {"GPU": 1}), (4, {"GPU": 2}))
    assert Cluster(client, {}).places() == 3
    assert Cluster(client, {"GPU": 1.0}).places() == 2
    assert Cluster(client_of(), {}).places() == 0


@pytest.mark.parametrize(
    ("device", "declared", "wanted"),
    [
        *(("cuda", True, {"GPU": 1.0}), ("auto", True, {"GPU": 1.0}), ("cpu", True, {})),
        *(("auto", False, {}), ("cpu", False, {}), ("", True, {})),
    ],
)
def test_runs_take_a_gpu_if_they_use_one(
    device: str, declared: bool, wanted: dict[str, float]
) -> None:
    client = client_of((1, {"GPU": 1} if declared else {}))
    assert clusters._asked_of(client, device, "tcp://x:1") == wanted


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no worker of tcp://x:1 declares a GPU; start workers"):
        clusters._asked_of(client_of((1, {})), "cuda", "tcp://x:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with (
        pytest.raises(ValueError, match="device cuda: this machine has no GPU"),
        open_cluster(2, "cuda"),
    ):
        pass


def test_each_worker_of_this_machine_has_a_gpu_or_a_part_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import nullcontext

    asked: list[tuple[int, dict[str, float]]] = []

    def start(count: int, resources: dict[str, float]) -> Any:
        asked.append((count, resources))
        return nullcontext(client_of())

    monkeypatch.setattr(clusters, "_start", start)
    monkeypatch.setattr(clusters, "usable_cores", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    with open_cluster(8, "auto") as cluster:
        assert cluster.gpus == ["3", "5", "6", "7"] and cluster.threads == 4
    with open_cluster(8, "cpu") as cluster:
        assert not cluster.gpus and cluster.threads == 2
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with open_cluster(2, "cuda") as cluster:
        assert cluster.gpus == ["0", "1", "2", "3"] and cluster.threads == 3
    assert asked == [(4, {"GPU": 1.0}), (8, {}), (2, {"GPU": 1.0})]
