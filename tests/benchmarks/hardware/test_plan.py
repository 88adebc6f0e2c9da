from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from poselib.benchmarks.hardware.bench import NETWORKS, Bench
from poselib.benchmarks.hardware.plan import KINDS, Choice, make_plan


@pytest.fixture
def on_gpu(bench: Bench) -> Bench:
    return replace(bench, device=torch.device("cuda"))  # a plan needs no such device


def test_what_the_targets_need_comes_first_and_fits(on_gpu: Bench) -> None:
    plan = make_plan(on_gpu, Choice(tuple(NETWORKS)))
    names = [task.name for task in plan]
    assert len(set(names)) == len(names)
    needed = [
        "inference: hae, batch 32, float32",
        "inference: hae, batch 32, bf16, channels last, folded, compiled",
        "decoding: hae, batch 32, 10 people",
        "training: hae, batch 32, float32",
        "training: hae, batch 32, bf16, channels last, compiled",
        "adaptation: logocap",
        "stream: rpstn, 32 streams, bf16, channels last, folded, CUDA graph",
        "accuracy: the bundled model, bf16",
        "input: hae, batch 32, bf16, channels last",
    ]
    last = max(names.index(name) for name in needed)
    assert sum(task.seconds for task in plan[: last + 1]) < 420
    next_training = names.index("training: grm, batch 32, float32")  # after all predictions
    assert sum(task.seconds for task in plan[:next_training]) < 540
    assert {task.kind for task in plan} == set(KINDS)
    for system in NETWORKS:
        for kind in ("inference", "training"):
            for batch in (1, 32) if kind == "inference" else (32,):
                assert f"{kind}: {system}, batch {batch}, float32" in names


def test_a_choice_leaves_out_the_rest(on_gpu: Bench) -> None:
    choice = Choice(("dekr",), ("training", "stream"), compiled=False)
    names = [task.name for task in make_plan(on_gpu, choice)]
    assert names == [f"training: dekr, batch 32, {s}" for s in ("float32", "bf16, channels last")]


def test_a_processor_captures_no_graphs_and_has_no_estimates(bench: Bench) -> None:
    plan = make_plan(bench, Choice(tuple(NETWORKS)))
    assert not any("CUDA" in task.name for task in plan)
    assert not any(task.seconds for task in plan)
