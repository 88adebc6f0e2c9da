"""Studies: what is planned, trained, evaluated and told."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib import cli
from poselib.analysis.compare import ASSOCIATION, LOCALIZATION, evaluate_variants
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.variants import Variant
from poselib.experiments import run_sweep, stored_evaluations, sweep_report
from poselib.experiments import study as study_module
from poselib.experiments.ablation import trained_file
from poselib.experiments.kept_runs import keep_run
from poselib.experiments.loading import describe
from poselib.experiments.run_sweep import Outcome, execute_runs
from poselib.experiments.runs import save_table, start_run
from poselib.experiments.statistics import summary, to_display
from poselib.experiments.stored_evaluations import evaluation_digest
from poselib.experiments.study import Study, open_study
from poselib.experiments.sweep import PlannedRun, plan, read_sweep
from poselib.papers.presets import get_preset
from poselib.skeletons import COCO, CROWDPOSE
from tests.experiments.factories import finish_run, finish_study

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SWEEPS = NOTEBOOKS / "sweeps"
ROWS = {"with": {"options": "background=0.2 width=4"}, "without": {"options": "width=4"}}
DECODINGS = {"direct": {}, "matched": {"match": True}}


def study_file(folder: Path, rows: Any = ROWS, ablation: Any = None, **parameters: Any) -> Path:
    content = {
        "about": "for tests",
        "notebook": str(NOTEBOOKS / "03_train.ipynb"),
        "parameters": {"dataset": "crowd", "system": "dekr", **parameters},
        "rows": rows,
        "ablation": {
            "title": "Title",
            "claim": "a claim.",
            "setup": "Setup.",
            "paper": "dekr",
            "baseline": "with",
            "decodings": DECODINGS,
            "lines": {"both": ["without", "matched"]},
            "metrics": ["AP", "not_found_rate"],
            "outcome": ["AP"],
            "panels": {"AP": "AP", "not_found_rate_gain": "fewer misses"},
            "figure": "Figure",
            **(ablation or {}),
        },
    }
    path = folder / "sweep.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(study_file(tmp_path), "smoke", "0 1", tmp_path / "runs")


def ids(runs: Any) -> list[str]:
    return [run.run_id for run in runs]


@pytest.mark.parametrize("name", ["hae_components", "dekr_branches", "logocap_windows"])
def test_runs_are_those_that_the_command_line_makes(name: str, tmp_path: Path) -> None:
    path = SWEEPS / f"{name}.json"
    sweep = read_sweep(path)
    study = open_study(path, "small", "0 1 2", tmp_path)
    assert ids(study.runs) == ids(plan(sweep, [0, 1, 2]))
    assert study.seeds == [0, 1, 2]
    shorter = open_study(path, "small", "0 1 2", tmp_path, steps=2000)
    assert ids(shorter.runs) == ids(plan(sweep, [0, 1, 2], {"steps": 2000}))
    assert not set(ids(shorter.runs)) & set(ids(study.runs))


def test_smoke_takes_the_first_seed_few_scenes_and_some_rows(tmp_path: Path, study: Study) -> None:
    assert study.seeds == [0] and [run.row for run in study.runs] == list(ROWS)
    assert study.settings == get_preset("smoke", "crowd", "dekr")
    assert len(study.test_set) == study.settings.test_scenes
    assert study.test_set.skeleton is CROWDPOSE
    assert study.data == describe(study.test_set, "crowd")
    assert study.data.startswith("4 synthetic scenes, 5 to 7 people") and "128 px" in study.data
    path = study_file(tmp_path, ablation={"smoke": ["with"]})
    some = open_study(path, "smoke", "0 1", tmp_path)
    assert [run.row for run in some.runs] == ["with"] and some.rows == tuple(ROWS)
    assert len(open_study(path, "small", "0 1", tmp_path).runs) == 4


def test_a_run_that_two_studies_share_is_trained_once(tmp_path: Path) -> None:
    components, windows, priors = (
        {run.row: run.run_id for run in open_study(path, "small", "0", tmp_path).runs}
        for path in (SWEEPS / f"logocap_{n}.json" for n in ("components", "windows", "priors"))
    )
    full = "OKS Loss+Reweigh+AttNorm"
    assert components[full] == windows["11x11, 3+1"] == priors[full]
    assert len({*components.values(), *windows.values()}) == len(components) + len(windows) - 1


def test_a_sweep_keeps_its_own_steps_unless_others_are_given(tmp_path: Path) -> None:
    path = study_file(tmp_path, steps=30)
    assert open_study(path, "smoke", "0", tmp_path).runs[0].parameters["steps"] == 30
    assert open_study(path, "smoke", "0", tmp_path, steps=9).runs[0].parameters["steps"] == 9


def test_images_have_the_size_and_the_skeleton_of_its_trainings(tmp_path: Path) -> None:
    study = open_study(study_file(tmp_path, size=64, skeleton="coco"), "smoke", "0", tmp_path)
    assert study.settings.input_size == study.test_set[0].size[0] == 64
    assert study.test_set.skeleton is COCO and study.data.endswith("64 px")
    rows = {"with": {"size": 64}, "without": {"size": 96}}
    with pytest.raises(ValueError, match=r"rows differ in size: \['64', '96'\]"):
        open_study(study_file(tmp_path, rows), "small", "0", tmp_path)


def test_its_text_and_state_are_reported(study: Study) -> None:
    assert study.text == "# Title\n\n**Claim:** a claim.\n\nSetup."
    assert study.steps == [] and study.missing["row"].tolist() == ["with", "without"]
    assert study.state.startswith("0 of 2 runs are finished; the others are made by\nposelib s")
    log = Path(study.runs_dir) / "notebooks" / f"{study.runs[0].run_id}.log"
    log.parent.mkdir(parents=True)
    log.write_text("Error")
    assert study.state.startswith(
        f"0 of 2 runs are finished; 1 failed or are under way, see\n{log}\nt"
    )
    finish_run(study, study.runs[1])
    assert study.steps == [4] and study.missing["row"].tolist() == ["with"]
    finish_run(study, study.runs[0])
    assert study.state == "2 of 2 runs are finished" and study.missing.empty


@pytest.mark.parametrize(
    ("runs_dir", "preset", "seeds", "steps"),
    [("runs", "small", "0 1", 0), ("my runs", "demo", "3 4 5", 10), ("runs", "smoke", "2 3", 0)],
)
def test_the_commands_that_are_printed_make_the_missing_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runs_dir: str,
    preset: str,
    seeds: str,
    steps: int,
) -> None:
    """Those alone: what is finished, or kept without its folder, is not trained again."""
    monkeypatch.chdir(tmp_path)
    made: list[tuple[str, str]] = []

    def execute(runs: list[PlannedRun], folder: Path, *_: object, **__: object) -> list[Outcome]:
        made.extend((str(folder), run.run_id) for run in runs)
        return []

    monkeypatch.setattr(run_sweep, "execute_runs", execute)
    monkeypatch.setattr(sweep_report, "report", lambda *_: "")
    (tmp_path / "my sweeps").mkdir()
    rows = {"with": ROWS["with"], "without it": ROWS["without"]}
    path = study_file(tmp_path / "my sweeps", rows, {"lines": {}})
    study = open_study(path, preset, seeds, runs_dir, steps=steps, figures_dir="figures")
    run = study.runs[0]
    record = start_run(runs_dir, "train", dict(run.parameters), run.run_id)
    record.finish({})
    if preset == "small":
        keep_run(record, "figures")
        shutil.rmtree(record.folder)
    for command in study.state.splitlines()[1:]:
        assert cli.main(shlex.split(command)[1:]) == 0
    assert sorted(made) == sorted((runs_dir, name) for name in ids(study.runs[1:]))


def test_missing_runs_are_left_to_the_batch(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[object, ...]] = []
    outcome = Outcome(study.runs[0], "failed", Path("x.log"), "cell 3 (1 / 0): ZeroDivisionError")
    execute = lambda *given: asked.append(given) or [outcome]  # noqa: E731
    monkeypatch.setattr(study_module, "execute_runs", execute)
    study.train(3, "cpu")
    told = "failed: sweep, with, seed 0: cell 3 (1 / 0): ZeroDivisionError (x.log)\n"
    assert capsys.readouterr().out == told
    assert asked == [(study.runs, study.runs_dir, 3, {"device": "cpu"})]
    assert execute_runs.__code__.co_varnames[:4] == ("runs", "runs_dir", "workers", "folders")


@pytest.mark.slow
def test_finished_runs_are_evaluated_with_every_decoding(study: Study) -> None:
    with pytest.raises(FileNotFoundError, match="0 of 2 runs are finished"):
        study.evaluate("cpu")
    finish_run(study, study.runs[1])
    results = study.evaluate("cpu")
    assert results["row"].tolist() == ["without"] * 2 and results["seed"].tolist() == [0, 0]
    assert results["decoding"].tolist() == list(DECODINGS)
    assert set(results["run"]) == {study.runs[1].run_id}
    record = study.runs[1].record(study.runs_dir)
    assert record is not None
    system = load_checkpoint(trained_file(record)).system
    variants = [Variant(name, options) for name, options in DECODINGS.items()]
    expected = evaluate_variants(
        system, study.test_set, variants, study.settings.predict, errors=True
    ).table
    assert {"AP", "AR50", "AP_crowd_hard", *ASSOCIATION, *LOCALIZATION} <= set(expected)
    np.testing.assert_equal(results[list(expected)].to_numpy(), expected.to_numpy())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let evaluations be quick, and list the decodings that are measured."""
    names: list[str] = []

    def fake(system: Any, images: Any, variants: Any, *_: Any, **__: Any) -> Any:
        names.extend(variant.name for variant in variants)
        rows = {
            each.name: {"AP": 0.1 + system.options["background"], "not_found_rate": np.nan}
            for each in variants
        }
        return SimpleNamespace(table=pd.DataFrame.from_dict(rows, orient="index"))

    monkeypatch.setattr(stored_evaluations, "evaluate_variants", fake)
    monkeypatch.setattr(stored_evaluations, "predict", lambda *_, **__: sum(range(10_000)))
    return names


