from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.analysis.compare import ASSOCIATION, LOCALIZATION
from poselib.engine.checkpoints import save_system
from poselib.experiments import ablation_study
from poselib.experiments.ablation import measure_runs
from poselib.experiments.ablation_study import Study, open_study
from poselib.experiments.parameters import parse_options
from poselib.experiments.run_sweep import run_batch
from poselib.experiments.runs import start_run
from poselib.experiments.sweep import plan, read_sweep
from poselib.experiments.training import init_system
from poselib.papers.presets import get_preset
from poselib.skeletons import CROWDPOSE
from poselib.systems import build

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ROWS = {"with": {"options": "background=0.2"}, "without": {}}
WAYS = {"": {}, "matched": {"match": True}}


def sweep_file(folder: Path, rows: Any = ROWS, **parameters: Any) -> Path:
    content = {
        "about": "for tests",
        "notebook": str(NOTEBOOKS / "03_train.ipynb"),
        "parameters": {"dataset": "crowd", "system": "dekr", **parameters},
        "rows": rows,
    }
    path = folder / "sweep.json"
    path.write_text(json.dumps(content))
    return path


def finish(study: Study, place: int, **metrics: float) -> None:
    """Make the folder of a run as its notebook would leave it, without training."""
    run = study.runs[place]
    record = start_run(study.runs_dir, "train", dict(run.parameters), run.run_id)
    system = build("dekr", CROWDPOSE, backbone="hrnet_tiny", width=4, center_threshold=0.0)
    save_system(record.folder / "dekr_crowd.safetensors", replace(system, input_size=128))
    record.finish(metrics)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return open_study(sweep_file(tmp_path), "smoke", "0 1", tmp_path / "runs")


def ids(runs: Any) -> list[str]:
    return [run.run_id for run in runs]


@pytest.mark.parametrize(
    "name",
    ["hae_components", "dekr_branches", "logocap_components", "logocap_windows", "logocap_losses"],
)
def test_runs_are_those_that_the_command_line_makes(name: str, tmp_path: Path) -> None:
    path = NOTEBOOKS / "sweeps" / f"{name}.json"
    sweep = read_sweep(path)
    study = open_study(path, "small", "0 1 2", tmp_path)
    assert ids(study.runs) == ids(plan(sweep, [0, 1, 2]))
    assert study.seeds == [0, 1, 2]
    shorter = open_study(path, "small", "0 1 2", tmp_path, steps=2000)
    assert ids(shorter.runs) == ids(plan(sweep, [0, 1, 2], {"steps": 2000}))
    assert not set(ids(shorter.runs)) & set(ids(study.runs))


def test_some_rows_of_a_sweep(tmp_path: Path) -> None:
    path = sweep_file(tmp_path)
    some = open_study(path, "small", "0 1", tmp_path, rows=["without"])
    assert ids(some.runs) == ids(plan(read_sweep(path), [0, 1], rows=["without"]))
    with pytest.raises(ValueError, match=r"no rows \['neither'\]"):
        open_study(path, "small", "0", tmp_path, rows=["neither"])


@pytest.mark.parametrize("name", ["logocap_components", "logocap_windows", "logocap_losses"])
def test_every_row_has_a_network_of_its_own(name: str, tmp_path: Path) -> None:
    """Smoke trains some of the rows alone: the options of all of them must be known."""
    study = open_study(NOTEBOOKS / "sweeps" / f"{name}.json", "small", "0", tmp_path)
    built = []
    for run in study.runs:
        options = parse_options(str(run.parameters.get("options", "")))
        system = init_system(study.settings, study.test_set.skeleton, 0, "logocap", **options)
        built.append(tuple(sorted(system.options.items(), key=str)))
    assert len(set(built)) == len(study.runs)


