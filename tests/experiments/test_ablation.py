"""What study files declare, and what trained runs hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.engine.video_metrics import OTHER_METRICS, PART_METRICS
from poselib.experiments import ablation_checks
from poselib.experiments.ablation import (
    final_losses,
    read_ablation,
    trained_file,
    training_losses,
)
from poselib.experiments.parameters import parse_options
from poselib.experiments.runs import RunRecord, start_run
from poselib.experiments.study import Study, open_study
from poselib.experiments.sweep import PlannedRun
from poselib.experiments.training import init_system
from poselib.metrics.pck import PARTS
from poselib.papers.catalog import PAPERS
from poselib.papers.published import published_table
from poselib.plots import seeds
from poselib.plots.seeds import show_ablation

SWEEPS = Path(__file__).resolve().parents[2] / "notebooks" / "sweeps"
STUDIES = sorted(path.stem for path in SWEEPS.glob("*.json"))
METRICS = {"AP", "AP50", "AP75", "AR", "AR50", "AR75"}
METRICS |= {"AP_crowd_easy", "AP_crowd_medium", "AP_crowd_hard"}
METRICS |= {"association_error", "wrong_person_rate", "not_found_rate"}
METRICS |= {"good", "jitter", "miss", "inversion", "swap"}
METRICS |= {
    f"{name}_{part}" for name in ("pckh_ap", *PART_METRICS) for part in (*PARTS, "head", "total")
}
METRICS |= set(OTHER_METRICS)


def same_table(name: str) -> list[Study]:
    """Return the other studies of a study's table: rows that need a GPU are one of their own."""
    about = read_ablation(SWEEPS / f"{name}.json")
    others = [each for each in STUDIES if each != name and about.table]
    found = {each: read_ablation(SWEEPS / f"{each}.json") for each in others}
    same = [each for each, a in found.items() if (a.paper, a.table) == (about.paper, about.table)]
    return [open_study(SWEEPS / f"{each}.json", "small", "0", Path("absent")) for each in same]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_is_complete(name: str, tmp_path: Path) -> None:
    study = open_study(SWEEPS / f"{name}.json", "small", "0 1 2", tmp_path)
    ablation, lines = study.ablation, study.lines
    assert name.startswith(ablation.paper) and ablation.paper in PAPERS
    assert ablation.title and ablation.claim and ablation.setup and ablation.baseline in lines
    computed = {"ms", "fps"} if ablation.timed_images else set()
    computed |= {ablation.loss["column"]} if ablation.loss else set()
    assert set(ablation.metrics) <= METRICS | computed
    assert set(ablation.outcome) <= set(ablation.metrics)
    shown = {panel.removesuffix("_gain") for panel in ablation.panels}
    assert shown <= set(ablation.metrics) | computed
    assert {decoding for _, decoding in lines.values()} <= set(ablation.decodings)
    assert {row for row, _ in lines.values()} == set(study.rows)
    assert set(ablation.smoke) <= set(study.rows)
    together = {*lines, *(line for other in same_table(name) for line in other.lines)}
    if ablation.table:
        assert set(published_table(ablation.paper, ablation.table).index) <= together
    published = ablation.published_numbers
    assert set(published.index) <= together
    assert bool(ablation.published_on) is not published.empty and bool(ablation.panels) is bool(
        ablation.figure
    )
    if ablation.within:
        assert ablation.within["baseline"] in ablation.decodings and len(ablation.decodings) > 1
    if ablation.loss:
        assert set(ablation.loss["compared"]) <= set(study.rows)
        assert set(ablation.loss["panels"]) <= set(ablation.metrics)


@pytest.mark.usefixtures("undrawn_weights")
@pytest.mark.parametrize("name", STUDIES)
def test_every_row_is_another_network_and_knows_its_decodings(name: str, tmp_path: Path) -> None:
    study = open_study(SWEEPS / f"{name}.json", "small", "0", tmp_path)
    built = []
    for run in study.runs:
        options = parse_options(str(run.parameters.get("options", "")))
        kind = str(run.parameters.get("system", "hae"))
        system = init_system(
            study.settings, study.test_set.skeleton, 0, kind, pretrained="", **options
        )
        training = run.parameters.get("steps", 0)
        built.append((training, *sorted(system.options.items(), key=str)))
        for decoding in study.ablation.decodings.values():
            assert set(decoding) <= set(system.options)
    assert len(set(built)) == len(study.runs)


