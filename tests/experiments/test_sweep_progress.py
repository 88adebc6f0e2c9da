"""What a sweep says while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from poselib.experiments.sweep import PlannedRun
from poselib.experiments.sweep_progress import (
    LineScreen,
    NotebookScreen,
    SweepProgress,
    TerminalScreen,
    open_screen,
)
from poselib.ops.io import append_line


class Screen:
    def __init__(self) -> None:
        self.events: list[str] = []

    def event(self, text: str) -> None:
        self.events.append(text)

    def state(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)


@pytest.fixture
def progress(tmp_path: Path) -> SweepProgress:
    return SweepProgress(6, 1, tmp_path, Screen(), clock=lambda: NOW[0])


NOW = [0.0]


def a_run(row: str) -> PlannedRun:
    return PlannedRun("study", row, 0, Path("x.ipynb"), {}, f"id-{row}")


def test_counts_times_and_last_losses_are_told(progress: SweepProgress, tmp_path: Path) -> None:
    NOW[0] = 0.0
    progress.began(a_run("a"))
    progress.began(a_run("b"))
    assert progress.lines(3, 2)[0] == "1 of 6 done, 2 running"
    assert progress.lines(3, 0)[0] == "1 of 6 done, 2 running, waiting for a worker"
    NOW[0] = 100.0
    progress.ended(a_run("a"), "done")
    progress.began(a_run("c"))
    for step in (1, 2):
        append_line(tmp_path / "id-b" / "metrics.jsonl", {"step": step, "loss": 1 / step})
    append_line(tmp_path / "id-b" / "metrics.jsonl", {"step": 2, "AP": 0.5})
    NOW[0] = 120.0
    # 80 s of c, none of b, and two runs that have not begun, on two workers.
    assert progress.lines(2, 2) == [
        "2 of 6 done, 2 running, about 2 min left",
        "  study, b, seed 0: 2 min, step 2, loss 0.5",
        "  study, c, seed 0: 20 s",
    ]
    assert progress.seconds_left(2, 2) == pytest.approx(140) and progress.seconds_left(0, 8) == 80
    progress.ended(a_run("b"), "failed", "cell 3 (x): KeyError: 'AP'")
    progress.ended(a_run("c"), "done before")
    assert progress.lines(0, 2)[0] == "3 of 6 done, 0 running, 1 failed, about 0 s left"
    assert isinstance(progress.screen, Screen)
    assert progress.screen.events[-2:] == [
        "failed: study, b, seed 0: cell 3 (x): KeyError: 'AP'",
        "done before: study, c, seed 0",
    ]


def test_metrics_that_cannot_be_read_hide_nothing(progress: SweepProgress, tmp_path: Path) -> None:
    progress.began(a_run("a"))
    (tmp_path / "id-a").mkdir()
    (tmp_path / "id-a" / "metrics.jsonl").write_text('{"loss": 0.25}\nno JSON\n')
    assert progress.lines(0, 1)[1].endswith(", loss 0.25")


def test_a_terminal_keeps_failures_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    screen = TerminalScreen()
    screen.state(["one", "x" * 1000])
    screen.event("begun: a")
    screen.event("failed: a")
    screen.state([])
    error = capsys.readouterr().err
    assert error.startswith("one\nxxx") and error.endswith("\x1b[2F\x1b[Jfailed: a\n")
    assert max(map(len, error.split("\n"))) < 200


def test_lines_are_written_where_none_can_be_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_screen() as screen:
        assert isinstance(screen, LineScreen)
        screen.event("begun: a")
        screen.state(["soon after the last one"])
        screen._last -= 61
        screen.state(["0 of 1 done", "  a: 61 s"])
    assert capsys.readouterr().err == "begun: a\n0 of 1 done\n  a: 61 s\n"


def test_a_notebook_replaces_its_output() -> None:
    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown.append(data["text/plain"])

    screen = NotebookScreen(lambda *_, **__: Handle())
    screen.state(["1 running"])
    screen.state(["1 running"])
    screen.event("failed: a")
    screen.state(["0 running"])
    assert shown == ["1 running", "failed: a\n0 running"]