def test_tables_are_made_again_from_what_is_kept(tmp_path: Path, measured: list[str]) -> None:
    """Nothing is measured twice, and the folders of the runs are not needed."""
    loss = {"term": "offset", "column": "offset_loss", "compared": ["with", "without"]}
    loss |= {"panels": {"offset_loss": "loss"}, "heading": "", "figure": ""}
    path = study_file(tmp_path, ablation={"loss": loss, "timed_images": 1})
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    study = open_study(path, "smoke", "0", runs)
    finish_study(study)
    first = study.evaluate("cpu")
    assert first["not_found_rate"].isna().all() and measured == [*DECODINGS] * 2
    assert [file.stem for file in study.keep(figures, "cpu")] == ids(study.runs)
    pd.testing.assert_frame_equal(study.evaluate("cpu"), first)
    runs.rename(tmp_path / "elsewhere")
    assert study.finished == []
    again = open_study(path, "smoke", "0", runs, figures_dir=figures)
    assert again.missing.empty and again.state == "2 of 2 runs are finished"
    pd.testing.assert_frame_equal(again.evaluate("cpu"), first)
    assert len(again.losses()) == 2 * 4 and again.steps == [4]
    table = again.summarize(again.select_lines(first))[0]
    save_table(table, figures / "t.csv", {}, runs=[record for _, record in again.finished])
    assert measured == [*DECODINGS] * 2 and not runs.exists()