LOSS = {"term": "offset", "column": "offset_loss", "compared": ["IQR", "Baseline"]}
LOSS |= {"panels": {"offset_loss": "loss"}, "heading": "", "figure": ""}
AR: dict[str, Any] = {"metrics": ["AR"], "outcome": ["AR"], "panels": {}}
WITHIN = {"name": "order", "baseline": "fixed order", "text": ""}


def test_faults_of_a_study_are_named(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="expected an object named 'ablation'"):
        read_ablation(path)
    whole = json.loads((SWEEPS / "hae_focal.json").read_text(encoding="utf-8"))
    for change, message in (
        ({"panel": {}}, r"unknown fields \['panel'\]; known: \['claim'"),
        ({"paper": "posenet"}, "unknown paper 'posenet'"),
        ({"metrics": []}, "missing 'metrics', or it is empty"),
        ({"metrics": [["AP"]]}, r"metrics must be a list, each of it text, not \[\['AP'\]\]"),
        ({"decodings": {"a": 1}}, "decodings must be an object of named values, each an object of"),
        ({"lines": {"a": ["b"]}}, "lines must be an object of named values, each 2 values"),
        ({"timed_images": "3"}, "timed_images must be a whole number, not '3'"),
        ({"loss": {"term": "heatmap"}}, r"loss lacks \['column', 'compared', 'figure', "),
        ({"metrics": ["PA"]}, r"unknown metrics \['PA'\]; known: \['AP', 'AP50'"),
        ({"metrics": ["a" * 3000]}, r"unknown metrics \['a{10,20}\.\.\.a{10,20}'\]; known: \['AP'"),
        ({"baseline": "none"}, "baseline 'none' is no row of the table, but \\["),
        ({"smoke": ["OHKM"]}, "smoke: expected the baseline's row '"),
        ({"smoke": ["Baseline", "OKHM"]}, r"smoke: unknown rows \['OKHM'\]; known: \['Baseline"),
        ({"lines": {"a": ["iqr", "fixed order"]}}, r"lines: unknown rows \['iqr'\]; known: \['Ba"),
        ({"lines": {"a": ["IQR", "PAD"]}}, r"lines: unknown decodings \['PAD'\]; known: \['fix"),
        ({"outcome": ["AP", "jitter"]}, r"outcome: unknown metrics of the table \['jitter'\]"),
        ({"panels": {"AP_gian": ""}}, r"panels: unknown metrics \['AP_gian'\]; known: \['AP', "),
        ({"metrics": ["ms"], "timed_images": 2}, r"metrics: unknown metrics \['ms'\]"),
        ({"metrics": ["AP", "AP"]}, "metrics: AP is given twice"),
        ({"timed_images": -1}, "timed_images must be 0 or more, not -1"),
        ({"table": "99"}, "paper 'hae' has no table '99'; it has "),
        ({"published": ["APP"]}, r"published: unknown columns \['APP'\]; known: \['AP', "),
        ({"table": "", "published": ["AP"]}, "published: its columns are of a table, and there"),
        ({"published_on": " "}, "published_on: expected the data of the published numbers"),
        ({"loss": {**LOSS, "compared": ["IQR", "mean"]}}, r"loss: compared: unknown rows \['mean"),
        ({"loss": {**LOSS, "compared": ["IQR"]}}, r"loss: compared must be 2 values"),
        ({"loss": {**LOSS, "compared": ["IQR", "IQR"]}}, "loss: compared: IQR is given twice"),
        ({"loss": {**LOSS, "panels": {"PA": ""}}}, r"loss: panels: unknown metrics \['PA'\]"),
        ({"loss": {**LOSS, "panel": {}}}, r"loss: unknown fields \['panel'\]; known: \['term'"),
        ({"loss": LOSS, "smoke": ["Baseline"]}, "smoke: expected 'IQR', of loss, among its rows"),
        ({"within": {**WITHIN, "baseline": "PAD"}}, r"within: baseline: unknown decodings \['PAD"),
        ({"within": WITHIN, **AR}, r"within: panels, and AP,: unknown metrics of th"),
    ):
        path.write_text(json.dumps({**whole, "ablation": {**whole["ablation"], **change}}))
        with pytest.raises(ValueError, match=message):
            read_ablation(path)
    del whole["ablation"]["baseline"]
    path.write_text(json.dumps(whole))
    with pytest.raises(ValueError, match=r"s\.json: ablation: missing 'baseline'"):
        read_ablation(path)


