"""Evaluation from the shell, by the real command, on synthetic people and on real images."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from poselib.cli import main
from poselib.data.readers.coco import CocoKeypoints
from poselib.engine.checkpoints import load_checkpoint, save_system
from poselib.engine.evaluate import evaluate
from poselib.engine.predict_images import RESULTS as PREDICTED
from poselib.experiments import evaluation_record
from poselib.experiments.comparison import TableResult
from poselib.experiments.evaluation_record import with_evaluations
from poselib.experiments.own_dataset import SPLIT
from poselib.experiments.run_results import open_results
from poselib.experiments.runs import load_run, start_run
from poselib.papers.catalog import get_paper
from poselib.skeletons import COCO, MPII
from poselib.systems import build
from poselib.systems.published import PUBLISHED
from tests.experiments.commands import refusal, run

SAMPLES = Path(os.environ.get("POSELIB_SAMPLES", "../shared/samples"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    assert (
        main(["synthetic", str(folder), "--count", "6", "--size", "128", "--people", "2", "2"]) == 0
    )
    return folder


def evaluated(capsys: pytest.CaptureFixture[str], *options: object) -> tuple[int, str, str]:
    return run(capsys, "evaluate", *options)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_library(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "bundled"
    status, said, error = evaluated(capsys, "--data", folder, "--out", out)
    assert (status, error) == (0, "")
    dataset = CocoKeypoints(folder / "annotations.json", folder / "images", COCO)
    expected = evaluate(load_checkpoint().system, dataset)
    metrics = json.loads((out / "metrics.json").read_text())
    known = {k: v for k, v in expected.as_dict().items() if not np.isnan(v)}
    assert {name: metrics[name] for name in known} == pytest.approx(known)
    assert metrics["keypoints"] == pytest.approx(expected.keypoint_ap)
    assert f"AP {expected.ap.AP:.3f}" in said and "association error" in said
    assert metrics["row"] == {} and metrics["published"] == ""
    errors = pd.read_csv(out / "errors.csv").set_index("keypoint")
    assert [*errors.index] == [*COCO.keypoints, "all"]
    parts = errors.loc["all", ["good", "jitter", "miss", "inversion", "swap"]]
    assert parts.sum() + 1e-3 >= 1 and errors.to_numpy().max() <= 1
    results = json.loads((out / "results.json").read_text())
    assert len(results) == sum(map(len, expected.poses)) and (out / "validation.png").is_file()
    opened = open_results(load_run(out)).comparison
    np.testing.assert_allclose(opened.best_oks()[0], expected.comparison.best_oks()[0], atol=1e-5)
    status, _, _ = evaluated(capsys, "--data", folder, "--out", out, "--limit", 2)
    assert status == 0 and "2 of 6" in json.loads((out / "metrics.json").read_text())["measured_on"]


@pytest.mark.slow
def test_a_low_ap_has_its_reason(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    for person in content["annotations"]:
        points = np.reshape(person["keypoints"], (-1, 3))
        person["keypoints"] = points[COCO.flip_indices].ravel().tolist()
    swapped = folder / "swapped.json"
    swapped.write_text(json.dumps(content))
    status, said, _ = evaluated(capsys, "--data", swapped, "--out", tmp_path / "low")
    swapped.unlink()
    assert status == 0 and "AP is low: left and right are exchanged" in said
    assert json.loads((tmp_path / "low" / "metrics.json").read_text())["reasons"]


@pytest.mark.slow
def test_images_that_a_training_held_out_are_the_measure(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = tmp_path / "trained"
    save_system(trained / "best.safetensors", load_checkpoint().system)
    split = {"annotations": str(folder / "annotations.json"), "val": [1, 4]}
    (trained / SPLIT).write_text(json.dumps(split))
    out = tmp_path / "held"
    status, said, _ = evaluated(capsys, "--model", trained, "--data", folder, "--out", out)
    assert status == 0 and "2 images of the held-out images" in said
    images = {row["image_id"] for row in json.loads((out / "results.json").read_text())}
    assert images <= {1, 4}
    status, said, _ = evaluated(
        capsys, "--model", trained, "--data", folder, "--out", out, "--split", "train"
    )
    assert status == 0 and "4 images of the images of" in said and "not held out" in said
    images = {row["image_id"] for row in json.loads((out / "results.json").read_text())}
    assert not images & {1, 4}
    said = refusal(capsys, "evaluate", "--model", trained, "--data", folder, "--split", "test")
    assert "has no part 'test': --split val takes what training held out" in said


def test_a_run_of_another_kind_is_refused_before_anything_is_predicted(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start_run(tmp_path, "train", {}, "mine")
    monkeypatch.setattr("poselib.api.load", None)
    said = refusal(capsys, "evaluate", "--data", folder, "--out", tmp_path / "mine")
    assert "holds a run of another kind" in said


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_predictions_are_not_replaced(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    for name in PREDICTED:
        (tmp_path / name).write_text("[]")
    monkeypatch.setattr("poselib.api.load", None)
    said = refusal(capsys, command, "--data", folder, "--out", tmp_path)
    assert "holds predictions, whose results.json would be replaced" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PREDICTED)
    if command == "train":  # a check writes no results
        main(["train", "--data", str(folder), "--out", str(tmp_path), "--check"])
        assert "holds predictions" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_results_do_not_go_among_the_data(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    before = sorted(folder.rglob("*"))
    for out in (folder, folder / "images", folder / ".." / folder.name):
        images = ("--images", folder / "images")
        said = refusal(capsys, command, "--data", folder, *images, "--out", out)
        assert "is the folder of the data" in said
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--data", "nowhere"], "no such folder or file"),
        (
            ["--data", "ochumann"],
            "did you mean ochuman or ochuman_val? known with --data-dir: coco",
        ),
        (["--data", "coco"], "needs the folder where it lies, --data-dir, as in --data coco --dat"),
        (["--data", "clips"], "the dataset of this name has no files; poselib synthetic"),
        (["--data", "DATA", "--model", "nothing"], "nothing"),
        (["--data", "DATA", "--limit", "0"], "--limit must be 1 or more"),
        (["--data", "coco", "--data-dir", "nowhere"], "does not exist"),
        (["--data", "synthetic", "--data-dir", "nowhere"], "synthetic images need no --data-dir"),
        (["--data", "DATA", "--size", "0"], "size must be 1 or more"),
        (["--data", "DATA", "--model", "MPII"], "the dataset annotates the 17 keypoints of 'coco'"),
        (["--data", "DATA", "--boxes", "nowhere.json"], "nowhere.json"),
        (["--data", "DATA", "--boxes", "b.json", "--detector", "d"], "--boxes and --detector"),
    ],
)
def test_wrong_options_are_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    wrong: str,
) -> None:
    paths = {"DATA": folder, "MPII": tmp_path / "other.safetensors"}
    if "MPII" in options:
        other = build("hae", MPII, backbone="hrnet_tiny")
        save_system(paths["MPII"], replace(other, input_size=64))
    given = [paths.get(option, option) for option in options]
    assert wrong in refusal(capsys, "evaluate", *given, "--out", tmp_path / "o")


@pytest.mark.slow
def test_the_bundled_model_is_not_for_photographs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "images", tmp_path / "photos")
    content = json.loads((folder / "annotations.json").read_text())
    file = tmp_path / "people.json"
    file.write_text(json.dumps({**content, "info": {"description": "photographs"}}))
    options = ("--data", file, "--images", tmp_path / "photos", "--limit", 1, "--out")
    _, _, error = evaluated(capsys, *options, tmp_path / "a")
    assert error.startswith("poselib evaluate: the bundled model hae_tiny_synthetic knows synthet")
    assert error.endswith(": --model dekr_w32_coco\n")
    named = ("--model", "hae_tiny_synthetic")
    assert evaluated(capsys, *options, tmp_path / "b", *named)[::2] == (0, "")


def _lay_out_coco(folder: Path, scenes: Path) -> Path:
    """Lay out images and annotations as COCO's web page does."""
    (folder / "annotations").mkdir(parents=True)
    shutil.copytree(scenes / "images", folder / "val2017")
    name = "person_keypoints_val2017.json"
    shutil.copy(scenes / "annotations.json", folder / "annotations" / name)
    return folder