def test_only_what_is_not_fresh_is_measured(tmp_path: Path, measured: list[str]) -> None:
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    study = open_study(study_file(tmp_path), "smoke", "0", runs)
    finish_study(study)
    study.keep(figures, "cpu")
    more = {**DECODINGS, "far": {"match": True, "match_distance": 9.0}}
    path = study_file(tmp_path, ablation={"decodings": more, "renew": False})
    other = open_study(path, "smoke", "0", runs, figures_dir=figures)
    measured.clear()
    assert other.evaluate("cpu")["decoding"].tolist() == [*more] * 2
    assert measured == ["far", "far"]  # the other two were known
    for _, record in study.finished:
        stored = json.loads((record.folder / "evaluations.json").read_text())
        (record.folder / "evaluations.json").write_text(json.dumps({**stored, "digest": "old"}))
    measured.clear()
    study.evaluate("cpu")
    assert measured == [*DECODINGS] * 2
    shutil.rmtree(runs)
    with pytest.raises(FileNotFoundError, match=rf"{study.runs[0].run_id}.* is kept without its w"):
        other.evaluate("cpu")


def test_the_digest_of_evaluations_follows_from_code_and_test_images(tmp_path: Path) -> None:
    usual = get_preset("small", "crowd", "hae")
    fewer = replace(usual, test_scenes=usual.test_scenes - 1)
    longer = replace(usual, recipe=replace(usual.recipe, steps=9), train_scenes=9)
    params = {"system": "hae", "dataset": "crowd", "preset": "small"}
    first = evaluation_digest(usual, params, CROWDPOSE)
    assert evaluation_digest(longer, params, CROWDPOSE) == first
    others = [
        evaluation_digest(fewer, params, CROWDPOSE),
        evaluation_digest(usual, params, COCO),
        *(
            evaluation_digest(usual, {**params, **change}, CROWDPOSE)
            for change in ({"system": "dekr"}, {"dataset": "synthetic"}, {"preset": "smoke"})
        ),
    ]
    assert len({first, *others}) == 6


