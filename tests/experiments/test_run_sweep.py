"""Execution of sweeps in parallel processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("papermill")

from poselib.experiments.run_sweep import execute_runs, main
from poselib.experiments.sweep import plan, read_sweep
from tests.experiments.factories import cell, write_notebook

DECLARED = cell(
    'preset = "small"\nseed = 0\nrow = ""\nrun_id = ""\nruns_dir = "runs"\nfigures_dir = ""',
    "parameters",
)
WORK = cell(
    "from pathlib import Path\n"
    "from poselib.experiments.runs import start_run\n"
    "run = start_run(runs_dir, 'work', {'row': row, 'seed': seed}, run_id or None)\n"
    "counted = run.folder / 'times'\n"
    "counted.write_text(counted.read_text() + 'x' if counted.exists() else 'x')\n"
    "if row == 'bad' and not (Path(runs_dir) / 'mended').exists():\n"
    "    raise RuntimeError('this row is broken')\n"
    "run.finish({'AP': 0.1 * seed})"
)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    write_notebook(tmp_path / "work.ipynb", DECLARED, WORK)
    path = tmp_path / "sweep.json"
    rows = {"good": {"row": "good"}, "bad": {"row": "bad"}}
    path.write_text(
        json.dumps({"about": "", "notebook": "work.ipynb", "parameters": {}, "rows": rows})
    )
    return path


@pytest.mark.notebooks
def test_failures_are_reported_and_only_they_run_again(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = plan(read_sweep(sweep), [3])
    folder = tmp_path / "runs"
    assert main([str(sweep), "--seeds", "3", "--runs", str(folder), "--workers", "2"]) == 1
    printed = capsys.readouterr().out
    log = folder / "notebooks" / f"{runs[1].run_id}.log"
    assert f"failed: bad, seed 3: {log}" in printed and "0.300" in printed
    assert "this row is broken" in log.read_text()

    (folder / "mended").touch()
    outcomes = execute_runs([*runs, runs[0]], folder)
    assert [outcome.state for outcome in outcomes] == ["done before", "done", "done before"]
    assert [outcome.log for outcome in outcomes] == [None, log, None]
    assert (folder / runs[0].run_id / "times").read_text() == "x"
    assert (folder / runs[1].run_id / "times").read_text() == "xx"


def test_bad_input_is_refused_before_anything_runs(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep), "-p", "rwo", "x", "--runs", str(tmp_path / "runs")]) == 1
    assert "has no parameter 'rwo'" in capsys.readouterr().err
    assert main([str(tmp_path / "none.json")]) == 1
    assert "none.json does not exist" in capsys.readouterr().err
    content = json.loads(sweep.read_text())
    for ablation, message in (
        ({"baseline": "good", "metrics": ["AP"]}, "sweep.json: ablation: missing 'claim'"),
        ({"clam": ""}, "ablation: unknown fields ['clam']; known: ['claim', 'baseline', "),
    ):
        sweep.write_text(json.dumps({**content, "ablation": ablation}))
        assert main([str(sweep), "--runs", str(tmp_path / "runs")]) == 1
        assert message in capsys.readouterr().err
    with pytest.raises(ValueError, match="workers must be 1 or more, not 0"):
        execute_runs([], tmp_path / "runs", workers=0)
    assert not (tmp_path / "runs").exists()