@pytest.mark.slow
def test_a_published_model_has_its_number_beside_and_a_row_in_the_paper_s_table(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, file = _lay_out_coco(tmp_path / "coco", folder), tmp_path / "dekr.safetensors"
    system = build("dekr", COCO, backbone="hrnet_tiny", width=4, max_people=3)
    save_system(file, replace(system, input_size=64))
    entry = replace(
        PUBLISHED["dekr_w32_coco"], ap=67.9, data="COCO val2017", setting="", ap_scales=None
    )
    monkeypatch.setattr(evaluation_record, "PUBLISHED", {str(file): entry})
    out = tmp_path / "runs" / "w32"
    options = ("--model", file, "--data", "coco", "--data-dir", data, "--out", out)
    status, said, _ = evaluated(capsys, *options)
    metrics = json.loads((out / "metrics.json").read_text())
    ours = 100 * metrics["AP"]
    beside = f"AP 67.9 on COCO val2017; measured: {ours:.1f}, {ours - 67.9:+.1f}"
    assert status == 0 and beside in said
    several = ("--scales", 0.5, 1, "--out", tmp_path / "several")
    assert (
        "published: AP" not in evaluated(capsys, *options[:-2], *several)[1]
    )  # none at several scales
    table = next(t for t in get_paper("dekr").tables if t.dataset == "coco")
    others = [t for t in get_paper("dekr").tables if t.dataset != "coco"]
    empty = [TableResult(t, pd.DataFrame()) for t in (table, *others)]
    found, *rest = with_evaluations(empty, out.parent)
    assert all(each.numbers.empty for each in rest)
    alone = with_evaluations(empty, tmp_path / "no runs")
    assert all(one is other for one, other in zip(alone, empty, strict=True))
    assert [*found.numbers.index] == [f"poselib, {file}, single scale"]
    assert found.numbers.loc[found.numbers.index[0], "AP"] == pytest.approx(ours)
    assert found.measured_on == "coco val, network input 64 px" and "AP" in found.to_show()[1]
    assert len(found.lines()["measured"].dropna()) >= 5
    scenes = TableResult(table, pd.DataFrame({"AP": [50.0]}, index=["a"]), "300 synthetic scenes")
    assert with_evaluations([scenes], out.parent)[0].measured_on == found.measured_on
    photos = TableResult(table, found.numbers.rename(index=lambda _: "b"), "5000 images of coco")
    assert with_evaluations([photos], out.parent)[0].numbers.index[0] == "b"
    assert evaluated(capsys, *options, "--limit", 2)[0] == 0
    assert with_evaluations([scenes], out.parent)[0].numbers.index[0] == "a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.pop("paper"), "row: paper: expected text, found None"),
        (
            lambda row: row.update(numbers={"AP": "50"}),
            "row: numbers: expected numbers, found {'AP': '",
        ),
        (lambda row: row.update(numbers=[1]), r"row: numbers: expected numbers, found \[1\]"),
    ],
)
def test_a_row_that_no_evaluation_wrote_is_named(
    tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    row = {"paper": "dekr", "dataset": "coco", "row": "a", "measured_on": "b", "numbers": {}}
    change(row)
    record = start_run(tmp_path, evaluation_record.EVALUATION, {}, "wrong")
    record.finish({"row": row})
    with pytest.raises(ValueError, match=rf"wrong: metrics\.json: (row: )?{message}"):
        with_evaluations([], tmp_path)


@pytest.mark.samples
@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_real_images(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = SAMPLES / name / f"test_{name}.json"
    if not file.is_file():
        pytest.skip(f"no samples in {SAMPLES}: set POSELIB_SAMPLES")
    options: list[object] = ["--data", file, "--out", tmp_path / "real"]
    if name == "crowdpose":
        model = tmp_path / "crowd.safetensors"
        system = build("hae", name, backbone="hrnet_tiny", tag_threshold=0.2)
        save_system(model, replace(system, input_size=128))
        options += ["--model", model]
    status, said, _ = evaluated(capsys, *options)
    assert status == 0 and "errors: " in said and "AP " in said
    metrics = json.loads((tmp_path / "real" / "metrics.json").read_text())
    assert 0 <= metrics["AP"] <= 1 and metrics["errors"]["not_found_rate"] <= 1