def test_the_row_that_two_tables_share_is_trained_once(tmp_path: Path) -> None:
    ids_of = [
        {run.row: run.run_id for run in open_study(path, "small", "0", tmp_path).runs}
        for path in (
            NOTEBOOKS / "sweeps" / f"logocap_{name}.json" for name in ("components", "windows")
        )
    ]
    components, windows = ids_of
    assert components["OKS Loss+Reweigh+AttNorm"] == windows["11x11, 3+1"]
    assert len({*components.values(), *windows.values()}) == len(components) + len(windows) - 1


def test_a_sweep_keeps_its_own_steps_unless_others_are_given(tmp_path: Path) -> None:
    path = sweep_file(tmp_path, steps=30)
    assert open_study(path, "smoke", "0", tmp_path).runs[0].parameters["steps"] == 30
    assert open_study(path, "smoke", "0", tmp_path, steps=9).runs[0].parameters["steps"] == 9


def test_smoke_takes_the_first_seed_and_few_scenes(study: Study) -> None:
    assert study.seeds == [0]
    assert study.settings == get_preset("smoke", "crowd", "dekr")
    assert len(study.test_set) == study.settings.test_scenes
    assert study.test_set.skeleton is CROWDPOSE


def test_what_is_finished_and_missing_is_told(study: Study) -> None:
    assert study.state == "0 of 2 runs are finished" and study.steps == []
    assert study.missing["row"].tolist() == ["with", "without"]
    finish(study, 1, steps=40)
    assert study.state == "1 of 2 runs are finished" and study.steps == [40]
    assert study.missing["row"].tolist() == ["with"]
    finish(study, 0, steps=40)
    assert study.steps == [40] and study.missing.empty


def test_missing_runs_are_left_to_the_batch(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ablation_study, "run_batch", lambda *given: asked.append(given))
    study.train(3, "cpu")
    assert asked == [(study.runs, study.runs_dir, 3, {"device": "cpu"})]
    assert run_batch.__code__.co_varnames[:4] == ("runs", "runs_dir", "workers", "folders")


def test_runs_are_measured_in_per_cent(study: Study) -> None:
    with pytest.raises(FileNotFoundError, match="none of the 2 runs"):
        study.measure(WAYS, "cpu")
    finish(study, 1)
    found = study.measure(WAYS, "cpu")
    options = study.settings.predict
    expected = measure_runs(study.runs, study.runs_dir, study.test_set, options, WAYS)
    told = ["row", "seed", "run", "decoding"]
    pd.testing.assert_frame_equal(found[told], expected[told])
    assert found["decoding"].tolist() == ["", "matched"] and found["seed"].tolist() == [0, 0]
    rates = ["AP", "AR50", "AP_crowd_hard", *ASSOCIATION, *LOCALIZATION]
    np.testing.assert_allclose(found[rates], 100 * expected[rates])
    assert (found["not_found_rate"] > 1).all()


def test_one_finished_run_of_each_row_is_timed(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study.time_rows(2, 1, "cpu").empty
    finish(study, 1)
    seen = []

    def looked(system: Any, samples: Any, options: Any, device: Any) -> None:
        seen.append((system.name, len(samples), options.flip, options.batch_size, str(device)))
        sum(range(100_000))  # takes some time

    monkeypatch.setattr(ablation_study, "predict", looked)
    taken = study.time_rows(2, 3, "cpu")
    assert set(seen) == {("dekr", 2, False, 1, "cpu")} and len(seen) >= 3
    assert list(taken.index) == ["without"] and taken["without"] > 0


@pytest.mark.parametrize("seeds", ["", "0, 1", "one", "-1"])
def test_seeds_must_be_whole_numbers(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds must be whole numbers"):
        open_study(sweep_file(tmp_path), "smoke", seeds, tmp_path)


def test_rows_of_several_datasets_cannot_be_tested_alike(tmp_path: Path) -> None:
    path = sweep_file(tmp_path, {"crowd": {}, "few": {"dataset": "synthetic"}})
    with pytest.raises(ValueError, match=r"differ in dataset: \['crowd', 'synthetic'\]"):
        open_study(path, "smoke", "0", tmp_path)
