"""A sweep whose worker or command is killed finishes, and does nothing twice that was done."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("papermill")
pytest.importorskip("distributed")

from poselib.benchmarks.sweep_kills import CASES, is_good, kill_once


@pytest.mark.slow
@pytest.mark.notebooks
def test_a_sweep_goes_on_after_a_worker_is_killed(tmp_path: Path) -> None:
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    found = kill_once(tmp_path / "one", clustered=True, kind="worker", rng=random.Random(seed))
    print(found)
    assert is_good(pd.DataFrame([found])).all() and found["again"] <= found["in_flight"] <= 2


def test_kills_come_to_every_process() -> None:
    assert {kind for _, kind in CASES} == {"worker", "scheduler", "driver"}
    assert len(set(CASES)) == len(CASES)


def test_a_kill_is_good_if_nothing_is_lost_repeated_or_left() -> None:
    good = dict.fromkeys(("lost", "repeated", "others", "status", "unfinished", "outlived"), 0)
    rows = [{**good, "again": 2}, *({**good, name: 1} for name in good)]
    assert is_good(pd.DataFrame(rows)).tolist() == [True] + [False] * len(good)
