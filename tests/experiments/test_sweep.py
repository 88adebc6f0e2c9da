"""Sweep files, and the ids of planned runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poselib.experiments.runs import start_run
from poselib.experiments.sweep import plan, read_sweep
from tests.experiments.factories import cell, write_notebook

DECLARED = (
    'preset = "small"\nseed = 0\nfocal = None\nsteps = 0\ndevice = "auto"\nrun_id = ""\n'
    'runs_dir = "runs"\nfigures_dir = "figures"'
)
ROWS = {"baseline": {"focal": False}, "focal": {"focal": True}}


def sweep_file(folder: Path, **changes: Any) -> Path:
    write_notebook(folder / "03_train.ipynb", cell(DECLARED, "parameters"))
    content = {
        "about": "with and without",
        "notebook": "03_train.ipynb",
        "parameters": {"steps": 40},
        "rows": ROWS,
    }
    path = folder / "ablation.json"
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_every_row_is_run_with_every_seed(tmp_path: Path) -> None:
    sweep = read_sweep(sweep_file(tmp_path))
    runs = plan(sweep, [0, 1], {"preset": "smoke"})
    assert [(run.row, run.seed) for run in runs] == [
        *(("baseline", 0), ("focal", 0)),
        *(("baseline", 1), ("focal", 1)),
    ]
    assert runs[3].parameters == {"steps": 40, "focal": True, "seed": 1, "preset": "smoke"}
    assert sweep.name == "ablation" and runs[0].notebook == tmp_path / "03_train.ipynb"


def test_ids_follow_from_what_changes_results(tmp_path: Path) -> None:
    sweep = read_sweep(sweep_file(tmp_path))
    ids = [run.run_id for run in plan(sweep, [0, 1])]
    assert len(set(ids)) == 4 and all(i.startswith("train-") for i in ids)
    assert ids == [run.run_id for run in plan(sweep, [0, 1], {"device": "cpu"})]
    assert ids == [run.run_id for run in plan(sweep, [0, 1], {"preset": "small"})]
    assert not set(ids) & {run.run_id for run in plan(sweep, [0, 1], {"steps": 41})}


def test_a_new_parameter_leaves_the_ids_of_old_runs(tmp_path: Path) -> None:
    path = sweep_file(tmp_path)
    before = [run.run_id for run in plan(read_sweep(path), [0])]
    write_notebook(tmp_path / "03_train.ipynb", cell(DECLARED + "\nalpha = None", "parameters"))
    assert before == [run.run_id for run in plan(read_sweep(path), [0])]


def test_equal_runs_of_two_sweeps_are_one(tmp_path: Path) -> None:
    first = plan(read_sweep(sweep_file(tmp_path)), [0])
    other = tmp_path / "other.json"
    content = json.loads((tmp_path / "ablation.json").read_text())
    content["rows"] = {"classical": {"focal": False}}
    other.write_text(json.dumps(content))
    assert plan(read_sweep(other), [0])[0].run_id == first[0].run_id


def test_rows_can_be_chosen(tmp_path: Path) -> None:
    sweep = read_sweep(sweep_file(tmp_path))
    assert [run.row for run in plan(sweep, [4], rows=["focal"])] == ["focal"]
    with pytest.raises(ValueError, match=r"no rows \['focla'\]; it has \['baseline', 'focal'\]"):
        plan(sweep, [0], rows=["focla"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": {}}, "rows: expected one row or more"),
        ({"rows": None}, "expected a dict named 'rows'"),
        ({"rows": {"a": "focal"}}, "rows: expected one row or more, each an object"),
        ({"about": 3}, "expected a str named 'about'"),
        ({"rows": {"a": {"focall": True}}}, "has no parameter 'focall'.*did you mean 'focal'"),
        ({"parameters": {"steps": "many"}}, "'steps' must be a int"),
    ],
)
def test_a_bad_file_is_refused_by_field(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = sweep_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_sweep(path)
    assert str(path) in str(error.value)


def test_absent_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_sweep(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text('{"about": ')
    with pytest.raises(ValueError, match=r"torn\.json: not JSON"):
        read_sweep(tmp_path / "torn.json")
    with pytest.raises(FileNotFoundError, match=r"absent\.ipynb"):
        read_sweep(sweep_file(tmp_path, notebook="absent.ipynb"))


def test_only_finished_runs_are_found(tmp_path: Path) -> None:
    runs = plan(read_sweep(sweep_file(tmp_path)), [0, 1])
    start_run(tmp_path / "runs", "train", {}, runs[0].run_id).finish({"AP": 0.25})
    start_run(tmp_path / "runs", "train", {}, runs[1].run_id)  # not finished
    found = [run.record(tmp_path / "runs") for run in runs]
    assert found[0] is not None and found[0].metrics == {"AP": 0.25} and not any(found[1:])


def test_empty_and_repeated_rows_and_seeds_are_refused(tmp_path: Path) -> None:
    sweep = read_sweep(sweep_file(tmp_path))
    for seeds, rows, message in (
        ([], None, "there are no seeds"),
        ([0], [], "there are no rows"),
        ([0, 1, 0], None, "seeds: 0 is given twice"),
        ([0], ["focal", "focal"], "rows: focal is given twice"),
    ):
        with pytest.raises(ValueError, match=message):
            plan(sweep, seeds, rows=rows)
    same = read_sweep(sweep_file(tmp_path, rows={**ROWS, "again": {"focal": True}}))
    with pytest.raises(ValueError, match="sweep 'ablation': rows 'focal' and 'again' are equal"):
        plan(same, [0])
    path = sweep_file(tmp_path)
    path.write_text(path.read_text().replace('"baseline":', '"focal":'))
    with pytest.raises(ValueError, match=r"ablation\.json: 'focal' occurs twice in one object"):
        read_sweep(path)