@pytest.mark.slow
def test_lines_name_a_row_and_a_decoding(study: Study) -> None:
    finish_study(study)
    results = study.evaluate("cpu")
    assert study.lines == {
        "with": ("with", "direct"),
        "without": ("without", "direct"),
        "both": ("without", "matched"),
    }
    lines = study.select_lines(results)
    assert lines["row"].tolist() == ["with", "without", "both"]
    chosen = results.iloc[[0, 2, 3]].reset_index(drop=True)
    np.testing.assert_allclose(lines["not_found_rate"], 100 * chosen["not_found_rate"])
    np.testing.assert_allclose(
        lines["not_found_rate_gain"], lines["not_found_rate"] - lines["not_found_rate"].iloc[0]
    )
    each_seed = study.seeds_table(lines)
    assert list(each_seed) == ["row", "seed", "run", *study.ablation.metrics]
    assert each_seed["row"].tolist() == ["with", "without", "both"]
    table, line = study.summarize(lines)
    assert table["row"].tolist() == ["with", "without", "both"]
    assert line.startswith("AP in % against with: without ") and "too few to tell" in line


def test_a_single_row_is_shown_with_every_decoding(tmp_path: Path) -> None:
    path = study_file(tmp_path, {"one": {}}, {"baseline": "direct", "lines": {}})
    study = open_study(path, "smoke", "0", tmp_path)
    assert study.lines == {"direct": ("one", "direct"), "matched": ("one", "matched")}