MINIMAL: dict[str, Any] = {
    "about": "width of the network",
    "notebook": str(SWEEPS.parent / "03_train.ipynb"),
    "parameters": {"dataset": "crowd", "system": "dekr"},
    "rows": {"wide": {"options": "width=8"}, "narrow": {"options": "width=4"}},
    "ablation": {"claim": "wide is better.", "baseline": "narrow", "metrics": ["AP", "AR"]},
}


def test_a_minimal_file_gets_sensible_defaults(tmp_path: Path) -> None:
    path = tmp_path / "width.json"
    path.write_text(json.dumps(MINIMAL))
    study = open_study(path, "smoke", "0", tmp_path)
    ablation = study.ablation
    assert study.text == "# width of the network\n\n**Claim:** wide is better."
    assert ablation.figure == ablation.title and ablation.published_numbers.empty
    assert ablation.outcome == ["AP"] and ablation.panels == {"AP": "AP", "AR": "AR"}
    assert study.lines == {"wide": ("wide", "default"), "narrow": ("narrow", "default")}
    results = pd.DataFrame({"row": ["wide", "narrow"], "decoding": "default", "seed": 0})
    lines = study.select_lines(results.assign(AP=[0.5, 0.25], AR=[0.5, 0.5]))
    table, line = study.summarize(lines)
    assert table["AP"].tolist() == [50, 25]
    assert line.startswith("AP in % against narrow: wide +25.0")
    figure = show_ablation(
        lines, ablation.panels, ablation.published_numbers, published_on="", rows=[*study.lines]
    )
    assert len(figure.axes) == 2


def planned(row: str, seed: int = 0) -> PlannedRun:
    return PlannedRun("s", row, seed, Path("03_train.ipynb"), {}, f"train-{row}-{seed}")


def test_a_run_without_its_system_is_named(tmp_path: Path) -> None:
    run = planned("a")
    record = start_run(tmp_path, "train", {}, run.run_id)
    with pytest.raises(FileNotFoundError, match=r"train-a-0 holds 0 \.safetensors files"):
        trained_file(record)


# The training loss, as runs logged it


STEPS = range(10, 210, 10)


def make(folder: Path, run: PlannedRun, scale: float) -> tuple[PlannedRun, RunRecord]:
    """Write a run whose offset term is ``scale`` times the step, with a validation between."""
    record = start_run(folder, "train", {}, run.run_id)
    for step in STEPS:
        terms = {"heatmap": 1.0, "offset": scale * step}
        record.log({"step": step, "seconds": 1.0, "lr": 1e-3, "loss": sum(terms.values()), **terms})
        if step == 100:
            record.log({"step": step, "seconds": 1.5, "AP": 0.3})
    record.finish({"AP": 0.4})
    return run, record


def test_a_term_is_read_from_every_run(tmp_path: Path) -> None:
    trained = (planned("a"), 1.0), (planned("b"), 2.0), (planned("a", 1), 3.0)
    runs = [make(tmp_path, run, scale) for run, scale in trained]
    found = training_losses(runs, "offset")
    assert list(found) == ["row", "seed", "run", "step", "loss"]
    assert found["run"].unique().tolist() == ["train-a-0", "train-b-0", "train-a-1"]
    second = found[(found["row"] == "a") & (found["seed"] == 1)]
    assert second["step"].tolist() == list(STEPS)
    np.testing.assert_allclose(second["loss"], [3.0 * step for step in STEPS])
    whole = training_losses(runs[:1], "loss")
    np.testing.assert_allclose(whole["loss"], [1.0 + step for step in STEPS])


def test_the_last_tenth_of_each_run_is_averaged(tmp_path: Path) -> None:
    runs = [make(tmp_path, planned(row), scale) for row, scale in (("a", 1.0), ("b", 2.0))]
    found = final_losses(training_losses(runs, "offset"))
    assert found.to_dict() == {"train-a-0": 195.0, "train-b-0": 390.0}


def test_a_short_run_ends_with_its_last_line() -> None:
    losses = pd.DataFrame({"run": ["r"] * 3 + ["s"], "step": [1, 2, 3, 40], "loss": [5, 4, 3, 9.0]})
    assert final_losses(losses).to_dict() == {"r": 3.0, "s": 9.0}


def test_a_term_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    run = make(tmp_path, planned("a"), 1.0)
    with pytest.raises(ValueError, match=r"no term 'pull' .* \['heatmap', 'loss', 'offset'\]"):
        training_losses([run], "pull")
    with pytest.raises(ValueError, match="no term 'AP'"):
        training_losses([run], "AP")


def test_an_ablation_may_have_as_many_losses_as_a_figure() -> None:
    assert ablation_checks._CURVES == seeds._CURVES
