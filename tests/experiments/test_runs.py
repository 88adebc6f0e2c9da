"""Records of runs, figures and tables with their provenance."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from poselib.experiments import provenance as provenance_module
from poselib.experiments import runs
from poselib.experiments.provenance import provenance
from poselib.experiments.runs import (
    list_runs,
    load_run,
    new_id,
    save_figure,
    save_table,
    sidecar,
    start_run,
)

PARAMS = {"preset": "smoke", "seed": 7, "rate": 1e-3}


def test_a_run_writes_what_it_was_and_what_came_out(tmp_path: Path) -> None:
    run = start_run(tmp_path, "train", PARAMS)
    assert json.loads((run.folder / "params.json").read_text()) == PARAMS
    about = json.loads((run.folder / "run.json").read_text())
    assert about["id"] == run.id and about["name"] == "train" and about["seed"] == 7
    assert {"python", "torch", "numpy", "poselib"} <= set(about["versions"])
    assert about["git_commit"]
    assert not run.finished and run.metrics == {}
    run.log({"step": 1, "loss": np.float32(0.5)})
    run.log({"step": 2, "loss": float("nan")})
    assert run.history == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    run.finish({"AP": np.float64(0.25), "per_keypoint": np.arange(2)})
    assert run.finished and run.metrics == {"AP": 0.25, "per_keypoint": [0, 1]}
    again = load_run(run.folder)
    assert (again.name, again.params, again.metrics) == (run.name, run.params, run.metrics)
    assert sorted(p.name for p in run.folder.iterdir()) == [
        "metrics.json",
        "metrics.jsonl",
        "params.json",
        "run.json",
    ]


def test_ids_do_not_repeat_sort_by_time_and_say_the_name() -> None:
    ids = [new_id("hrnet_w32") for _ in range(200)]
    assert len(set(ids)) == 200
    assert all("-hrnet_w32-" in run_id for run_id in ids)
    times = [run_id[:15] for run_id in ids]
    assert times == sorted(times)


def test_an_interrupted_run_is_taken_up_by_its_id(tmp_path: Path) -> None:
    run = start_run(tmp_path, "train", PARAMS, run_id="mine")
    run.log({"step": 1})
    again = start_run(tmp_path, "train", PARAMS, run_id="mine")
    assert again.folder == run.folder and again.history == [{"step": 1}]
    with pytest.raises(ValueError, match=r"'mine' has rate=0\.001, not 0\.1"):
        start_run(tmp_path, "train", {**PARAMS, "rate": 0.1}, run_id="mine")
    with pytest.raises(ValueError, match="is one of 'train', not of 'evaluate'"):
        start_run(tmp_path, "evaluate", PARAMS, run_id="mine")


def test_a_start_that_was_interrupted_is_no_run_and_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "params.json").write_text("{}")
    assert list_runs(tmp_path).empty
    assert start_run(tmp_path, "train", PARAMS, run_id="mine").params == PARAMS


@pytest.mark.parametrize("name", ["", "a/b", "../up", "with space", ".hidden"])
def test_names_that_are_no_folder_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must be letters"):
        start_run(tmp_path, name, {})
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_that_json_cannot_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"params\.model\[1\]: a object cannot"):
        start_run(tmp_path, "train", {"model": [1, object()]})
    assert list(tmp_path.iterdir()) == []


def test_runs_and_sidecars_name_their_notebook(tmp_path: Path) -> None:
    run = start_run(tmp_path, "train", {"notebook": "03_train", **PARAMS}, run_id="mine")
    assert run.params == PARAMS and load_run(run.folder).params == PARAMS
    assert json.loads((run.folder / "run.json").read_text())["notebook"] == "03_train"
    made = json.loads(sidecar(tmp_path / "a.png", {"notebook": "03_train", **PARAMS}).read_text())
    assert made["notebook"] == "03_train" and made["parameters"] == PARAMS


def test_runs_and_sidecars_name_the_code_they_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2] / "notebooks")
    params = {"notebook": "03_train", "preset": "small", "system": "dekr", "dataset": "crowd"}
    run = start_run(tmp_path, "train", params)
    code = json.loads((run.folder / "run.json").read_text())["code"]
    assert "losses.offset" in code["modules"] and "losses.associative" not in code["modules"]
    other = start_run(tmp_path, "train", {**params, "system": "hae"})
    made = json.loads(sidecar(tmp_path / "a.png", params, runs=[other]).read_text())["code"]
    assert {"losses.offset", "losses.associative", "plots.curves"} <= set(made["modules"])
    assert made["digest"] != code["digest"]
    beside = sidecar(tmp_path / "c.png", {**params, "baseline": "hae"})
    assert "losses.associative" in json.loads(beside.read_text())["code"]["modules"]
    smoke = sidecar(tmp_path / "b.png", {**params, "preset": "smoke"})
    assert json.loads(smoke.read_text())["code"] == {}


def test_a_run_is_not_taken_up_after_its_code_or_preset_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2] / "notebooks")
    params = {"notebook": "03_train", "preset": "small", "system": "dekr", "dataset": "crowd"}
    start_run(tmp_path, "train", params, "mine")
    usual = runs.executed_code(params, drawing=False)
    for changed, named in {
        "losses.offset": {"modules": {**usual["modules"], "losses.offset": "0"}},
        "its preset": {"settings": "0"},
    }.items():
        code = {**usual, **named}
        monkeypatch.setattr(runs, "executed_code", lambda *_, code=code, **__: code)
        with pytest.raises(ValueError, match=rf"'mine' was begun before {changed} changed"):
            start_run(tmp_path, "train", params, "mine")
    monkeypatch.setattr(runs, "executed_code", lambda *_, **__: usual)
    assert start_run(tmp_path, "train", params, "mine").id == "mine"


def test_dataclasses_and_paths_are_plain(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class TrainConfig:
        steps: int
        milestones: tuple[float, ...]

    run = start_run(tmp_path, "train", {"recipe": TrainConfig(3, (0.5,)), "data": Path("a")})
    assert run.params == {"recipe": {"steps": 3, "milestones": [0.5]}, "data": "a"}


def test_runs_are_listed_with_parameters_and_metrics(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent").empty
    first = start_run(tmp_path, "train", {"seed": 1})
    second = start_run(tmp_path, "train", {"seed": 2, "flip": True}, run_id="a-run-of-mine")
    start_run(tmp_path, "evaluate", {})
    first.finish({"AP": 0.5})
    (tmp_path / "notebooks").mkdir()
    runs = list_runs(tmp_path)
    assert list(runs["id"])[:2] == [first.id, second.id]  # by time, not by name
    assert list(runs["name"]) == ["train", "train", "evaluate"]
    assert list(runs["finished"]) == [True, False, False]
    train = list_runs(tmp_path, "train")
    assert list(train["params.seed"]) == [1, 2]
    assert train.loc[0, "metrics.AP"] == 0.5 and pd.isna(train.loc[1, "metrics.AP"])


def test_parameters_in_old_names_are_read(tmp_path: Path) -> None:
    run = start_run(tmp_path, "train", {"switches": "width=8", "seed": 1, "nearness": "mean"})
    expected = {"seed": 1, "options": "distance_reduction=mean width=8"}
    assert load_run(run.folder).params == expected


def test_a_run_that_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    whole, torn = (start_run(tmp_path, "train", {}, run) for run in ("whole", "torn"))
    (torn.folder / "params.json").write_text('{"a":')
    with pytest.raises(ValueError, match=r"params\.json: not JSON"):
        load_run(torn.folder)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load_run(tmp_path)

    def listed(*messages: str) -> None:
        with pytest.warns(UserWarning) as found:
            assert list(list_runs(tmp_path)["id"]) == [whole.id]
        for each, message in zip(found, messages, strict=True):
            assert str(each.message).startswith(f"{tmp_path / 'torn'} is left out: ")
            assert message in str(each.message)

    listed("params.json: not JSON")
    (torn.folder / "params.json").unlink()
    listed("params.json")
    (torn.folder / "params.json").write_text("{}")
    (torn.folder / "metrics.json").write_text('{"AP": 0.')
    listed("metrics.json: not JSON")
    for about in ({"name": "train"}, {"name": ["train"], "started": "2026"}):
        (torn.folder / "run.json").write_text(json.dumps(about))
        listed("run.json: expected text named '")
    (torn.folder / "run.json").unlink()
    (torn.folder / "run.json").mkdir()
    listed("run.json")


def test_a_figure_has_its_sidecar(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    run = start_run(tmp_path / "runs", "train", {})
    path = save_figure(figure, tmp_path / "figures" / "a.png", PARAMS, runs=[run, "other"])
    assert path.read_bytes().startswith(b"\x89PNG")
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["figure"] == "a.png" and about["parameters"] == PARAMS and about["seed"] == 7
    assert about["runs"] == [run.id, "other"] and "git_commit" in about and "versions" in about
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.json", "a.png", "runs"]
    kept = json.loads((path.parent / "runs" / f"{run.id}.json").read_text())
    assert kept["id"] == run.id and kept["params"] == {} and kept["metrics"] == {}
    save_figure(figure, run.folder / "own.png", PARAMS, runs=[run])
    assert not (run.folder / "runs").exists()


def test_what_is_kept_names_runs_as_in_the_default_folder(tmp_path: Path) -> None:
    training = start_run(tmp_path / "scratch", "train", {}, "two")
    other = tmp_path / "models" / "other.safetensors"
    file = training.folder / "best.safetensors"
    params = {"checkpoints": f"A={file} B={other}", "given": {"checkpoint": str(file)}}
    shown = start_run(tmp_path / "scratch", "compare", params, "three")
    shown.finish({"rows": [{"checkpoint": str(file)}]})
    path = save_figure(Figure(), tmp_path / "figures" / "a.png", params, runs=[shown])
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["given"] == {"checkpoint": "../runs/two/best.safetensors"}
    assert about["parameters"] == {"checkpoints": f"A=../runs/two/best.safetensors B={other}"}
    assert about["runs"] == ["three", "two"]
    kept = json.loads((path.parent / "runs" / "three.json").read_text())
    assert kept["metrics"] == {"rows": [{"checkpoint": "../runs/two/best.safetensors"}]}
    assert shown.params["checkpoints"] == params["checkpoints"]  # the run itself is where it is


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    a, b = (save_figure(figure, tmp_path / f"{name}.png", {}) for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_a_table_has_its_sidecar(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": ["x"], "AP": [0.5]})
    path = save_table(table, tmp_path / "t.csv", {"seed": 3})
    assert path.read_text() == "method,AP\nx,0.5\n"
    assert json.loads(path.with_suffix(".json").read_text())["seed"] == 3
    save_table(pd.DataFrame({"file": ["caf\udce9"]}), path, {})  # bytes of a name, no letter
    assert path.read_text() == "file\ncaf\\udce9\n"


def test_a_figure_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path) -> None:
    class Broken(Figure):
        def savefig(self, fname: Path, *args: object, **kwargs: object) -> None:
            Path(fname).write_bytes(b"half")
            raise RuntimeError("no ink")

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no ink"):
        save_figure(Broken(), path, {})
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.png"):
        save_figure(Figure(), tmp_path / "a.jpg", {})
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        save_table(pd.DataFrame(), tmp_path / "a.tsv", {})


def test_a_sidecar_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for value in (1, 2):
        path = sidecar(tmp_path / "a.png", {"x": value})
    assert json.loads(path.read_text())["parameters"] == {"x": 2}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "figures").mkdir()
    for name in ("file", "figures/figure.json"):
        (root / name).write_text("1")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True, capture_output=True)
    monkeypatch.setattr(provenance_module, "_ROOT", root.resolve())
    return root


def test_the_commit_and_changes_are_noted(repository: Path) -> None:
    about = provenance()
    assert len(about["git_commit"]) == 40 and about["git_changed"] is False
    (repository / "figures" / "figure.json").write_text("2")
    assert provenance()["git_changed"] is False  # figures do not make figures
    (repository / "file").write_text("2")
    assert provenance()["git_changed"] is True


def test_the_commit_of_a_repository_around_is_not_ours(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = repository / "site-packages"
    inner.mkdir()
    monkeypatch.setattr(provenance_module, "_ROOT", inner.resolve())
    about = provenance()
    assert about["git_commit"] == "unknown" and about["git_changed"] is False


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance()["git_commit"] == "unknown"


@pytest.mark.slow
def test_large_figures_are_kept_in_few_colors(tmp_path: Path) -> None:
    figure = Figure(figsize=(6, 6))
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    noise[..., 0] //= 3
    noise[200:210, 200:210] = 250, 90, 120  # few pixels of a color that is not among the others
    figure.add_axes((0, 0, 1, 1)).imshow(noise, interpolation="nearest")
    path = save_figure(figure, tmp_path / "noise.png", {})
    small = save_figure(Figure(figsize=(2, 2)), tmp_path / "blank.png", {})
    whole = save_figure(figure, tmp_path / "whole.png", {}, small=False)
    with Image.open(path) as many, Image.open(small) as few, Image.open(whole) as all_colors:
        assert many.mode == "P" and few.mode == all_colors.mode == "RGBA"
        seen = np.asarray(many.convert("RGB"), float)
    figure.savefig(tmp_path / "full.png", dpi=150, bbox_inches="tight")
    with Image.open(tmp_path / "full.png") as full:
        expected = np.asarray(full.convert("RGB"), float)
    difference, rare = np.abs(seen - expected), (expected == (250, 90, 120)).all(axis=-1)
    assert rare.sum() > 100 and difference[rare].max() < 12 and difference.mean() < 15
    assert path.stat().st_size < (tmp_path / "full.png").stat().st_size / 2