@pytest.mark.slow
def test_decodings_are_compared_within_each_network(tmp_path: Path) -> None:
    within = {"name": "matching", "baseline": "direct", "text": "Text."}
    study = open_study(study_file(tmp_path, ablation={"within": within}), "smoke", "0", tmp_path)
    finish_study(study)
    results = study.evaluate("cpu")
    table, line = study.compare_decodings(results)
    assert table["network"].tolist() == ["with", "with", "without", "without"]
    assert table["decoding"].tolist() == ["direct", "matched"] * 2
    part = to_display(results[results["row"] == "without"])
    expected = summary(part.assign(row=part["decoding"]), ["AP", "not_found_rate"], "direct")
    np.testing.assert_allclose(table["AP_gain"][2:], expected["AP_gain"])
    assert line.startswith("AP in % against direct: with ") and "; without " in line
    third = results[results["decoding"] == "matched"].assign(decoding="again")
    _, line = study.compare_decodings(pd.concat([results, third], ignore_index=True))
    assert "direct: with, matched " in line and "; without, again " in line


@pytest.mark.slow
def test_the_final_loss_stands_beside_the_metrics(tmp_path: Path) -> None:
    loss = {"term": "offset", "column": "offset_loss", "compared": ["with", "without"]}
    loss |= {"panels": {"offset_loss": "loss", "AP": "AP"}, "heading": "", "figure": ""}
    study = open_study(study_file(tmp_path, ablation={"loss": loss}), "smoke", "0", tmp_path)
    finish_study(study)
    results = study.evaluate("cpu")
    np.testing.assert_allclose(results["offset_loss"], 1e-4 / 4)  # of the last step
    lines = study.select_lines(results)
    np.testing.assert_allclose(lines["offset_loss"], 10 / 4)
    assert len(study.losses()) == 2 * 4
    assert "offset_loss in 1e-5 against with: without +0.0" in study.compare_losses(lines)


@pytest.mark.slow
def test_one_finished_run_of_each_row_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study_file(tmp_path, ablation={"timed_images": 2})
    study = open_study(path, "smoke", "0 1", tmp_path / "runs")
    assert study.time_rows(1, "cpu").empty
    finish_run(study, study.runs[1])
    calls = []

    def spy(system: Any, samples: Any, options: Any, device: Any) -> None:
        calls.append((system.name, len(samples), options.flip, options.batch_size, str(device)))
        sum(range(100_000))  # takes some time

    monkeypatch.setattr(stored_evaluations, "predict", spy)
    times = study.time_rows(3, "cpu")
    assert set(calls) == {("dekr", 2, False, 1, "cpu")} and len(calls) >= 3
    assert list(times.index) == ["without"] and times["without"] > 0
    finish_run(study, study.runs[0])
    table, line = study.summarize(study.select_lines(study.evaluate("cpu")))
    np.testing.assert_allclose(table["fps"] * table["ms"], 1000)
    assert f"ms per image: with {table['ms'][0]:.1f}, without" in line


@pytest.mark.parametrize("seeds", ["", "0, 1", "one", "-1"])
def test_seeds_must_be_whole_numbers(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds must be whole numbers"):
        open_study(study_file(tmp_path), "smoke", seeds, tmp_path)


def test_rows_of_several_datasets_cannot_be_tested_alike(tmp_path: Path) -> None:
    path = study_file(tmp_path, {"with": {}, "few": {"dataset": "synthetic"}}, {"lines": {}})
    with pytest.raises(ValueError, match=r"differ in dataset: \['crowd', 'synthetic'\]"):
        open_study(path, "smoke", "0", tmp_path)


@pytest.mark.parametrize(
    ("rows", "ablation", "message"),
    [
        (
            {**ROWS, "with": {"options": "widht=4"}},
            {},
            r"'with': system 'dekr' has no option 'widht'; did you mean width\? known: ",
        ),
        (
            ROWS,
            {"decodings": {"direct": {"mach": True}}, "lines": {}},
            r"'direct': system 'dekr' has no option 'mach'",
        ),
    ],
)
def test_unknown_options_are_refused(
    rows: Any, ablation: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        open_study(study_file(tmp_path, rows, ablation), "smoke", "0", tmp_path)
