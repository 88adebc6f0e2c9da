"""How figures stand: fresh, stale and because of what, dirty or missing."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from poselib import cli
from poselib.experiments import fingerprint, runs
from poselib.experiments.freshness import (
    DIRTY,
    FRESH,
    MISSING,
    STALE,
    WAITING,
    Freshness,
    check_figures,
    states_by_stem,
)
from poselib.experiments.named_files import parameter_digests
from poselib.experiments.runs import save_table, start_run
from tests.experiments.factories import cell, write_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PARAMS = {"notebook": "03_toy", "preset": "small", "system": "dekr", "dataset": "crowd"}
CODE = "from poselib.losses.heatmap import heatmap_mse\n\nheatmap_mse\n"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a notebook, and a table that it made from a run."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    write_notebook(notebooks / "03_toy.ipynb", cell("preset = 'small'", "parameters"), cell(CODE))
    monkeypatch.chdir(notebooks)
    monkeypatch.setattr(runs, "provenance", lambda: {"git_commit": "a" * 40, "git_changed": False})
    run = start_run(tmp_path / "runs", "toy", PARAMS)
    run.finish({"AP": 0.5})
    save_table(pd.DataFrame({"AP": [0.5]}), tmp_path / "figures" / "toy.csv", PARAMS, runs=[run])
    return tmp_path


def only(house: Path) -> Freshness:
    (found,) = check_figures(house / "figures", house / "notebooks")
    return found


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def recipe(house: Path, **entry: Any) -> None:
    (house / "notebooks" / "figures.json").write_text(json.dumps({"recipes": [entry]}))


def kept(house: Path) -> Path:
    (path,) = (house / "figures" / "runs").iterdir()
    return path


def test_what_was_just_made_is_fresh_without_the_runs(house: Path) -> None:
    shutil.rmtree(house / "runs")
    assert only(house) == Freshness("toy.csv", "03_toy", FRESH)
    run = json.loads(kept(house).read_text())
    assert run["metrics"] == {"AP": 0.5} and run["params"]["system"] == "dekr"
    assert "losses.heatmap" in run["code"]["modules"]


def test_changed_code_is_named(house: Path) -> None:
    about = house / "figures" / "toy.json"
    code = json.loads(about.read_text())["code"]
    modules = {**code["modules"], "losses.heatmap": "0" * 8, "gone": "1" * 8}
    edit(about, code={**code, "modules": modules})
    found = only(house)
    assert (found.state, found.because) == (STALE, "changed: gone, losses.heatmap")
    edit(about, code={})
    assert only(house).because == "its code was not recorded"


@pytest.mark.slow
def test_a_changed_loss_makes_exactly_the_figures_stale_that_depend_on_it(
    house: Path, changed_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(NOTEBOOKS / "03_train.ipynb", house / "notebooks")
    for system in ("hae", "dekr"):
        params = {**PARAMS, "notebook": "03_train", "system": system}
        run = start_run(house / "runs", "train", params, system)
        run.finish({"AP": 0.5})
        path = house / "figures" / f"{system}.csv"
        save_table(pd.DataFrame({"AP": [0.5]}), path, PARAMS, runs=[run])

    def states() -> dict[str, str]:
        found = check_figures(house / "figures", house / "notebooks")
        return {each.file: each.because for each in found}

    assert states() == {"dekr.csv": "", "hae.csv": "", "toy.csv": ""}
    compared = partial(fingerprint.notebook_fingerprint, package=changed_package)
    monkeypatch.setattr(fingerprint, "notebook_fingerprint", compared)
    stale = {"dekr.csv": "run dekr: changed: losses.offset"}
    assert states() == {"hae.csv": "", "toy.csv": "", **stale}


@pytest.mark.slow
def test_of_systems_those_count_whose_weights_a_figure_takes(
    house: Path, changed_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from poselib.engine.checkpoints import load_checkpoint\n\nload_checkpoint()\n"
    write_notebook(house / "notebooks" / "04_eye.ipynb", cell("", "parameters"), cell(code))
    for system in ("hae", "dekr"):
        start_run(house / "runs", "train", {**PARAMS, "system": system}, system).finish({})
    taken = {
        "bundled": "bundled",
        "hae": "../runs/hae/hae.safetensors",
        "dekr": "../runs/dekr/dekr.safetensors",
        "any": "elsewhere.pt",
        "both": "../runs/hae/hae.safetensors ../weights/mine.safetensors",
    }
    for name, checkpoint in taken.items():
        params = {"notebook": "04_eye", "preset": "small", "checkpoint": checkpoint}
        run = start_run(house / "runs", "eye", params, f"eye-{name}")
        run.finish({})
        save_table(
            pd.DataFrame({"AP": [0.5]}), house / "figures" / f"{name}.csv", params, runs=[run]
        )
    found = check_figures(house / "figures", house / "notebooks")
    assert {each.state for each in found} == {FRESH}
    compared = partial(fingerprint.notebook_fingerprint, package=changed_package)
    monkeypatch.setattr(fingerprint, "notebook_fingerprint", compared)
    found = check_figures(house / "figures", house / "notebooks")
    stale = {each.file for each in found if each.state == STALE}
    assert stale == {"dekr.csv", "any.csv", "both.csv"}


def test_a_changed_notebook_or_run_makes_stale(house: Path) -> None:
    run = json.loads(kept(house).read_text())
    modules = run["code"]["modules"]
    edit(kept(house), code={**run["code"], "modules": {**modules, "losses.heatmap": "0"}})
    assert only(house).because == f"run {run['id']}: changed: losses.heatmap"
    # What else was recorded does not count any more, or what reached it has changed as well.
    edit(kept(house), code={**run["code"], "modules": {**modules, "widgets.page": "0"}})
    assert only(house).state == FRESH
    edit(kept(house), code={**run["code"], "modules": {**modules, "x": "0", "losses.heatmap": "0"}})
    assert only(house).because == f"run {run['id']}: changed: losses.heatmap, x"
    edit(kept(house), code=run["code"])
    edit(kept(house), code={**run["code"], "settings": "other"})
    assert only(house).because == f"run {run['id']}: changed: preset 'small'"
    kept(house).unlink()
    assert only(house).because == f"run {run['id']} is not kept"
    notebook = house / "notebooks" / "03_toy.ipynb"
    text = notebook.read_text()
    notebook.write_text(text.replace("\\n\\nheatmap_mse", "\\n\\nprint(heatmap_mse)"))
    assert only(house).because == "changed: notebook"
    notebook.write_text(text.replace("\\n\\nheatmap_mse", "\\n\\n%magic"))
    assert only(house).because.startswith("notebook is not Python")


def test_changed_files_of_weights_are_named_where_they_are(house: Path) -> None:
    weights = house / "notebooks" / "first.pt"
    weights.write_bytes(b"weights")
    params = {**PARAMS, "pretrained": "first.pt"}
    recorded = {**params, "digests": parameter_digests(params, weights.parent)}
    run = start_run(house / "runs", "toy", recorded)
    run.finish({"AP": 0.5})
    save_table(pd.DataFrame({"AP": [0.5]}), house / "figures" / "toy.csv", PARAMS, runs=[run])
    assert only(house).state == FRESH
    weights.write_bytes(b"others")
    assert only(house).because == f"run {run.id}: changed: pretrained first.pt"
    weights.unlink()  # as in a clone: nothing to compare with
    assert only(house).state == FRESH


def test_dirty_and_missing(house: Path) -> None:
    about = house / "figures" / "toy.json"
    edit(kept(house), git_changed=True)
    assert only(house).state == STALE and "on top of aaaaaaaaaa" in only(house).because
    edit(about, git_changed=True)
    assert only(house).state == DIRTY
    edit(about, notebook="05_gone")
    assert only(house).because == "its notebook '05_gone' is absent"
    about.unlink()
    assert (only(house).state, only(house).maker) == (MISSING, "")
    recipe(house, notebook="03_toy", figures=["toy.csv", "other.png", "perhaps_*.png"])
    other, _ = check_figures(house / "figures", house / "notebooks")
    assert other == Freshness("other.png", "03_toy", MISSING, "there is no such file")


def test_what_needs_a_gpu_waits_for_it_and_holds_up_nothing_that_reads_it(house: Path) -> None:
    entries = [
        {"notebook": "03_toy", "figures": ["toy.csv"], "reads": ["large.csv"]},
        {"notebook": "03_toy", "figures": ["large.csv"], "needs": "cuda"},
    ]
    (house / "notebooks" / "figures.json").write_text(json.dumps({"recipes": entries}))
    large, toy = check_figures(house / "figures", house / "notebooks")
    assert (large.state, toy.state) == (WAITING, FRESH)
    assert "needs a GPU" in large.because
    table = house / "figures" / "large.csv"
    table.touch()
    table.with_suffix(".json").write_text((house / "figures" / "toy.json").read_text())
    edit(table.with_suffix(".json"), git_changed=True)
    large, toy = check_figures(house / "figures", house / "notebooks")
    assert (large.state, toy.state) == (DIRTY, STALE)


def test_a_figure_is_as_stale_as_what_it_reads(house: Path) -> None:
    sidecar, other = house / "figures" / "toy.json", house / "figures" / "sum.json"
    other.write_text(sidecar.read_text())
    other.with_suffix(".csv").touch()
    recipe(house, notebook="03_toy", figures=["sum.csv"], reads=["*.csv"])
    assert [each.state for each in check_figures(house / "figures", house / "notebooks")] == [
        FRESH,
        FRESH,
    ]
    edit(sidecar, created="2999-01-01")
    found, _ = check_figures(house / "figures", house / "notebooks")
    assert found.because == "it reads toy.csv, which was made after it"
    edit(sidecar, git_changed=True)
    found, _ = check_figures(house / "figures", house / "notebooks")
    assert (found.state, found.because) == (STALE, "it reads toy.csv, which is dirty")


def test_parameters_that_a_recipe_changed_make_stale(house: Path) -> None:
    assert "given" in json.loads((house / "figures" / "toy.json").read_text())
    entry: dict[str, Any] = {"notebook": "03_toy", "figures": ["toy.csv"]}
    recipe(house, **entry, parameters={"preset": "small"})
    assert only(house).state == FRESH
    recipe(house, **entry, parameters={"preset": "demo"})
    assert (only(house).state, only(house).because) == (STALE, "changed: preset, now 'demo'")
    edit(house / "figures" / "toy.json", given={"preset": "demo"})
    assert only(house).state == FRESH


def test_a_study_with_other_seeds_makes_stale_what_takes_its_trained_systems(house: Path) -> None:
    for seed in (0, 1, 2):
        about = {"id": f"train-{seed}", "seed": seed}
        (house / "figures" / "runs" / f"train-{seed}.json").write_text(json.dumps(about))
    files = [f"../runs/train-{name}/x.safetensors" for name in ("0", "1", "no")]
    edit(house / "figures" / "toy.json", given={"preset": " ".join(files)})
    write_notebook(house / "notebooks" / "14_ablation.ipynb", cell("seeds = '0 1'", "parameters"))
    entry: dict[str, Any] = {"notebook": "03_toy", "figures": ["toy.csv"]}
    for named in ("{study:row}", "{study:row:1 0} ../runs/train-no/x.safetensors"):
        recipe(house, **entry, parameters={"preset": named})
        assert only(house).state == FRESH
    recipe(house, **entry, parameters={"preset": "{study:row:0 2}"})
    reason = "changed: preset, now seeds 0 2 instead of 0 1"
    assert (only(house).state, only(house).because) == (STALE, reason)
    recipe(house, **entry, parameters={"preset": "{study:row}"})
    (house / "figures" / "study.json").write_text(json.dumps({"given": {"seeds": "0 1 2"}}))
    assert only(house).because == "changed: preset, now seeds 0 1 2 instead of 0 1"


def test_changed_files_of_data_make_stale_and_absent_ones_do_not(house: Path) -> None:
    file = house / "notebooks" / "truth.json"
    file.write_text("1")
    digests = parameter_digests({"annotations": "truth.json"}, file.parent)
    parameters = json.loads((house / "figures" / "toy.json").read_text())["parameters"]
    edit(
        house / "figures" / "toy.json",
        parameters={**parameters, "annotations": "", "digests": digests},
        given={"annotations": "truth.json"},
    )
    assert only(house).state == FRESH
    file.write_text("2")
    assert (only(house).state, only(house).because) == (STALE, "changed: annotations truth.json")
    file.unlink()
    assert only(house).state == FRESH


def test_a_name_without_suffix_has_the_state_that_is_not_fresh() -> None:
    found = [
        Freshness("a.csv", "", FRESH),
        Freshness("a.png", "", STALE, "changed: x"),
        Freshness("b.csv", "", MISSING, "it names no notebook"),
        Freshness("b.png", "", FRESH),
        Freshness("c.csv", "", FRESH),
    ]
    assert states_by_stem(found) == {
        "a": "stale (changed: x)",
        "b": "missing (it names no notebook)",
        "c": FRESH,
    }


def test_figures_of_commands_stand_like_those_of_notebooks(house: Path) -> None:
    params = {"command": "python -m poselib.losses.heatmap --kills 2"}
    save_table(pd.DataFrame({"a": [1]}), house / "figures" / "killed.csv", params)
    about = house / "figures" / "killed.json"

    def killed() -> Freshness:
        return check_figures(house / "figures", house / "notebooks")[0]

    assert killed() == Freshness("killed.csv", params["command"], FRESH)
    code = json.loads(about.read_text())["code"]
    assert "losses.heatmap" in code["modules"]
    edit(about, code={**code, "modules": {**code["modules"], "losses.heatmap": "0"}})
    assert (killed().state, killed().because) == (STALE, "changed: losses.heatmap")
    edit(about, command="python -m poselib.benchmarks.gone")
    assert killed().state == MISSING and "no module poselib.benchmarks.gone" in killed().because


def test_the_runs_of_trained_systems_that_it_takes_count(house: Path) -> None:
    trained = start_run(house / "runs", "train", PARAMS, "train-1")
    trained.finish({"AP": 0.5})
    (trained.folder / "a.safetensors").touch()
    files = "../runs/train-1/a.safetensors a,_seed_0=../runs/train-1/a.safetensors ../runs/x.pt"
    params = {**PARAMS, "checkpoints": files, "digests": {"checkpoints": "of equal weights"}}
    save_table(pd.DataFrame({"AP": [0.5]}), house / "figures" / "toy.csv", params)
    assert json.loads((house / "figures" / "toy.json").read_text())["runs"] == ["train-1"]
    assert only(house).state == FRESH
    edit(house / "figures" / "runs" / "train-1.json", code={})
    assert only(house).because == "run train-1: its code was not recorded"


def test_a_training_repeated_on_another_machine_counts_as_the_run_that_it_is(house: Path) -> None:
    trained = start_run(house / "runs", "train", PARAMS, "train-1")
    trained.finish({"AP": 0.5})
    weights = trained.folder / "a.safetensors"
    weights.write_text("rounded so")
    params = {**PARAMS, "checkpoint": "../runs/train-1/a.safetensors"}
    about = {**params, "digests": parameter_digests(params, house / "notebooks")}
    shown = start_run(house / "runs", "toy", about)
    shown.finish({"AP": 0.5})
    table = pd.DataFrame({"AP": [0.5]})
    save_table(table, house / "figures" / "toy.csv", about, runs=[shown])
    weights.write_text("rounded otherwise")
    assert only(house).state == FRESH


def test_the_command_lists_what_is_not_fresh(
    house: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(house)
    assert cli.main(["reproduce", "--check"]) == 0
    assert capsys.readouterr().out == "1 fresh, 0 stale, 0 dirty, 0 missing\n"
    edit(house / "figures" / "toy.json", code={})
    assert cli.main(["reproduce", "--check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy.csv  stale    its code was not recorded"
    assert cli.main(["reproduce", "--check", "--figures", "absent"]) == 2
    assert "absent" in capsys.readouterr().err
