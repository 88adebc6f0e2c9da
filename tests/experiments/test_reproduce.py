"""Figures made again: what is planned, what fails, and that numbers are the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("papermill")

from poselib.cli import main
from poselib.experiments import reproduce as reproduce_module
from poselib.experiments import reproduction, runs
from poselib.experiments.notebooks import NotebookError
from poselib.experiments.reproduce import describe, report, reproduce
from poselib.experiments.reproduction import Folders, plan_reproduction
from poselib.experiments.run_record import RunRecord
from poselib.experiments.run_sweep import Outcome
from poselib.experiments.runs import save_table, start_run
from poselib.experiments.sweep import PlannedRun
from poselib.ops.io import write_json
from tests.experiments.commands import refusal, run
from tests.experiments.factories import cell, write_notebook
from tests.forked_notebook import run_forked

LOCAL = 'runs_dir = "../runs"\nfigures_dir = "../figures"\n'
IMPORTS = (
    "from pathlib import Path\n"
    "import pandas as pd\n"
    "from poselib.experiments.parameters import current_parameters\n"
    "from poselib.experiments.runs import list_runs, save_table, start_run\n"
)
TRAIN = (
    "run = start_run(runs_dir, 'toy', current_parameters('03_toy', globals()), run_id or None)\n"
    "(run.folder / 'a.safetensors').write_text(str(10 * value + seed))\n"
    "run.finish({'AP': 10 * value + seed, 'train_seconds': 60.0})\n"
)
TABLE = (
    "table = list_runs(runs_dir, 'toy')[['params.value', 'params.seed', 'metrics.AP']]\n"
    "params = current_parameters('14_ablation', globals())\n"
    "save_table(table, Path(figures_dir) / f'{study}.csv', params)\n"
)
SHOW = (
    "table = pd.DataFrame({'shown': [Path(file).read_text() for file in checkpoints.split()]})\n"
    "params = current_parameters('34_show', globals())\n"
    "save_table(table, Path(figures_dir) / 'show.csv', params)\n"
)
RECIPES = [
    {"notebook": "34_sum", "figures": ["sum.csv"], "reads": ["toys.csv", "show.*"]},
    {"notebook": "34_show", "parameters": {"checkpoints": "{toys:b}"}, "figures": ["show.csv"]},
    {"command": "python -m poselib.wording", "figures": ["killed.csv"]},
]


@pytest.fixture
def house(tmp_path: Path) -> Folders:
    """Return folders of a study with two rows, and of what shows it."""
    notebooks, preset = tmp_path / "notebooks", 'preset = "small"\n'
    declared = {
        "03_toy": f'{preset}value = 1\nseed = 0\nrun_id = ""\n{LOCAL}',
        "14_ablation": f'{preset}study = ""\nseeds = "0 1"\nsteps = 0\n{LOCAL}',
        "34_show": f'{preset}checkpoints = ""\n{LOCAL}',
        "34_sum": LOCAL,
    }
    code = {"03_toy": TRAIN, "14_ablation": TABLE, "34_show": SHOW, "34_sum": ""}
    (notebooks / "sweeps").mkdir(parents=True)
    (tmp_path / "figures").mkdir()
    for name, parameters in declared.items():
        cells = cell(parameters, "parameters"), cell(IMPORTS + code[name])
        write_notebook(notebooks / f"{name}.ipynb", *cells)
    sweep = {
        "about": "for tests",
        "notebook": "../03_toy.ipynb",
        "parameters": {},
        "rows": {"a": {}, "b": {"value": 2}},
        "ablation": {"claim": "none", "baseline": "a", "metrics": ["AP"], "panels": {}},
    }
    (notebooks / "sweeps" / "toys.json").write_text(json.dumps(sweep))
    (notebooks / "figures.json").write_text(json.dumps({"recipes": RECIPES}))
    return Folders(tmp_path / "figures", notebooks, tmp_path / "runs")


def test_everything_is_planned_in_an_order_in_which_it_can_be_made(house: Folders) -> None:
    plan = plan_reproduction(house)
    assert [(each.run.row, each.run.seed) for each in plan.trainings] == [
        *(("a", 0), ("b", 0)),
        *(("a", 1), ("b", 1)),
    ]
    calls = [each.call for each in plan.executions]
    assert calls[0] == "14_ablation study='toys'" and calls[-1] == "34_sum"
    assert calls[1:3] == ["34_show checkpoints='{toys:b}'", "python -m poselib.wording"]
    assert plan.executions[1].because == {"show.csv": "missing: there is no such file"}
    assert [run.seed for run in plan.executions[1].runs] == [0, 1]
    text = describe(plan)
    assert "toys, b, seed 1, preset small: time unknown" in text
    assert "8 of them of unknown time" in text


def test_only_what_is_named_and_its_trainings_are_planned(house: Folders) -> None:
    plan = plan_reproduction(house, ["show"], "demo")
    assert [each.run.row for each in plan.trainings] == ["b", "b"]
    assert {each.run.parameters["preset"] for each in plan.trainings} == {"demo"}
    assert [each.call for each in plan.executions] == [
        "34_show checkpoints='{toys:b}' preset='demo'"
    ]
    with pytest.raises(ValueError, match=r"no figure or table 'shwo'; close to it: show"):
        plan_reproduction(house, ["shwo"])


def test_what_cannot_be_is_refused_before_anything_is_made(
    house: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reproduce", "--notebooks", str(house.notebooks), "--figures", str(house.figures)]
    (house.runs.parent / "file").touch()
    for words, message in (
        (("--preset", "nope"), "unknown preset 'nope'; known: smoke, demo, small, paper"),
        (("--device", "foo"), "unknown device 'foo'; known: 'auto', 'cpu', 'cuda'"),
        (("--runs", f"{house.runs.parent}/file"), "file is not a folder that can be written to"),
    ):
        assert main([*command, *words]) == 2
        assert message in capsys.readouterr().err
    entry = {"notebook": "34_show", "parameters": {"preset": "big"}, "figures": ["show.csv"]}
    (house.notebooks / "figures.json").write_text(json.dumps({"recipes": [entry]}))
    assert main(command) == 2
    assert "unknown preset 'big'; known: smoke" in capsys.readouterr().err


def test_what_a_named_figure_reads_is_made_first(house: Folders) -> None:
    plan = plan_reproduction(house, ["sum.csv"])
    made = [name for each in plan.executions for name in each.because]
    assert made == ["toys.csv", "show.csv", "sum.csv"]


def needing_a_gpu(house: Folders, study: str) -> None:
    entry = {"notebook": "14_ablation", "parameters": {"study": study}, "needs": "cuda"}
    recipes = [*RECIPES, entry]
    (house.notebooks / "figures.json").write_text(json.dumps({"recipes": recipes}))


def test_what_needs_a_gpu_is_left_out_without_one_unless_it_is_named(
    house: Folders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needing_a_gpu(house, "toys")
    study = "14_ablation study='toys'"
    assert study in [each.call for each in plan_reproduction(house).executions]
    plan = plan_reproduction(house, gpu=False)
    assert study not in [each.call for each in plan.executions]
    assert [each.file for each in plan.waiting] == ["toys.csv", "toys_seeds.csv"]
    assert {each.run.row for each in plan.trainings} == {"b"}, "show.csv takes its systems"
    (named,) = plan_reproduction(house, ["toys"], gpu=False).executions
    assert named.call == study
    read = plan_reproduction(house, ["sum"], gpu=False)
    assert study not in [each.call for each in read.executions] and not read.waiting

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for words, count in {("--device", "cpu"): 3, (): 3, ("--device", "cuda"): 4}.items():
        out = run(capsys, *command(house, "--dry-run", *words))[1]
        assert f"notebooks and commands: {count}\n" in out
        assert ("left out, as they need a GPU" in out) == (count == 3)
    out = run(capsys, *command(house, "--check"))[1]
    assert "toys.csv        waiting" in out and out.endswith("3 missing, 2 waiting\n")


def test_finished_trainings_are_not_planned_and_tell_the_time(
    house: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = plan_reproduction(house, ["toys"]).trainings[0].run
    monkeypatch.chdir(house.notebooks)
    finish(house, first)
    plan = plan_reproduction(house, ["toys"])
    assert [each.run.row for each in plan.trainings] == ["b", "a", "b"]
    assert [each.seconds for each in plan.trainings] == [None, 600.0, None]
    assert "in all: 10 min, and 3 of them of unknown time" in describe(plan)


def test_trainings_of_which_the_evaluation_alone_changed_are_planned_as_such(
    house: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def earlier(run: PlannedRun, runs_dir: Path, basis: str) -> RunRecord | None:
        assert runs_dir == house.runs
        return RunRecord(house.runs / "toy-before", "toy", {}) if run.row == "b" else None

    monkeypatch.setattr(reproduction, "earlier_training", earlier)
    plan = plan_reproduction(house, ["toys"])
    assert [each.weights_of for each in plan.trainings] == ["", "toy-before"] * 2
    text = describe(plan)
    assert "toys, b, seed 1, preset small: evaluated again, with the weights of toy-before" in text
    assert text.count("evaluated again") == 2


class Evaluating:
    """A study that evaluates runs, or needs their weights."""

    def __init__(self, *known: str) -> None:
        self.known, self.evaluated = known, list[str]()

    def evaluate_run(self, record: RunRecord, *_: Any) -> None:
        if record.id not in self.known:
            raise FileNotFoundError(record.id)
        self.evaluated.append(record.id)


def test_kept_trainings_do_for_tables_where_they_were_evaluated(
    house: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *others = plan_reproduction(house, ["toys"]).executions[0].runs
    for each in (first, second):
        content = {"name": "toy", "params": {}, "metrics": {}, "code": {}}
        write_json(house.figures / "runs" / f"{each.run_id}.json", content)
    study = Evaluating(first.run_id)
    monkeypatch.setattr(reproduction, "open_execution", lambda *_: study)
    plan = plan_reproduction(house, ["toys"])
    assert [each.run for each in plan.trainings] == [second, *others]
    assert study.evaluated == [first.run_id]
    shown = plan_reproduction(house, ["show"])  # needs weights
    assert [each.run.row for each in shown.trainings] == ["b", "b"]


def test_dirty_trainings_are_repeated_from_a_commit_and_every_one_is_kept(
    house: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = plan_reproduction(house, ["toys"]).trainings[0].run
    monkeypatch.chdir(house.notebooks)
    monkeypatch.setattr(runs, "provenance", lambda: {"git_changed": True})
    finish(house, run)
    for changed, absent in ((True, 3), (False, 4)):
        monkeypatch.setattr(reproduction, "provenance", lambda c=changed: {"git_changed": c})
        plan = plan_reproduction(house, ["toys"])
        assert len(plan.trainings) == absent

    def train(waiting: Sequence[PlannedRun], *_: Any, on_end: Any, **__: Any) -> list[Outcome]:
        assert waiting[0].run_id == run.run_id and waiting[0].record(house.runs) is None
        for each in waiting:
            finish(house, each)
            on_end(Outcome(each, "done", None))
        return [Outcome(each, "done", None) for each in waiting]

    study = Evaluating(*(each.run.run_id for each in plan.trainings[1:]))
    monkeypatch.setattr(reproduce_module, "execute_runs", train)
    monkeypatch.setattr(reproduce_module, "run_notebook", lambda *_: None)
    monkeypatch.setattr(reproduce_module, "open_execution", lambda *_: study)
    reproduce(plan, house)
    assert study.evaluated == list(study.known)
    # The first one was not evaluated: it is kept when it can be.
    assert {path.stem for path in (house.figures / "runs").iterdir()} == set(study.known)
    assert [path.name[: len(run.run_id)] for path in (house.runs / "replaced").iterdir()] == [
        run.run_id
    ]


def finish(house: Folders, run: PlannedRun) -> None:
    params = {"notebook": "03_toy", "preset": "small", "value": 1, **run.parameters}
    start_run(house.runs, "toy", params, run.run_id).finish({"train_seconds": 600.0})


def test_a_figure_is_made_as_it_was_made_before(
    house: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    monkeypatch.chdir(house.notebooks)
    given = {"seeds": "0 1 2", "study": "other", "gone": 3}
    params = {"notebook": "14_ablation", "preset": "small", "given": given}
    save_table(pd.DataFrame({"AP": [1]}), house.figures / "toys.csv", params)
    (execution,) = plan_reproduction(house, ["toys"]).executions
    assert execution.parameters == {"seeds": "0 1 2", "study": "toys"}
    assert len(execution.runs) == 6
    (execution,) = plan_reproduction(house, ["show"]).executions
    assert len(execution.runs) == 3


def test_it_goes_on_after_failures(house: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_reproduction(house)

    def train(runs: Any, *_: Any, **__: Any) -> list[Outcome]:
        bad = ("failed", Path("log"), "cell 2: ValueError")
        return [Outcome(r, *(bad if r.row == "a" else ("done", Path("log")))) for r in runs]

    def show(notebook: Path, _: Any, values: Mapping[str, Any], *__: Any) -> None:
        raise NotebookError(f"{notebook.stem} is broken")

    monkeypatch.setattr(reproduce_module, "execute_runs", train)
    monkeypatch.setattr(reproduce_module, "run_notebook", show)
    ends = reproduce(plan, house)
    found = {end.name: (end.state, end.about) for end in ends}
    assert found["training toys, a, seed 0"] == ("failed", "cell 2: ValueError (log)")
    assert found["14_ablation study='toys'"] == ("not begun", "it needs toys, a, seed 0")
    assert found["34_show checkpoints='{toys:b}'"] == ("failed", "34_show is broken")
    assert found["python -m poselib.wording"] == ("failed", "it wrote no killed.csv")
    assert found["34_sum"] == ("not begun", "it needs show.csv")
    assert report(ends).endswith("4 failed, 2 done, 2 not begun")


def command(house: Folders, *words: str) -> list[str]:
    folders = {"figures": house.figures, "notebooks": house.notebooks, "runs": house.runs}
    given = [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
    return ["reproduce", *words, *given]


def test_the_command_checks_and_plans(house: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *command(house, "--check", "--fail-on", "dirty"))
    assert status == 0 and out.endswith("0 fresh, 0 stale, 0 dirty, 5 missing\n")
    assert run(capsys, *command(house, "--check", "--fail-on", "dirty", "missing"))[0] == 1
    status, out, _ = run(capsys, *command(house, "--dry-run", "killed"))
    assert status == 0 and out.startswith("trainings: 0\nnotebooks and commands: 1\n")
    assert "leave out --preset" in refusal(capsys, *command(house, "--check", "--preset", "small"))
    assert "leave out names" in refusal(capsys, *command(house, "--check", "toys"))
    assert "an option of --check" in refusal(capsys, *command(house, "--fail-on", "dirty"))
    (house.figures / "alone.png").touch()
    assert run(capsys, *command(house, "alone"))[0] == 1
    assert "no recipe says" in run(capsys, *command(house, "alone", "--dry-run"))[1]


def execute(house: Folders, notebook: str, **values: Any) -> None:
    """Execute a notebook in this process."""
    source = json.loads((house.notebooks / f"{notebook}.ipynb").read_text())["cells"]
    namespace: dict[str, Any] = {}
    exec(source[0]["source"], namespace)
    namespace |= values
    exec(source[1]["source"], namespace)


@pytest.mark.slow
@pytest.mark.notebooks
def test_a_deleted_figure_and_its_runs_come_back_with_the_same_numbers(
    house: Folders, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [{**RECIPES[1], "parameters": {"checkpoints": "{toys:b:1}"}}]
    (house.notebooks / "figures.json").write_text(json.dumps({"recipes": recipes}))
    (training,) = plan_reproduction(house, ["show"]).trainings
    with monkeypatch.context() as patch:
        patch.chdir(house.notebooks)
        execute(house, "03_toy", **training.run.parameters, run_id=training.run.run_id)
        file = f"../runs/{training.run.run_id}/a.safetensors"
        execute(house, "34_show", checkpoints=file)
    before = {p.name: p.read_text() for p in house.figures.rglob("*") if p.suffix == ".csv"}
    kept = sorted(path.name for path in (house.figures / "runs").iterdir())
    assert before == {"show.csv": "shown\n21\n"} and kept == [f"{training.run.run_id}.json"]

    shutil.rmtree(house.figures)
    house.figures.mkdir()
    shutil.rmtree(house.runs)
    log = house.runs.with_name("log")
    monkeypatch.setattr(
        reproduce_module,
        "run_notebook",
        lambda path, _, given, __: run_forked(path, given, log, 99),
    )
    status, out, _ = run(capsys, *command(house, "show"))
    assert status == 0 and out.endswith("2 done\n")
    assert (house.figures / "show.csv").read_text() == before["show.csv"]
    assert sorted(path.name for path in (house.figures / "runs").iterdir()) == kept
    about = json.loads((house.figures / "show.json").read_text())
    assert about["given"] == {"checkpoints": file}
