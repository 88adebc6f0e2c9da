from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poselib.benchmarks.hardware.bench import Bench
from poselib.benchmarks.hardware.plan import Task
from poselib.benchmarks.hardware.record import OutOfTime, Record, time_limit
from poselib.ops.io import read_json

ROW = {"task": "decoding", "system": "hae", "batch": 1, "setup": "", "people": 2}
ROW |= {"part": "decoding", "ms": 2.0, "images_per_second": 500.0}  # type: ignore[dict-item]


def task(name: str, seconds: float = 0.0, error: Exception | None = None) -> Task:
    def run() -> Iterator[dict[str, Any]]:
        yield dict(ROW)
        if error is not None:
            raise error
        yield dict(ROW)

    return Task(name, "decoding", seconds, run)


def test_what_fails_takes_too_long_or_does_not_fit_is_recorded(
    bench: Bench, tmp_path: Path
) -> None:
    record = Record(tmp_path / "a.json", bench, {"device": "cpu"})
    tasks = [
        task("fails", error=RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")),
        task("strange", error=KeyError("x")),
        task("long", seconds=1000),
        task("good"),
    ]
    record.run(tasks, 500)
    content = read_json(tmp_path / "a.json")
    assert content["done"] == ["good"]
    assert [row["of"] for row in content["rows"]] == ["fails", "strange", "good", "good"]
    failed = {each["task"]: each["error"] for each in content["failed"]}
    assert failed["fails"].startswith("not enough memory: CUDA out of memory. Tried")
    assert failed["strange"] == "KeyError: 'x'"
    assert [each["task"] for each in content["skipped"]] == ["long"]
    assert content["skipped"][0]["reason"].startswith("takes about 1000 s; ")
    assert content["figure"] == "a.png" and content["parameters"]["machine"]["torch"]
    assert {"git_commit", "versions", "created", "verdicts"} <= set(content)


def test_what_is_not_done_in_time_is_interrupted() -> None:
    begin = time.monotonic()
    with pytest.raises(OutOfTime, match="not done after the 0 s"), time_limit(0.05):
        time.sleep(60)
    assert time.monotonic() < begin + 30
    with time_limit(0.05):
        pass
    time.sleep(0.1)  # the alarm is off


def test_every_row_is_written_at_once(bench: Bench, tmp_path: Path) -> None:
    seen = []

    def run() -> Iterator[dict[str, Any]]:
        for _ in range(2):
            yield dict(ROW)
            seen.append(len(read_json(tmp_path / "a.json")["rows"]))

    Record(tmp_path / "a.json", bench, {}).run([Task("one", "decoding", 0.0, run)], 10)
    assert seen == [1, 2]


def test_a_record_is_continued(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Record(path, bench, {}).run([task("good"), task("fails", error=ValueError("no"))], 10)
    Record(path, bench, {}, earlier=True).run([task("good"), task("fails"), task("new")], 10)
    content = read_json(path)
    assert content["done"] == ["good", "fails", "new"] and not content["failed"]
    # The half of what failed is gone.
    assert [row["of"] for row in content["rows"]] == ["good"] * 2 + ["fails"] * 2 + ["new"] * 2
